"""Boxes and labels drawn on pictures, and sheets of pictures."""

import unicodedata
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ssd.errors import InputError

N_COLOURS = 128
SMALLEST_TEXT, LARGEST_TEXT = 11, 80  # pixels of font size
TINY_TEXT = 8  # the smallest that can be read at all, for thumbnails
SMALLEST_LINE, LARGEST_LINE = 1, 16  # pixels
# The colours of objects and detections in evaluations: ground truth, true and false positives, missed objects, others.
TRUTH, HIT, MISTAKE, MISS, OTHER = (60, 200, 80), (40, 110, 255), (255, 120, 0), (230, 40, 200), (150, 190, 235)
ROWS_TRIED = 8  # places for a tag down each side of its box


def draw_boxes(image, boxes, labels=None, colours=None, dashed=False, width=None):
    """An annotated copy of a picture.

    image: PIL picture, left as it is
    boxes: (n, 4) tensor, array or list; x_min, y_min, x_max, y_max in pixels. Parts outside the picture are cut off,
        and a box wholly outside is not drawn. Of boxes that overlap, the first lies on top.
    labels: n strings, one tag for each box (None or an empty string: no tag); pictures too small for text get no tags
    colours: n (red, green, blue); by default `class_colour` of the box's place in the list
    dashed: dashed lines; one answer for all boxes, or n
    width: of the lines, in pixels; by default it follows the picture's size

    Returns a PIL RGB picture of the same size.
    Raises InputError when boxes are not (n, 4), hold NaN or end before they begin, or when the lengths differ.
    """
    boxes = _checked_boxes(boxes)
    labels = [""] * len(boxes) if labels is None else [_one_line(label) for label in labels]
    colours = [class_colour(i) for i in range(len(boxes))] if colours is None else [tuple(c) for c in colours]
    dashed = [dashed] * len(boxes) if isinstance(dashed, bool) else list(dashed)
    for name, values in (("labels", labels), ("colours", colours), ("dashes", dashed)):
        if len(values) != len(boxes):
            raise InputError(f"{len(values)} {name} for {len(boxes)} boxes: give one for each box")

    annotated = image.convert("RGB")  # also for an RGB picture this is a copy
    draw = ImageDraw.Draw(annotated)
    width = width or _line_width(image.size)
    shown = [
        (_on_pixels(box, image.size), label, colour, dashes)
        for box, label, colour, dashes in zip(boxes, labels, colours, dashed, strict=True)
        if _inside(box, image.size)
    ]
    for box, _, colour, dashes in reversed(shown):
        _draw_outline(draw, box, colour, width, dashes)
    _draw_tags(draw, [entry[:3] for entry in shown if entry[1]], image.size)
    return annotated


def class_colour(index):
    """The colour of a class: (red, green, blue), 0-255. Distinct for 128 classes, after which they repeat."""
    return _palette()[index % N_COLOURS]


def mosaic(images, columns=4, tile=300):
    """A grid of pictures, row by row, each fitted into a square of `tile` pixels with its aspect kept.

    images: PIL pictures. Returns a PIL RGB picture; of no pictures, one empty tile.
    """
    columns = max(1, min(columns, len(images)))
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (columns * tile, rows * tile), "white")
    for i, image in enumerate(images):
        fitted, _ = fit_to_side(image.convert("RGB"), tile - 2 * (tile >= 50))  # a white line between pictures
        row, column = divmod(i, columns)
        left, top = column * tile + (tile - fitted.width) // 2, row * tile + (tile - fitted.height) // 2
        sheet.paste(fitted, (left, top))
    return sheet


def fit_to_side(image: Image.Image, side: int) -> tuple[Image.Image, float]:
    """The picture with its longer side `side` pixels long, its aspect kept; and the scale, by which boxes grow too."""
    scale = side / max(image.size)
    size = tuple(max(1, round(scale * length)) for length in image.size)
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC), scale


# Boxes


def _checked_boxes(boxes):
    """(n, 4) boxes as lists of floats."""
    boxes = torch.as_tensor(boxes).detach().cpu().to(torch.float64)
    if boxes.numel() == 0:
        return []
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes have the shape {tuple(boxes.shape)}: give (n, 4), x_min, y_min, x_max, y_max")
    ordered = (boxes[:, :2] <= boxes[:, 2:]).all(dim=1)  # false for NaN as well
    if not ordered.all():
        row = int((~ordered).nonzero()[0])
        raise InputError(f"box {row} is {boxes[row].tolist()}: x_min <= x_max and y_min <= y_max must hold")
    return boxes.tolist()


def _inside(box, size):
    """Whether a box has something to show in a picture of this size."""
    return box[0] < size[0] and box[1] < size[1] and box[2] > 0 and box[3] > 0


def _on_pixels(box, size):
    """First and last column and row that a continuous box covers, at least one pixel: x0, y0, x1, y1, inclusive."""
    x0, y0 = (min(max(round(low), 0), length - 1) for low, length in zip(_finite(box[:2]), size, strict=True))
    x1, y1 = (min(max(round(high), 0), length) - 1 for high, length in zip(_finite(box[2:]), size, strict=True))
    return x0, y0, max(x0, x1), max(y0, y1)


def _finite(numbers):
    return [min(max(number, -1e9), 1e9) for number in numbers]


# Lines


def _line_width(size):
    return min(max(round(_side(size) / 160), SMALLEST_LINE), LARGEST_LINE)


def _side(size):
    """The side of a square as large as the picture."""
    return (size[0] * size[1]) ** 0.5


