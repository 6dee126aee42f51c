"""The pictures of a run: what it is trained on, and what it finds in a few test pictures that stay the same."""

from itertools import islice

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ssd.data.images import denormalise, load_image
from ssd.detector import Detections
from ssd.evaluation.report.gallery import SIDE
from ssd.files import replacing
from ssd.visualize import HIT, TRUTH, class_colour, draw_boxes, fit_to_side, mosaic

BATCH_NAME, VALIDATION_NAME = "train_batch.jpg", "validation.jpg"
FOUND = HIT
MIN_SCORE, MOST_SHOWN = 0.4, 50  # of the detections drawn: young models find too much to be looked at
VALIDATION_TILE, HEADER = 400, 32  # pixels, of each picture and of the line above them


def tracked_pictures(n_images, n=8):
    """The places of up to n pictures that lie evenly over a list of n_images, the first and the last among them."""
    return np.linspace(0, max(n_images - 1, 0), min(n, n_images)).round().astype(int).tolist()


def panel(path, true_boxes, true_names, found):
    """A picture with its objects (green, dashed) and with what was found in it (blue, solid).

    true_boxes: (n, 4), pixels of the upright picture. true_names: n. found: `Detections`; those of a score up to
    MIN_SCORE are left out. Returns a PIL RGB picture whose longer side has 640 pixels.
    Raises InputError where the picture is missing or damaged.
    """
    picture, scale = fitted_picture(path)
    found = confident(found)
    boxes = torch.cat([torch.as_tensor(true_boxes).view(-1, 4), found.boxes]) * scale
    texts = [
        *true_names,
        *(f"{name} {score:.2f}" for name, score in zip(found.names, found.scores.tolist(), strict=True)),
    ]
    n_true, n_found = len(true_names), len(found)
    colours, dashed = [TRUTH] * n_true + [FOUND] * n_found, [True] * n_true + [False] * n_found
    return draw_boxes(picture, boxes, texts, colours, dashed)


def fitted_picture(path):
    """A picture whose longer side has 640 pixels, and how many of these are one of its own."""
    return fit_to_side(load_image(path), SIDE)


def confident(found):
    """The `Detections` of a score above MIN_SCORE, at most the MOST_SHOWN best."""
    n = min(int((found.scores > MIN_SCORE).sum()), MOST_SHOWN)  # the best come first
    return Detections(found.boxes[:n], found.labels[:n], found.scores[:n], found.names[:n])


def draw_panel(item, class_names):
    """The `panel` of an item: (path, true boxes (n, 4) in pixels, true labels (n,), `Detections`)."""
    path, boxes, labels, found = item
    return panel(path, boxes, [class_names[int(label) - 1] for label in labels], found)


def draw_validation(items, class_names, iteration):
    """The mosaic of the panels of items (see `draw_panel`) below a line that says what is seen."""
    sheet = mosaic([draw_panel(item, class_names) for item in items], tile=VALIDATION_TILE)
    page = Image.new("RGB", (sheet.width, HEADER + sheet.height), "white")
    page.paste(sheet, (0, HEADER))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    x = 8
    for text, colour in (
        (f"iteration {iteration:,}", None),
        ("ground truth", TRUTH),
        (f"found (> {MIN_SCORE:g})", FOUND),
    ):
        if colour:
            draw.rectangle((x, HEADER // 2 - 2, x + 24, HEADER // 2 + 1), fill=colour)
            x += 32
        draw.text((x, HEADER // 2), text, fill="black", font=font, anchor="lm")
        x += int(font.getlength(text)) + 24
    return page


def draw_batch(samples, config, most=16):
    """The mosaic of training samples as the network gets them, with their boxes.

    samples: (image (3, 300, 300) normalised, boxes (n, 4) fractions, labels (n,), difficulties (n,)), as a
    `PascalVOCDataset` gives them; the first `most` are drawn. config: the model's.
    """
    drawn = [_draw_sample(sample, config) for sample in islice(samples, most)]
    return mosaic(drawn, tile=config.input_size + 2)  # each in its own pixels, with a white line around


def _draw_sample(sample, config):
    image, boxes, labels, difficulties = sample
    labels = labels.tolist()
    texts = [
        config.class_names[label - 1] + (" (difficult)" if difficult else "")
        for label, difficult in zip(labels, difficulties.tolist(), strict=True)
    ]
    pixels = boxes.cpu() * config.input_size
    return draw_boxes(denormalise(image, config), pixels, texts, [class_colour(label) for label in labels])


def save_picture(path, picture):
    """Write a PIL picture as JPEG; the file is replaced as a whole."""
    with replacing(path) as file:
        picture.save(file, "jpeg", quality=90, subsampling=0)
