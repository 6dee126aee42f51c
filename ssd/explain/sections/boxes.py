"""Boxes: their forms, their overlap, and the offsets from a prior."""

from html import escape

import torch
from torch import Tensor
from torchvision.ops import box_iou

from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy, decode, encode, paired_iou, share_inside, xy_to_cxcy

EXAMPLE = (0.3, 0.25, 0.7, 0.8)  # a box for pictures without objects, fractions


def example_box(subject: Subject) -> tuple[Tensor, str]:
    """A box (4,), corner fractions, and what to call it: the largest object, or one drawn for the example."""
    if not len(subject.boxes):
        return torch.tensor(EXAMPLE), "an example"
    largest = int((subject.boxes[:, 2:] - subject.boxes[:, :2]).prod(dim=1).argmax())
    return subject.boxes[largest], f'the largest object ("{subject.name_of(int(subject.labels[largest]))}")'


def nearest_prior(subject: Subject, box: Tensor) -> int:
    """The prior that overlaps a box (4,) most."""
    return int(box_iou(box[None], cxcy_to_xy(subject.priors_cxcy))[0].argmax())


def forms(subject: Subject) -> Section:
    """A box in pixels, in fractions, and as centre and size."""
    box, what = example_box(subject)
    rows = [
        ("pixels", _numbers(subject.in_pixels(box), 1), "data lists, detections"),
        ("fractions", _numbers(box, 3), "training, overlap"),
        ("centre, size", _numbers(xy_to_cxcy(box), 3), "priors, offsets"),
    ]
    table = svg.table(("form", "the four numbers", "used for"), rows)
    return Section(
        key="forms",
        title="How is a box written down?",
        figure=svg.beside(_forms_figure(subject, box), table),
        text=[
            f"The green box is {escape(what)}. Data lists and detections give its corners in pixels of the picture, "
            "where 0 is the left or upper edge of the first pixel. The network works with fractions of the picture's "
            "width and height, so the same four numbers fit the picture and the square that it is resized to.",
            "To move and stretch a box, its centre (the dot) and its size are more convenient. The table shows the "
            "same box in all three forms.",
            "Pascal VOC's files count pixels from 1 and include the last one, so their xmin and ymin are larger by 1 "
            "than ours.",
        ],
        formula="c<sub>x</sub> = (x<sub>min</sub> + x<sub>max</sub>) / 2 &emsp; w = x<sub>max</sub> &minus; "
        "x<sub>min</sub> &emsp; the same for y and h",
        sources=[xy_to_cxcy, cxcy_to_xy],
    )


def _numbers(box: Tensor, decimals: int) -> str:
    return ", ".join(f"{value:.{decimals}f}" for value in box.tolist())


def _forms_figure(subject: Subject, box: Tensor) -> str:
    x_min, y_min, x_max, y_max = corners = subject.in_frame(box).tolist()
    cx, cy = (x_min + x_max) / 2, (y_min + y_max) / 2
    return svg.figure(
        *subject.frame,
        svg.photo(),
        svg.rectangle(corners, class_="box truth"),
        svg.line(x_min, cy, x_max, cy, class_="guide"),
        svg.line(cx, y_min, cx, y_max, class_="guide"),
        svg.element("circle", cx=cx, cy=cy, r=5, class_="dot"),
        svg.note(subject.frame, x_min, y_min, "x_min, y_min"),
        svg.note(subject.frame, x_max, y_max, "x_max, y_max"),
        label="the picture with a box, its corners, centre, width and height",
    )


def overlap(subject: Subject) -> Section:
    """IoU, of two boxes that can be dragged."""
    box, what = example_box(subject)
    prior = cxcy_to_xy(subject.priors_cxcy[nearest_prior(subject, box)]).clamp(0, 1)
    boxes = subject.in_frame(torch.stack([box, prior]))
    scale = subject.image.width / subject.frame[0]  # pixels in a unit of the figure
    return Section(
        key="overlap",
        title="How well do two boxes agree?",
        figure=_overlap_figure(subject, boxes) + _overlap_numbers(boxes[0] * scale, boxes[1] * scale),
        text=[
            "Intersection over union, IoU: the area that both boxes cover, divided by the area that at least one of "
            "them covers. It is 1 for two equal boxes and 0 for boxes that do not touch, large or small. Drag a box, "
            "or its lower right corner.",
            f"Green is {escape(what)}. Orange is the prior that fits it best, or rather the part of it on the picture. "
            "IoU decides which priors learn an object (from 0.5), which detections repeat a better one of their class "
            "(above 0.45, by default), and which are right when mAP is counted (from 0.5).",
        ],
        formula="IoU = |A &cap; B| / |A &cup; B| = |A &cap; B| / (|A| + |B| &minus; |A &cap; B|)",
        sources=[paired_iou],
        data={"boxes": boxes.tolist(), "scale": scale},
    )


