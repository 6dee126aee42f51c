"""Boxes: their forms, their overlap, and the offsets from a prior."""

from html import escape

import torch
from torch import Tensor
from torchvision.ops import box_iou

from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy, decode, encode, paired_iou, xy_to_cxcy

EXAMPLE = (0.3, 0.25, 0.7, 0.8)  # a box for pictures without objects, fractions


def example_box(subject: Subject) -> tuple[Tensor, str]:
    """A box (4,), corner fractions, and what to call it, as HTML: the largest object, or one for the example."""
    if not len(subject.boxes):
        return torch.tensor(EXAMPLE), "an example"
    largest = (subject.boxes[:, 2:] - subject.boxes[:, :2]).prod(dim=1).argmax()
    return subject.boxes[largest], escape(f'the largest object ("{subject.name_of(subject.labels[largest])}")')


def nearest_prior(subject: Subject, box: Tensor) -> int:
    """The prior that overlaps a box (4,) most."""
    return int(box_iou(box[None], cxcy_to_xy(subject.priors_cxcy))[0].argmax())


def _numbers(box: Tensor, decimals: int = 3) -> str:
    return ", ".join(f"{value:.{decimals}f}" for value in box.tolist())


def forms(subject: Subject) -> Section:
    """A box in pixels, in fractions, and as centre and size."""
    box, what = example_box(subject)
    rows = [
        ("pixels", _numbers(subject.in_pixels(box), 1), "data lists, detections"),
        ("fractions", _numbers(box), "training, overlap"),
        ("centre, size", _numbers(xy_to_cxcy(box)), "priors, offsets"),
    ]
    return Section(
        figure=svg.beside(_forms_figure(subject, box), svg.table(("form", "the four numbers", "used for"), rows)),
        text=f"""
        The green box is {what}. Data lists and detections give its corners in pixels of the picture, where 0 is the
        left or upper edge of the first pixel. The network works with fractions of the picture's width and height, so
        the same four numbers fit the picture and the square that it is resized to.

        To move and stretch a box, its centre (the dot) and its size are more convenient. The table shows the same box
        in all three forms.

        Pascal VOC's files count pixels from 1 and include the last one, so their xmin and ymin are larger by 1 than
        ours.""",
        formula="c<sub>x</sub> = (x<sub>min</sub> + x<sub>max</sub>) / 2 &emsp; w = x<sub>max</sub> &minus; "
        "x<sub>min</sub> &emsp; the same for y and h",
        sources=[xy_to_cxcy, cxcy_to_xy],
    )


def _forms_figure(subject: Subject, box: Tensor) -> str:
    x_min, y_min, x_max, y_max = subject.in_frame(box).tolist()
    cx, cy = (x_min + x_max) / 2, (y_min + y_max) / 2
    return subject.drawing(
        subject.outlines(box, "truth"),
        svg.line(x_min, cy, x_max, cy, "guide"),
        svg.line(cx, y_min, cx, y_max, "guide"),
        svg.dot(cx, cy, 5, class_="dot"),
        _note(subject, x_min, y_min, "x_min, y_min"),
        _note(subject, x_max, y_max, "x_max, y_max"),
        label="the picture with a box, its corners, centre, width and height",
    )


def _note(subject: Subject, x: float, y: float, words: str) -> str:
    """Text on the picture at a point, moved so that it stays inside."""
    width, height = subject.shown.size
    anchor = "end" if x > width / 2 else "start"
    x, y = min(max(x, 4.0), width - 4.0), min(max(y - 8.0, 16.0), height - 8.0)
    return svg.text(x, y, words, text_anchor=anchor, class_="on-photo")


