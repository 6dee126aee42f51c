"""Boxes and labels drawn on pictures, and sheets of pictures."""

import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from ssd.errors import InputError, optional

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Colour = tuple[int, int, int]  # red, green, blue, 0-255
Box = tuple[int, int, int, int]  # first column, first row, last column, last row

N_COLOURS = 128
SMALLEST_TEXT, LARGEST_TEXT = 11, 80  # font size, pixels
TINY_TEXT = 8  # the smallest legible size, for thumbnails
SMALLEST_LINE, LARGEST_LINE = 1, 16  # pixels
CROWD = (150, 150, 150)
# The colours of objects and detections in evaluations: ground truth, true and false positives, missed objects, others.
TRUTH, HIT, MISTAKE, MISS, OTHER = (60, 200, 80), (40, 110, 255), (255, 120, 0), (230, 40, 200), (150, 190, 235)
RIGHT, WRONG, QUIET = "#2166ac", "#d6604d", "#777777"  # of diagrams; the colour-blind can tell them apart too
SHOWN_SIDE = 640  # pixels: the longer side of a picture in a report or log
MOST_POINTS = 2000  # that a curve of a diagram is drawn with
ROWS_TRIED = 8  # places for a tag down each side of its box


def draw_boxes(
    image: Image.Image,
    boxes: torch.Tensor | np.ndarray | Sequence,
    labels: Sequence[str | None] | None = None,
    colours: Iterable[Sequence[int]] | None = None,
    dashed: bool | Iterable[bool] = False,
    width: int | None = None,
) -> Image.Image:
    """An annotated RGB copy of a picture.

    boxes: (n, 4) x_min, y_min, x_max, y_max in pixels. Parts outside the picture are cut off, and a box wholly outside
        is not drawn. Where boxes overlap, the first lies on top.
    labels: n texts, one tag for each box (None or empty: no tag). Pictures too small for text get no tags.
    colours: n (red, green, blue); by default the `class_colour` of the box's place in the list.
    dashed: dashed lines, for all boxes or for each of n.
    width: of the lines, in pixels; by default it follows the picture's size.

    Raises InputError when boxes are not (n, 4), hold NaN or end before they begin, or when the lengths differ.
    """
    checked = _checked_boxes(boxes)
    n = len(checked)
    texts = [""] * n if labels is None else [_one_line(label) for label in labels]
    fills = [class_colour(i) for i in range(n)] if colours is None else [(r, g, b) for r, g, b in colours]
    dashes = [dashed] * n if isinstance(dashed, bool) else list(dashed)
    for name, values in (("labels", texts), ("colours", fills), ("dashes", dashes)):
        if len(values) != n:
            raise InputError(f"{len(values)} {name} for {n} boxes: give one for each box")

    annotated = image.convert("RGB")  # a copy, also of an RGB picture
    draw = ImageDraw.Draw(annotated)
    width = width or _line_width(image.size)
    placed = _on_pixels(checked, image.size)
    for k in reversed(placed):
        _draw_outline(draw, placed[k], fills[k], width, dashes[k])
    _draw_tags(draw, [(box, texts[k], fills[k]) for k, box in placed.items() if texts[k]], image.size)
    return annotated


def class_colour(label: int) -> Colour:
    """The colour of a class: (red, green, blue), 0-255. Distinct for 128 classes, after which they repeat."""
    return _palette()[label % N_COLOURS]