def _draw_outline(draw, box, colour, width, dashed):
    """Lines within the box, with a thin one of black or white outside, so that no background swallows them."""
    x0, y0, x1, y1 = box
    width = max(1, min(width, (x1 - x0 + 1) // 2, (y1 - y0 + 1) // 2))
    rim = max(1, width // 4)
    horizontal = _dashes(x0, x1, width) if dashed else [(x0, x1)]
    vertical = _dashes(y0, y1, width) if dashed else [(y0, y1)]
    lines = [(a, y0, b, y0 + width - 1) for a, b in horizontal] + [(a, y1 - width + 1, b, y1) for a, b in horizontal]
    lines += [(x0, a, x0 + width - 1, b) for a, b in vertical] + [(x1 - width + 1, a, x1, b) for a, b in vertical]
    for a, b, c, d in lines if dashed else [box]:
        draw.rectangle((a - rim, b - rim, c + rim, d + rim), outline=_contrast(colour), width=rim)
    for line in lines:
        draw.rectangle(line, fill=colour)


def _dashes(start, stop, width):
    """Dashes from `start` to `stop` (inclusive), one at either end, about five line widths long with equal gaps."""
    length = stop - start + 1
    n = max(1, round((length / (5 * width + 2) + 1) / 2))
    edges = np.round(np.linspace(0, length, 2 * n)).astype(int).tolist()  # n dashes and n - 1 gaps
    return [(start + a, start + max(a, b - 1)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# Tags


def _draw_tags(draw, entries, size):
    """A filled tag with the label for each (box, label, colour): early ones get the better places and lie on top."""
    text_size = _text_size(size)
    font = ImageFont.load_default(text_size)
    pad = max(1, round(text_size / 6))
    height = sum(font.getmetrics()) + 2
    if height > size[1] or 2 * height > 3 * size[0]:
        return
    taken = np.zeros((0, 4))
    placed = []
    for box, label, colour in entries:
        tag = _place_tag(box, font.getlength(label) + 2 * pad, height, size, taken)
        taken = np.concatenate((taken, [tag]))
        placed.append((tag, label, colour))
    for (x0, y0, x1, y1), label, colour in reversed(placed):
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), fill=colour)
        draw.text((x0 + pad, y0 + 1), label, fill=_contrast(colour), font=font)


def _text_size(size):
    smallest = min(max(round(_side(size) / 8), TINY_TEXT), SMALLEST_TEXT)
    return min(max(round(_side(size) / 36), smallest), LARGEST_TEXT)


def _place_tag(box, width, height, size, taken):
    """The first place at a box where its tag hides none that `taken` (n, 4) names, or else the least of them.

    Above the box, then down its inside, then below, on the left before the right; then beside the box. Always within
    the picture.
    """
    x0, y0, x1, y1 = box[0], box[1], box[2] + 1, box[3] + 1
    width = min(int(width) + 1, size[0])
    rows = [y0 - height, *(min(y0 + k * height, y1) for k in range(ROWS_TRIED)), y1]
    corners = [(x, y) for columns in ((x0, x1 - width), (x1, x0 - width)) for y in rows for x in columns]
    corners = np.clip(corners, 0, (size[0] - width, size[1] - height))
    tags = np.concatenate((corners, corners + (width, height)), axis=1)  # (places, 4)
    lows = np.maximum(tags[:, None, :2], taken[None, :, :2])  # (places, n, 2)
    highs = np.minimum(tags[:, None, 2:], taken[None, :, 2:])
    hidden = (highs - lows).clip(0).prod(axis=2).sum(axis=1)
    return tuple(tags[hidden.argmin()].tolist())


def _one_line(label):
    """A label in one line of the characters that Pillow's font has, ASCII: accents fall away, others become "?"."""
    letters = (letter for letter in unicodedata.normalize("NFKD", label or "") if not unicodedata.combining(letter))
    return " ".join("".join(letters).encode("ascii", "replace").decode("ascii").split())


# Colours


def _contrast(colour):
    """Black or white, whichever reads better on a colour (relative luminance of WCAG 2)."""
    return (0, 0, 0) if _linear(colour) @ (0.2126, 0.7152, 0.0722) > 0.179 else (255, 255, 255)


@lru_cache(maxsize=1)
def _palette():
    """128 colours, each the one farthest from all before it in CIELAB, so that the first n are distinct for every n."""
    levels = np.arange(0, 256, 15)
    colours = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(colours)
    vivid = (lab[:, 0] > 40) & (lab[:, 0] < 92) & (np.hypot(lab[:, 1], lab[:, 2]) > 35)  # no black, white or grey
    colours, lab = colours[vivid], lab[vivid]
    chosen = [int(abs(colours - (255, 60, 60)).sum(axis=1).argmin())]
    distance = np.full(len(lab), np.inf)
    while len(chosen) < N_COLOURS:
        distance = np.minimum(distance, np.linalg.norm(lab - lab[chosen[-1]], axis=1))
        chosen.append(int(distance.argmax()))
    return [tuple(colour) for colour in colours[chosen].tolist()]


def _lab(colours):
    """sRGB 0-255 (n, 3) to CIELAB (n, 3), white point D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = _linear(colours) @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=1)


def _linear(colours):
    """sRGB 0-255 to linear light 0-1."""
    fraction = np.asarray(colours) / 255
    return np.where(fraction <= 0.04045, fraction / 12.92, ((fraction + 0.055) / 1.055) ** 2.4)