def overlap(subject: Subject) -> Section:
    """IoU, of two boxes that can be dragged."""
    box, what = example_box(subject)
    prior = cxcy_to_xy(subject.priors_cxcy[nearest_prior(subject, box)]).clamp(0, 1)
    return Section(
        figure=subject.drawing(label="two boxes on the picture with their intersection shaded", class_="play")
        + '<p class="result">intersection <output></output> / union <output></output> square pixels = IoU '
        "<output></output></p>",
        text=f"""
        Intersection over union, IoU: the area that both boxes cover, divided by the area that at least one of them
        covers. It is 1 for two equal boxes and 0 for boxes that do not touch, large or small. Drag a box, or its lower
        right corner; the arrow keys move them too.

        Green is {what}. Orange is the prior that fits it best, or rather the part of it on the picture. IoU decides
        which priors learn an object (from 0.5), which detections repeat a better one of their class (above 0.45, by
        default), and which are right when mAP is counted (from 0.5).""",
        formula="IoU = |A &cap; B| / |A &cup; B| = |A &cap; B| / (|A| + |B| &minus; |A &cap; B|)",
        sources=[paired_iou],
        data={
            "boxes": subject.in_frame(torch.stack([box, prior])).tolist(),
            "scale": subject.image.width / subject.shown.width,  # pixels in a unit of the figure
        },
    )


def offsets(subject: Subject) -> Section:
    """The offsets of a box from its prior, with their numbers, and back."""
    box, what = example_box(subject)
    place = nearest_prior(subject, box)
    prior, variances = subject.priors_cxcy[place], subject.config.variances
    found = decode(subject.locs[place : place + 1], prior, variances)  # (1, 4), or (0, 4) without a model
    table = svg.table(("", "prior", "box", "computed", "offset"), _offset_rows(box, prior, variances))
    text = f"""
        The network does not predict boxes, but how to turn a prior into one. Green is {what}, orange is prior {place},
        counted from 0, which fits it best. The table computes the four offsets that this prior should predict. The
        distance between the centres is measured in sizes of the prior, and the change of size is a factor, so large
        and small priors have similar targets.

        The divisors {variances[0]:g} and {variances[1]:g}, called variances, spread the offsets over a few units,
        where their errors weigh about as much in the loss as those of the scores. Decoding turns them back into
        {_numbers(decode(encode(box, prior, variances), prior, variances))}: the same box again."""
    if len(found):
        text += f"""

        Blue is what the model predicts at this prior: its offsets {_numbers(subject.locs[place])} decode to a box
        whose IoU with the green one is {paired_iou(found[0], box):.2f}. The prior itself has an IoU of
        {paired_iou(cxcy_to_xy(prior), box):.2f}."""
    return Section(
        figure=svg.beside(_offsets_figure(subject, box, prior, found), table),
        text=text,
        formula="g<sub>c</sub> = (c &minus; c<sub>prior</sub>) / (size<sub>prior</sub> &middot; "
        f"{variances[0]:g}) &emsp; g<sub>size</sub> = ln(size / size<sub>prior</sub>) / {variances[1]:g}",
        sources=[encode, decode],
    )


def _offset_rows(box: Tensor, prior: Tensor, variances: tuple[float, float]) -> list[tuple[str, ...]]:
    """How each of the four offsets of a box (4,) from its prior (4,) is computed."""
    b, p, g = xy_to_cxcy(box), prior, encode(box, prior, variances)
    steps = [f"({b[k]:.3f} − {p[k]:.3f}) / ({p[k + 2]:.3f} × {variances[0]:g})" for k in (0, 1)]
    steps += [f"ln({b[k]:.3f} / {p[k]:.3f}) / {variances[1]:g}" for k in (2, 3)]
    names = ("c_x", "c_y", "w", "h")
    return [(names[k], f"{p[k]:.3f}", f"{b[k]:.3f}", steps[k], f"{g[k]:+.3f}") for k in range(4)]


def _offsets_figure(subject: Subject, box: Tensor, prior: Tensor, found: Tensor) -> str:
    (x, y, *_), (to_x, to_y, *_) = subject.in_frame(torch.stack([prior, xy_to_cxcy(box)])).tolist()
    return subject.drawing(
        subject.outlines(cxcy_to_xy(prior), "prior dashed"),
        subject.outlines(box, "truth"),
        subject.outlines(found, "found"),
        svg.line(x, y, to_x, to_y, "guide"),
        svg.dot(x, y, 5, class_="dot prior"),
        svg.dot(to_x, to_y, 5, class_="dot truth"),
        label="a box, the prior that fits it best, and the way from centre to centre",
    )