def mosaic(images: Sequence[Image.Image], columns: int = 4, tile: int = 300) -> Image.Image:
    """An RGB picture with a grid of pictures, row by row, each fitted into a square of `tile` pixels.

    They keep their aspect. Without pictures it is one empty tile.
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
    """The picture resized so that its longer side is `side` pixels long; and the scale, by which boxes grow too."""
    scale = side / max(image.size)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))
    return image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC), scale


# Boxes


def _checked_boxes(boxes: torch.Tensor | np.ndarray | Sequence) -> np.ndarray:
    """(n, 4) float64."""
    tensor = torch.as_tensor(boxes).detach().cpu().double()
    if tensor.numel() == 0:
        return np.zeros((0, 4))
    if tensor.dim() != 2 or tensor.shape[1] != 4:
        raise InputError(f"boxes have the shape {tuple(tensor.shape)}: give (n, 4), x_min, y_min, x_max, y_max")
    for row, (x_min, y_min, x_max, y_max) in enumerate(tensor.tolist()):
        if not (x_min <= x_max and y_min <= y_max):  # true for NaN as well
            raise InputError(f"box {row} is {tensor[row].tolist()}: x_min <= x_max and y_min <= y_max must hold")
    return tensor.numpy()


def _on_pixels(boxes: np.ndarray, size: tuple[int, int]) -> dict[int, Box]:
    """The pixels that continuous boxes (n, 4) cover in a picture, at least one for each; index -> box.

    Boxes outside the picture are left out.
    """
    first = np.rint(boxes[:, :2]).clip(0, np.subtract(size, 1))
    last = np.maximum(first, np.rint(boxes[:, 2:]).clip(0, size) - 1)
    inside = (boxes[:, :2] < size).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    pixels = np.concatenate((first, last), axis=1).astype(int)
    return {k: tuple(pixels[k].tolist()) for k in np.flatnonzero(inside).tolist()}


# Lines


def _line_width(size: tuple[int, int]) -> int:
    return min(max(round(_side(size) / 160), SMALLEST_LINE), LARGEST_LINE)


def _side(size: tuple[int, int]) -> float:
    """The side of a square with the area of the picture."""
    return (size[0] * size[1]) ** 0.5


def _draw_outline(draw: ImageDraw.ImageDraw, box: Box, colour: Colour, width: int, dashed: bool) -> None:
    """Lines within the box, with a thin black or white rim outside, so that no background swallows them."""
    x0, y0, x1, y1 = box
    width = max(1, min(width, (x1 - x0 + 1) // 2, (y1 - y0 + 1) // 2))
    rim = max(1, width // 4)
    across = _dashes(x0, x1, width) if dashed else [(x0, x1)]
    down = _dashes(y0, y1, width) if dashed else [(y0, y1)]
    lines = [(a, y, b, y + width - 1) for a, b in across for y in (y0, y1 - width + 1)]
    lines += [(x, a, x + width - 1, b) for a, b in down for x in (x0, x1 - width + 1)]
    for a, b, c, d in lines if dashed else [box]:
        draw.rectangle((a - rim, b - rim, c + rim, d + rim), outline=_contrast(colour), width=rim)
    for line in lines:
        draw.rectangle(line, fill=colour)


def _dashes(start: int, stop: int, width: int) -> list[tuple[int, int]]:
    """Dashes from `start` to `stop` (inclusive), one at either end, about five line widths long, with equal gaps."""
    length = stop - start + 1
    n = max(1, round((length / (5 * width + 2) + 1) / 2))
    edges = np.round(np.linspace(0, length, 2 * n)).astype(int).tolist()  # n dashes and n - 1 gaps
    return [(start + a, start + max(a, b - 1)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


# Tags


def _draw_tags(draw: ImageDraw.ImageDraw, entries: list[tuple[Box, str, Colour]], size: tuple[int, int]) -> None:
    """A filled tag with the label for each (box, label, colour): early ones get the better places and lie on top."""
    text_size = _text_size(size)
    font = ImageFont.load_default(text_size)
    pad = max(1, round(text_size / 6))
    height = sum(font.getmetrics()) + 2  # type: ignore[union-attr]  # with a size it is a FreeTypeFont
    if height > size[1] or 2 * height > 3 * size[0]:
        return
    taken = np.zeros((size[1], size[0]), dtype=bool)
    tags = []
    for box, label, colour in entries:
        width = min(int(font.getlength(label)) + 2 * pad + 1, size[0])
        x, y = _place_tag(box, width, height, taken)
        taken[y : y + height, x : x + width] = True
        tags.append((x, y, width, label, colour))
    for x, y, width, label, colour in reversed(tags):
        draw.rectangle((x, y, x + width - 1, y + height - 1), fill=colour)
        draw.text((x + pad, y + 1), label, fill=_contrast(colour), font=font)


def _text_size(size: tuple[int, int]) -> int:
    smallest = min(max(round(_side(size) / 8), TINY_TEXT), SMALLEST_TEXT)
    return min(max(round(_side(size) / 36), smallest), LARGEST_TEXT)


def _place_tag(box: Box, width: int, height: int, taken: np.ndarray) -> tuple[int, int]:
    """The left column and the top row of a box's tag: of the possible places the first that hides least of other tags.

    Above the box, then down its inside, then below it, the left before the right; then beside the box. Always within
    the picture. taken: pixels under other tags, (height, width) of the picture.
    """
    x0, y0, x1, y1 = box[0], box[1], box[2] + 1, box[3] + 1
    rows = [y0 - height, *(min(y0 + k * height, y1) for k in range(ROWS_TRIED)), y1]
    corners = [(x, y) for columns in ((x0, x1 - width), (x1, x0 - width)) for y in rows for x in columns]
    places = np.clip(corners, 0, (taken.shape[1] - width, taken.shape[0] - height)).tolist()
    x, y = min(places, key=lambda place: taken[place[1] : place[1] + height, place[0] : place[0] + width].sum())
    return x, y


def _one_line(label: str | None) -> str:
    """A label in one line of ASCII, which Pillow's font has: letters lose their accents, others become "?"."""
    letters = (letter for letter in unicodedata.normalize("NFKD", label or "") if not unicodedata.combining(letter))
    return " ".join("".join(letters).encode("ascii", "replace").decode("ascii").split())


# Colours


def _contrast(colour: Colour) -> Colour:
    """Black or white, whichever reads better on a colour (relative luminance of WCAG 2)."""
    return (0, 0, 0) if _linear(colour) @ (0.2126, 0.7152, 0.0722) > 0.179 else (255, 255, 255)


@lru_cache(maxsize=1)
def _palette() -> list[Colour]:
    """128 colours, each the farthest from all before it in CIELAB, so that the first n are distinct for every n."""
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
    return [(red, green, blue) for red, green, blue in colours[chosen].tolist()]


def _lab(colours: np.ndarray) -> np.ndarray:
    """sRGB 0-255 (n, 3) to CIELAB (n, 3), white point D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = _linear(colours) @ to_xyz.T / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=1)


def _linear(colours: np.ndarray | Colour) -> np.ndarray:
    """sRGB 0-255 to linear light 0-1."""
    fraction = np.asarray(colours) / 255
    return np.where(fraction <= 0.04045, fraction / 12.92, ((fraction + 0.055) / 1.055) ** 2.4)


def figure_class() -> "type[Figure]":
    """matplotlib's class Figure, which opens no window and shares no state with the caller's plots.

    Raises InputError if matplotlib is missing.
    """
    return optional("matplotlib.figure", extra="plots", what="diagrams").Figure


def thin_out(x: np.ndarray, y: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """About `most` points of a curve, or fewer: the lowest and the highest of each stretch."""
    if len(x) <= most:
        return x, y
    stretches = np.array_split(np.arange(len(x)), most // 2)
    ends = [(s[y[s].argmin()], s[y[s].argmax()]) for s in stretches]
    kept = np.unique(ends)
    return x[kept], y[kept]
