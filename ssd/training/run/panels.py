"""The pictures of a run: what it trains on, and what it finds in a few pictures of its validations, always the same."""

from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ssd.config import SSDConfig
from ssd.data.columns import ListedImage
from ssd.data.images import denormalise, load_image
from ssd.detector import Detections
from ssd.files import replacing
from ssd.visualize import CROWD, HIT, SHOWN_SIDE, TRUTH, class_colour, draw_boxes, fit_to_side, mosaic

BATCH_NAME, VALIDATION_NAME = "train_batch.jpg", "validation.jpg"
MOST_SAMPLES = 16  # of a batch
CONFIDENT, MOST_SHOWN = 0.4, 50  # of the detections drawn: early in a run there are too many to look at
VALIDATION_TILE, HEADER = 400, 32  # pixels, of each picture and of the line above them


class TrackedPicture(NamedTuple):
    """A picture with its objects, and what was found in it."""

    listed: ListedImage
    found: Detections


def tracked_pictures(n_images: int, n: int = 8) -> list[int]:
    """The places of up to n pictures spread evenly over a list of n_images, from the first to the last."""
    return np.linspace(0, max(n_images - 1, 0), min(n, n_images)).round().astype(int).tolist()


def confident(found: Detections) -> Detections:
    """The detections with a score above CONFIDENT, at most the MOST_SHOWN best."""
    n = min(int((found.scores > CONFIDENT).sum()), MOST_SHOWN)  # the best come first
    return Detections(found.boxes[:n], found.labels[:n], found.scores[:n], found.names[:n])


def draw_panel(picture: TrackedPicture, class_names: Sequence[str]) -> Image.Image:
    """The picture with its objects (green, dashed) and the confident detections (blue, solid), 640 pixels long.

    Raises InputError if the picture is missing or damaged.
    """
    listed, found = picture.listed, confident(picture.found)
    image, scale = fit_to_side(load_image(listed.path), SHOWN_SIDE)
    n_true, n_found = len(listed.labels), len(found)
    texts = [class_names[label - 1] for label in listed.labels]
    texts += [f"{name} {score:.2f}" for name, score in zip(found.names, found.scores.tolist(), strict=True)]
    return draw_boxes(
        image,
        torch.cat([torch.from_numpy(listed.boxes), found.boxes]) * scale,
        texts,
        colours=[TRUTH] * n_true + [HIT] * n_found,
        dashed=[True] * n_true + [False] * n_found,
    )


def draw_validation(pictures: Sequence[TrackedPicture], class_names: Sequence[str], iteration: int) -> Image.Image:
    """The panels of the pictures in a grid, below a legend."""
    sheet = mosaic([draw_panel(picture, class_names) for picture in pictures], tile=VALIDATION_TILE)
    page = Image.new("RGB", (sheet.width, HEADER + sheet.height), "white")
    page.paste(sheet, (0, HEADER))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    x, middle = 8, HEADER // 2
    entries = ((f"iteration {iteration:,}", None), ("ground truth", TRUTH), (f"found (> {CONFIDENT:g})", HIT))
    for text, colour in entries:
        if colour:
            draw.rectangle((x, middle - 2, x + 24, middle + 1), fill=colour)
            x += 32
        draw.text((x, middle), text, fill="black", font=font, anchor="lm")
        x += int(font.getlength(text)) + 24
    return page


def draw_batch(samples: Iterable[tuple[torch.Tensor, ...]], config: SSDConfig) -> Image.Image:
    """The first MOST_SAMPLES training samples in a grid, as the network gets them, with their boxes; crowds are dashed.

    samples: (image (3, 300, 300) normalised, boxes (n, 4) fractions, labels (n,), difficulties (n,)), as in a
    `PascalVOCDataset`, and where there are any, the crowds (c, 4). config: the model's.
    """
    drawn = [_draw_sample(sample, config) for sample in islice(samples, MOST_SAMPLES)]
    return mosaic(drawn, tile=config.input_size + 2)  # in their own pixels, with a white line around


def _draw_sample(sample, config):
    image, boxes, labels, difficulties, *crowds = sample
    labels = labels.tolist()
    texts = [
        config.class_names[label - 1] + (" (difficult)" if difficult else "")
        for label, difficult in zip(labels, difficulties.tolist(), strict=True)
    ]
    n_crowds = sum(map(len, crowds))
    return draw_boxes(
        denormalise(image, config),
        torch.cat([boxes, *crowds]).cpu() * config.input_size,
        texts + ["crowd"] * n_crowds,
        [class_colour(label) for label in labels] + [CROWD] * n_crowds,
        dashed=[False] * len(labels) + [True] * n_crowds,
    )


def write_jpeg(image: Image.Image, path: str | Path) -> None:
    """Write a picture as JPEG. The file is replaced as a whole."""
    with replacing(path) as file:
        image.save(file, "jpeg", quality=90, subsampling=0)