def _overlap_figure(subject: Subject, boxes: Tensor) -> str:
    common = [*torch.maximum(*boxes[:, :2]).tolist(), *torch.minimum(*boxes[:, 2:]).tolist()]
    kinds = ("truth", "prior")
    pairs = list(zip(boxes.tolist(), kinds, strict=True))
    return svg.figure(
        *subject.frame,
        svg.photo(),
        *(svg.rectangle(box, class_=f"box area {kind}") for box, kind in pairs),
        svg.rectangle(common, class_="common"),
        *(svg.element("circle", cx=box[2], cy=box[3], r=10, class_=f"handle {kind}") for box, kind in pairs),
        label="two boxes on the picture with their intersection shaded",
        class_="play",
    )


def _overlap_numbers(a: Tensor, b: Tensor) -> str:
    """The line below the figure, which the script keeps up to date. a, b: boxes (4,) in pixels."""
    size = (a[2:] - a[:2]).prod()
    common, iou = (share_inside(a, b) * size).item(), paired_iou(a, b).item()
    union = (size + (b[2:] - b[:2]).prod()).item() - common
    return (
        f'<p class="result">intersection <output>{common:.0f}</output> / union <output>{union:.0f}</output> square '
        f"pixels = IoU <output>{iou:.3f}</output></p>"
    )


def offsets(subject: Subject) -> Section:
    """The offsets of a box from its prior, with their numbers, and back."""
    box, what = example_box(subject)
    place = nearest_prior(subject, box)
    prior, target = subject.priors_cxcy[place], xy_to_cxcy(box)
    variances = subject.config.variances
    g = encode(box, prior, variances)
    back = decode(g, prior, variances)
    steps = [_centre_step(k, target, prior, variances[0]) for k in (0, 1)]
    steps += [_size_step(k, target, prior, variances[1]) for k in (2, 3)]
    rows = [
        (name, f"{p:.3f}", f"{t:.3f}", step, f"{value:+.3f}")
        for name, p, t, step, value in zip(
            ("c_x", "c_y", "w", "h"), prior.tolist(), target.tolist(), steps, g.tolist(), strict=True
        )
    ]
    text = [
        f"The network does not predict boxes, but how to turn a prior into one. Green is {escape(what)}, orange is "
        f"prior {place}, counted from 0, which fits it best. The table computes the four offsets that "
        "this prior should predict. The distance between the centres is measured in sizes of the prior, and the change "
        "of size is a factor, so large and small priors have similar targets.",
        f"The divisors {variances[0]:g} and {variances[1]:g}, called variances, spread the offsets over a few units, "
        "where their errors weigh about as much in the loss as those of the scores. Decoding turns them back into "
        f"{_numbers(back, 3)}: the same box again.",
    ]
    found = None
    if len(subject.locs):
        found = decode(subject.locs[place], prior, variances)
        text.append(
            f"Blue is what the model predicts at this prior: its offsets {_numbers(subject.locs[place], 3)} decode to "
            f"a box whose IoU with the green one is {paired_iou(found, box).item():.2f}. The prior itself has an IoU "
            f"of {paired_iou(cxcy_to_xy(prior), box).item():.2f}."
        )
    return Section(
        key="offsets",
        title="What does a prior predict?",
        figure=svg.beside(
            _offsets_figure(subject, box, prior, found),
            svg.table(("", "prior", "box", "computed", "offset"), rows),
        ),
        text=text,
        formula="g<sub>c</sub> = (c &minus; c<sub>prior</sub>) / (size<sub>prior</sub> &middot; "
        f"{variances[0]:g}) &emsp; g<sub>size</sub> = ln(size / size<sub>prior</sub>) / {variances[1]:g}",
        sources=[encode, decode],
    )


def _centre_step(k: int, box: Tensor, prior: Tensor, variance: float) -> str:
    return f"({box[k]:.3f} − {prior[k]:.3f}) / ({prior[k + 2]:.3f} × {variance:g})"


def _size_step(k: int, box: Tensor, prior: Tensor, variance: float) -> str:
    return f"ln({box[k]:.3f} / {prior[k]:.3f}) / {variance:g}"


def _offsets_figure(subject: Subject, box: Tensor, prior: Tensor, found: Tensor | None) -> str:
    from_prior, to_box = ((subject.in_frame(each.repeat(2))[:2]).tolist() for each in (prior[:2], xy_to_cxcy(box)[:2]))
    drawn = [(cxcy_to_xy(prior), "prior dashed"), (box, "truth")]
    drawn += [] if found is None else [(found, "found")]
    return svg.figure(
        *subject.frame,
        svg.photo(),
        *(svg.rectangle(subject.in_frame(each).tolist(), class_=f"box {kind}") for each, kind in drawn),
        svg.line(*from_prior, *to_box, class_="guide"),
        svg.element("circle", cx=from_prior[0], cy=from_prior[1], r=5, class_="dot prior"),
        svg.element("circle", cx=to_box[0], cy=to_box[1], r=5, class_="dot truth"),
        label="a box, the prior that fits it best, and the way from centre to centre",
    )
