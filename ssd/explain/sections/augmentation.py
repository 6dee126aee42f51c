"""What training makes of a picture: one augmentation step by step, and more results of the sampler."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from ssd.data.augmentation import (
    MIN_OVERLAPS,
    Augmentation,
    Box,
    Colours,
    augment,
    move_boxes,
    sample_augmentation,
    sample_colours,
    sample_crop,
    sample_expansion,
)  # fmt: skip
from ssd.data.images import denormalise
from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.subject import Subject

KEY, TITLE = "augmentation", "What does training make of one picture?"
SETS, RESULTS = 4, 8  # how many sets of results are drawn ahead, and how many results each has
CROPS = 10  # drawn for the steps, of which one is chosen that has much of an object
SIDE, QUALITY = 200, 75  # of the results on the page: pixels, and JPEG's quality
T = TypeVar("T")


class Step(NamedTuple):
    """An augmentation up to one of its steps, and what that step does."""

    augmentation: Augmentation
    caption: str


def steps(subject: Subject, seed: int = 0) -> list[Step]:
    """An augmentation in which everything happens, step by step: four colours, zoom out, crop, flip.

    Drawn by the parts of the sampler; colours and canvas until they change something that one can see.
    """
    rng = np.random.default_rng(seed)
    size, boxes = subject.image.size, pixel_boxes(subject)
    whole: Box = (0.0, 0.0, *size)
    targets, what = (boxes, "an object") if len(boxes) else (np.array([whole]), "the picture")
    c = _draw(lambda: sample_colours(rng), _changes_all)
    canvas = _draw(lambda: sample_expansion(rng, size), lambda canvas: 1.5 < zoom(canvas, size) < 2.5)
    crops = [sample_crop(rng, canvas, targets) for _ in range(CROPS)]  # some of them, perhaps all, are the whole canvas
    window = max(crops, key=lambda crop: (crop != canvas, best_overlap(crop, targets)))
    cut = f"cropped; IoU with {what} {best_overlap(window, targets):.2f}" if window != canvas else "no crop was found"
    first = Augmentation(whole)
    colours = {
        f"brightness {c.brightness:+.0f} levels": Colours(c.brightness),
        f"contrast x {c.contrast:.2f}": Colours(c.brightness, c.contrast),
        f"saturation x {c.saturation:.2f}": Colours(c.brightness, c.contrast, c.saturation),
        f"hue {c.hue:+.0f} degrees": c,
    }
    return [
        Step(first, "the picture"),
        *(Step(replace(first, colours=changed), caption) for caption, changed in colours.items()),
        Step(Augmentation(canvas, colours=c), f"zoomed out {zoom(canvas, size):.2f} times; dashed: the crop"),
        Step(Augmentation(window, colours=c), cut),
        Step(Augmentation(window, flip=True, colours=c), "flipped"),
    ]


def _draw(draw: Callable[[], T], is_wanted: Callable[[T], bool]) -> T:
    """The first draw that is wanted."""
    return next(drawn for drawn in iter(draw, None) if is_wanted(drawn))


def _changes_all(c: Colours) -> bool:
    """Whether all four colours change enough to be seen, in the order of the fields."""
    factors = abs(c.contrast - 1), abs(c.saturation - 1)
    return abs(c.brightness) > 15 and min(factors) > 0.2 and abs(c.hue) > 15 and not c.contrast_last


def zoom(canvas: Box, size: tuple[int, int]) -> float:
    """How many times as wide as a picture of `size` a canvas is."""
    return (canvas[2] - canvas[0]) / size[0]


def best_overlap(window: Box, boxes: np.ndarray) -> float:
    """The highest IoU of a window with one of the boxes (n, 4)."""
    return box_iou(torch.tensor([window]).double(), torch.from_numpy(boxes).double()).max().item()


def results(subject: Subject, seed: int) -> list[Augmentation]:
    """Augmentations that training may draw for the subject's picture."""
    keys = [(seed, epoch) for epoch in range(RESULTS)]
    size, boxes = subject.image.size, pixel_boxes(subject)
    return [sample_augmentation(np.random.default_rng(key), size, boxes) for key in keys]


def pixel_boxes(subject: Subject) -> np.ndarray:
    """The subject's objects (n, 4) in pixels of its picture."""
    return subject.boxes.double().numpy() * np.tile(subject.image.size, 2)


def section(subject: Subject) -> Section:
    """The steps of one augmentation, and eight results, with more behind a button."""
    drawn = steps(subject)
    frames = {5: move_boxes(np.array([drawn[6].augmentation.window]), drawn[5].augmentation)}
    figures = [(_drawing(subject, step.augmentation, frames.get(k)), step.caption) for k, step in enumerate(drawn)]
    sets = "".join(_set(subject, seed) for seed in range(SETS))
    minima = ", ".join(f"{minimum:g}" for minimum in MIN_OVERLAPS if minimum)
    return Section(
        key=KEY,
        title=TITLE,
        figure=f"{svg.panels(*figures, class_='panels four')}<h3>Eight more</h3>{sets}"
        '<div class="controls"><button type="button">Other random seeds</button></div>',
        text=[
            "A network that sees the same picture a hundred times learns it by heart. So training draws another "
            "version of it each time. Here all steps happen in one version. In training, each change of colour has a "
            "probability of 1/2, and so have zooming out and the flip.",
            "Zooming out shows the picture on a canvas up to four times as wide and high, filled with the mean colour, "
            "so its objects become small. The crop draws the least IoU that some object must have with its window, "
            f"one of 0, {minima}, or leaves the canvas whole. Its sides are 0.3 to 1 times those of the canvas. An "
            "object stays if its centre lies in the window; its parts outside are cut off.",
            "The last eight pictures come from the sampler as it is. Zoom out, crop and resize are one window that is "
            "resampled once, so nothing gets blurred by being resampled again and again.",
        ],
        formula="window: sides 0.3 to 1 times the canvas, 1/2 &lt; width / height &lt; 2, "
        "highest IoU(window, object) &ge; the drawn minimum",
        sources=[sample_augmentation, sample_colours, sample_expansion, sample_crop, augment],
        data={},
    )


def _set(subject: Subject, seed: int) -> str:
    figures = [(_drawing(subject, augmentation), "") for augmentation in results(subject, seed)]
    panels = svg.panels(*figures, class_="panels four")
    return f'<div class="seeds"{" hidden" if seed else ""}>{panels}</div>'


def _drawing(subject: Subject, augmentation: Augmentation, window: np.ndarray | None = None) -> str:
    """What `augment` returns: the input as a picture with the objects that are left. window: (1, 4) fractions."""
    tensor, boxes, _ = augment(subject.image, pixel_boxes(subject), augmentation, subject.config)
    image = denormalise(tensor, subject.config).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    parts = [svg.element("image", href=svg.jpeg(image, QUALITY), width=SIDE, height=SIDE)]
    parts += [svg.rectangle(box, class_="box truth") for box in (boxes * SIDE).tolist()]
    if window is not None:
        parts += [svg.rectangle(box, class_="box wrong dashed") for box in (window * SIDE).tolist()]
    return svg.figure(SIDE, SIDE, *parts, label="an augmented picture")
