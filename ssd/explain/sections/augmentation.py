"""What training makes of a picture: one augmentation step by step, and more results of the sampler."""

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

SETS, RESULTS = 4, 8  # how many sets of results are drawn ahead, and how many results each has
CROPS = 10  # drawn for the steps, of which one is chosen that has much of an object
SIDE, QUALITY = 200, 75  # of the results on the page: pixels, and JPEG's quality


def steps(subject: Subject) -> list[tuple[Augmentation, str]]:
    """An augmentation in which everything happens, step by step: four colours, zoom out, crop, flip.

    Returns the augmentation up to each step, and what that step does. Drawn by the parts of the sampler; colours and
    canvas until they change something that one can see.
    """
    rng = np.random.default_rng(0)
    size, boxes = subject.image.size, pixel_boxes(subject)
    whole: Box = (0.0, 0.0, *size)
    targets, what = (boxes, "an object") if len(boxes) else (np.array([whole]), "the picture")
    c = next(each for each in iter(lambda: sample_colours(rng), None) if _changes_all(each))
    canvas = next(each for each in iter(lambda: sample_expansion(rng, size), None) if 1.5 < zoom(each, size) < 2.5)
    crops = [sample_crop(rng, canvas, targets) for _ in range(CROPS)]  # some of them, perhaps all, are the whole canvas
    window = max(crops, key=lambda crop: (crop != canvas, best_overlap(crop, targets)))
    cut = f"cropped; IoU with {what} {best_overlap(window, targets):.2f}" if window != canvas else "no crop was found"
    colours = [
        (Colours(), "the picture"),
        (Colours(c.brightness), f"brightness {c.brightness:+.0f} levels"),
        (Colours(c.brightness, c.contrast), f"contrast x {c.contrast:.2f}"),
        (Colours(c.brightness, c.contrast, c.saturation), f"saturation x {c.saturation:.2f}"),
        (c, f"hue {c.hue:+.0f} degrees"),
    ]
    return [
        *((Augmentation(whole, colours=each), caption) for each, caption in colours),
        (Augmentation(canvas, colours=c), f"zoomed out {zoom(canvas, size):.2f} times; dashed: the crop"),
        (Augmentation(window, colours=c), cut),
        (Augmentation(window, flip=True, colours=c), "flipped"),
    ]


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
    rngs = [np.random.default_rng((seed, epoch)) for epoch in range(RESULTS)]
    return [sample_augmentation(rng, subject.image.size, pixel_boxes(subject)) for rng in rngs]


def pixel_boxes(subject: Subject) -> np.ndarray:
    """The subject's objects (n, 4) in pixels of its picture."""
    return subject.boxes.double().numpy() * np.tile(subject.image.size, 2)


def section(subject: Subject) -> Section:
    """The steps of one augmentation, and eight results, with more behind a button."""
    drawn = steps(subject)
    canvas, window = drawn[5][0], drawn[6][0].window
    frame = svg.outlines(move_boxes(np.array([window]), canvas) * SIDE, "wrong dashed")
    figures = [(_drawing(subject, each, frame if each is canvas else ""), caption) for each, caption in drawn]
    sets = ""
    for seed in range(SETS):
        made = svg.panels(*((_drawing(subject, each), "") for each in results(subject, seed)), class_="panels four")
        sets += svg.element("div", made, class_="seeds", hidden="hidden" if seed else None)
    minima = ", ".join(f"{minimum:g}" for minimum in MIN_OVERLAPS if minimum)
    return Section(
        figure=svg.panels(*figures, class_="panels four") + f"<h3>Eight more</h3>{sets}"
        '<div class="controls"><button type="button">Other random seeds</button></div>',
        text=f"""
        A network that sees the same picture a hundred times learns it by heart. So training draws another version of it
        each time. Here all steps happen in one version. In training, each change of colour has a probability of 1/2,
        and so have zooming out and the flip.

        Zooming out shows the picture on a canvas up to four times as wide and high, filled with the mean colour, so its
        objects become small. The crop draws the least IoU that some object must have with its window, one of 0,
        {minima}, or leaves the canvas whole. Its sides are 0.3 to 1 times those of the canvas. An object stays if its
        centre lies in the window; its parts outside are cut off.

        The last eight pictures come from the sampler as it is. Zoom out, crop and resize are one window that is
        resampled once, so nothing gets blurred by being resampled again and again.""",
        formula="window: sides 0.3 to 1 times the canvas, 1/2 &lt; width / height &lt; 2, "
        "highest IoU(window, object) &ge; the drawn minimum",
        sources=[sample_augmentation, sample_colours, sample_expansion, sample_crop, augment],
    )


def _drawing(subject: Subject, augmentation: Augmentation, more: str = "") -> str:
    """What `augment` returns: the input as a picture with the objects that are left."""
    tensor, boxes, _ = augment(subject.image, pixel_boxes(subject), augmentation, subject.config)
    image = denormalise(tensor, subject.config).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    shown = svg.element("image", href=svg.data_address(image, quality=QUALITY), width=SIDE, height=SIDE)
    return svg.figure(SIDE, SIDE, shown, svg.outlines(boxes * SIDE, "truth"), more, label="an augmented picture")
