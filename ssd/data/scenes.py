"""Draws pictures of shapes, for data sets that need no download.

Circles, squares, triangles and stars lie on clouds. Each has a shade of its class's colour, so that a few minutes of
training are enough. Some pictures are empty. Objects that are more than half hidden are marked difficult.
Plain pictures are learned fast. Busy ones have more objects, of more sizes and patterns, which hide each other among
lines and blobs.
"""

from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from ssd.data.formats.records import AnnotatedObject, Box, Size

CLASSES = ("circle", "square", "star", "triangle")
HUES = {"circle": 0.0, "square": 0.6, "star": 0.14, "triangle": 0.35}  # from 0 to 1: red, blue, yellow, green
PATTERNS = ("plain", "shaded", "striped", "checked", "speckled")
EMPTY_SHARE = 0.06  # of pictures without objects
DIFFICULT_BELOW = 0.5  # visible share of an object's area
COVERED = 64  # of 255: a pixel belongs to a shape that covers a quarter of it, so that sharp tips count
TRIES = 12  # places tried for a shape
FINE = 3  # shapes are drawn at this many times their size and reduced, for smooth edges

Colour = tuple[int, ...]  # red, green and blue


class Style(NamedTuple):
    """How hard the pictures are: a share for each case, which add up to 1."""

    counts: tuple[float, ...]  # pictures with 1, 2, 3, ... objects, or fewer where they find no room
    diameters: tuple[tuple[float, float, float], ...]  # (share, least, largest), as a fraction of the shorter side
    patterns: tuple[float, ...]  # shapes of each of PATTERNS
    least_visible: float  # a new object must leave this share of itself and of all others visible
    busy: bool  # lines, arcs, blobs and finer clouds in the background


STYLES = {
    "plain": Style((0.4, 0.35, 0.25), ((1.0, 0.25, 0.6),), (0.5, 0.5, 0, 0, 0), 0.45, False),
    "busy": Style(
        (0.2, 0.25, 0.2, 0.17, 0.12, 0.06),
        ((0.9, 0.18, 0.6), (0.05, 0.08, 0.18), (0.05, 0.6, 0.8)),
        (0.25, 0.3, 0.2, 0.1, 0.15),
        0.3,
        True,
    ),
}


@dataclass(frozen=True)
class _Shape:
    """A shape at its place: `mask` (height, width) of bool, whose first pixel is at `left`, `top` of the picture."""

    name: str
    mask: np.ndarray
    left: int
    top: int


# A picture


def draw_scene(
    rng: np.random.Generator, size: Size | None = None, style: Style = STYLES["plain"]
) -> tuple[Image.Image, list[AnnotatedObject]]:
    """A random PIL RGB picture, and the objects on it.

    size: (width, height), by default random, 240 to 640 pixels each. A box is tight around the part of a shape that
    is inside the picture, whether or not other shapes hide it.
    """
    size = size or _random_size(rng)
    image = draw_background(rng, size, style.busy)
    owner = np.full((size[1], size[0]), -1)  # (height, width): the shape that is visible at a pixel
    shapes: list[_Shape] = []
    for _ in range(_random_count(rng, style)):
        name = CLASSES[rng.integers(len(CLASSES))]
        diameter = _random_diameter(rng, min(size), style)
        corners = shape_corners(rng, name)
        mask = _polygon_mask(corners, diameter)
        place = _find_place(rng, np.asarray(mask) >= COVERED, name, owner, shapes, style.least_visible)
        if place is None:
            continue
        inner = _polygon_mask(corners, diameter, 1 - rng.uniform(0.08, 0.2)) if rng.random() < 0.5 else None
        _paint(rng, image, place, mask, inner, style.patterns)
        _part_of(owner, place)[_inside(place, owner.shape)] = len(shapes)
        shapes.append(place)
    image = _add_grain(rng, image)
    return image, scene_objects(owner, shapes)


def scene_objects(owner: np.ndarray, shapes: list[_Shape]) -> list[AnnotatedObject]:
    """The objects to annotate, in the order drawn: those of which at least one pixel is visible.

    owner: (height, width), the index of the shape that is visible at a pixel, -1 for none.
    """
    objects = []
    for shape, share in zip(shapes, _visible_shares(owner, shapes), strict=True):
        if share > 0:
            box, truncated = _box(shape, owner.shape)
            objects.append(AnnotatedObject(shape.name, box, bool(share < DIFFICULT_BELOW), truncated=truncated))
    return objects


def _random_size(rng) -> Size:
    longer, ratio = rng.integers(360, 641), rng.uniform(0.667, 1)
    size = (int(longer), max(240, round(longer * ratio)))
    return size if rng.random() < 0.6 else size[::-1]


def _random_count(rng, style: Style) -> int:
    return 0 if rng.random() < EMPTY_SHARE else 1 + int(rng.choice(len(style.counts), p=style.counts))


def _random_diameter(rng, side: int, style: Style) -> int:
    _, low, high = style.diameters[rng.choice(len(style.diameters), p=[share for share, _, _ in style.diameters])]
    return round(side * np.exp(rng.uniform(np.log(low), np.log(high))))


# Shapes


def shape_corners(rng: np.random.Generator, name: str) -> np.ndarray:
    """The (n, 2) corners of a shape, turned by a random angle, centred on 0 and about 1 wide."""
    if name == "circle":
        return _regular(90, 0.5)
    if name == "square":
        corners = _regular(4, 0.6)
    elif name == "triangle":
        corners = _regular(3, 0.6, rng.uniform(-0.2, 0.2, 3))
    elif name == "star":
        corners = _regular(10, 0.58) * np.resize([1, rng.uniform(0.38, 0.5)], 10)[:, None]
    else:
        raise ValueError(f"no shape {name!r}")
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return corners @ turn.T


def _regular(n, radius, jitter=0):
    angle = 2 * np.pi * np.arange(n) / n + jitter
    return radius * np.stack((np.cos(angle), np.sin(angle)), axis=1)


def _polygon_mask(corners: np.ndarray, diameter: int, scale: float = 1.0) -> Image.Image:
    """A grey picture of a polygon, 255 inside, just large enough for the polygon at scale 1."""
    low, high = corners.min(axis=0), corners.max(axis=0)
    size = np.ceil((high - low) * diameter).astype(int) + 2
    fine = ((corners * scale - low) * diameter + 1) * FINE
    mask = Image.new("L", tuple((size * FINE).tolist()))
    ImageDraw.Draw(mask).polygon(fine.ravel().tolist(), fill=255)
    return mask.reduce(FINE)


def _find_place(
    rng, mask: np.ndarray, name: str, owner: np.ndarray, shapes: list[_Shape], least_visible: float
) -> _Shape | None:
    """The shape where enough of it and of the others stays visible, or None if no such place is found."""
    for _ in range(TRIES):
        shape = _random_place(rng, mask, name, owner.shape)
        seen = _inside(shape, owner.shape)
        after = owner.copy()
        _part_of(after, shape)[seen] = len(shapes)
        if min(_visible_shares(after, [*shapes, shape])) >= least_visible:
            return shape
    return None


def _random_place(rng, mask: np.ndarray, name: str, bounds: tuple[int, ...]) -> _Shape:
    """The shape at a random place: mostly inside the picture, sometimes only its centre is."""
    inside = rng.random() < 0.8
    margins = [min(length, bound) / 2 if inside else 0 for length, bound in zip(mask.shape, bounds, strict=True)]
    y, x = (rng.uniform(margin, bound - margin) for margin, bound in zip(margins, bounds, strict=True))
    return _Shape(name, mask, round(x - mask.shape[1] / 2), round(y - mask.shape[0] / 2))


def _part_of(picture: np.ndarray, shape: _Shape) -> np.ndarray:
    """The part (a view) of an array (height, width, ...) below a shape's mask."""
    height, width = shape.mask.shape
    return picture[max(shape.top, 0) : shape.top + height, max(shape.left, 0) : shape.left + width]


def _inside(shape: _Shape, bounds: tuple[int, ...]) -> np.ndarray:
    """The part of a shape's mask inside the picture; bounds: (height, width)."""
    left, top = max(-shape.left, 0), max(-shape.top, 0)
    return shape.mask[top : bounds[0] - shape.top, left : bounds[1] - shape.left]


def _visible_shares(owner: np.ndarray, shapes: list[_Shape]) -> list[float]:
    """For each shape, the share of its area that is visible: inside the picture and not below later shapes."""
    counts = np.bincount(owner.ravel() + 1, minlength=len(shapes) + 1)[1:]
    return [count / shape.mask.sum() for count, shape in zip(counts, shapes, strict=True)]


def _box(shape: _Shape, bounds: tuple[int, ...]) -> tuple[Box, bool]:
    """The box of the part of a shape inside the picture, and whether a part is outside."""
    inside = _inside(shape, bounds)
    left, top = max(shape.left, 0), max(shape.top, 0)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    x_min, x_max = left + int(columns[0]), left + int(columns[-1]) + 1
    y_min, y_max = top + int(rows[0]), top + int(rows[-1]) + 1
    return (x_min, y_min, x_max, y_max), bool(inside.sum() < shape.mask.sum())


# Paint


def _paint(rng, image: Image.Image, shape: _Shape, mask: Image.Image, inner: Image.Image | None, patterns) -> None:
    """Paint a shape in colours that stand out from what lies below it, with an outline where `inner` is given.

    mask, inner: grey pictures of the same size, of the whole shape and of the shape without its outline.
    patterns: the share of each of PATTERNS.
    """
    corner = (shape.left, shape.top)
    below = _part_of(np.asarray(image), shape)[_inside(shape, (image.height, image.width))].mean(axis=0)
    colour = _standing_out(below, [_class_colour(rng, shape.name) for _ in range(8)])
    if inner:
        image.paste(_standing_out(colour, [_random_colour(rng, vivid=False) for _ in range(8)]), corner, mask)
    image.paste(_texture(rng, mask.size, colour, patterns), corner, inner or mask)


def _standing_out(other, colours) -> Colour:
    """The first of the colours that is far from another one, or else the farthest."""
    colours = np.array(colours)
    distance = np.linalg.norm(colours - other, axis=1)
    far = np.flatnonzero(distance > 130)
    return tuple(colours[far[0] if len(far) else distance.argmax()].tolist())


def _class_colour(rng, name: str) -> Colour:
    hue = (HUES[name] + rng.uniform(-0.05, 0.05)) % 1
    return tuple(round(255 * channel) for channel in hsv_to_rgb(hue, rng.uniform(0.6, 1), rng.uniform(0.5, 1)))


def _random_colour(rng, vivid: bool) -> Colour:
    hue, saturation, value = rng.random(3)
    saturation, value = (
        (0.55 + 0.45 * saturation, 0.4 + 0.6 * value) if vivid else (0.5 * saturation, 0.1 + 0.9 * value)
    )
    return tuple(round(255 * channel) for channel in hsv_to_rgb(hue, saturation, value))


def _texture(rng, size: Size, colour: Colour, patterns: tuple[float, ...]) -> Image.Image:
    """A picture in two shades of a colour: plain, shaded, striped, checked or speckled."""
    y, x = np.mgrid[: size[1], : size[0]] / max(size)
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(4, 9)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kind = rng.choice(PATTERNS, p=patterns)
    if kind == "plain":
        pattern = np.zeros_like(u)
    elif kind == "shaded":
        pattern = (u - u.min()) / np.ptp(u)
    elif kind == "striped":
        pattern = u * frequency % 1 < 0.5
    elif kind == "checked":
        pattern = (u * frequency % 1 < 0.5) ^ (v * frequency % 1 < 0.5)
    else:
        coarse = rng.integers(0, 256, (20, 20), dtype=np.uint8)
        pattern = np.asarray(Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)) / 255
    shade = rng.uniform(0.6, 0.85) if sum(colour) > 300 else rng.uniform(1.2, 1.5)
    pixels = np.array(colour) * (1 + (shade - 1) * pattern[..., None])
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def draw_background(rng: np.random.Generator, size: Size, busy: bool = False) -> Image.Image:
    """A PIL RGB picture of clouds without shapes; with `busy` also finer clouds, lines, arcs and blobs."""
    if not busy:
        return _clouds(rng, size, 3)
    fine = _clouds(rng, size, int(rng.integers(8, 40)))
    image = Image.blend(_clouds(rng, size, 3), fine, rng.uniform(0.1, 0.4))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 7)):
        draw.polygon(_blob(rng, size), fill=_random_colour(rng, vivid=rng.random() < 0.3))
    for _ in range(rng.integers(0, 14)):
        colour, width = _random_colour(rng, vivid=rng.random() < 0.3), int(rng.integers(1, 5))
        ends = (rng.random((2, 2)) * size).tolist()
        if rng.random() < 0.7:
            draw.line([tuple(end) for end in ends], fill=colour, width=width)
        else:
            start = rng.uniform(0, 360)
            frame = [*np.minimum(*ends), *np.maximum(*ends)]
            draw.arc(frame, start, start + rng.uniform(40, 160), fill=colour, width=width)
    return image


def _clouds(rng, size: Size, cells: int) -> Image.Image:
    """Smooth noise around a pale colour, stronger in brightness than in hue."""
    noise = rng.uniform(-80, 80, (cells, cells, 1)) + rng.uniform(-30, 30, (cells, cells, 3))
    coarse = (_random_colour(rng, vivid=False) + noise * rng.uniform(0.3, 1)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def _blob(rng, size: Size) -> list[float]:
    """The points of a crooked, elongated outline, as x, y, x, y, ..."""
    angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = 1 + 0.45 * np.cos(2 * angle + rng.uniform(0, 6)) + 0.25 * np.cos(3 * angle + rng.uniform(0, 6))
    radius += 0.1 * np.cos(5 * angle + rng.uniform(0, 6))
    radius *= rng.uniform(0.03, 0.15) * min(size)
    points = rng.random(2) * size + np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
    return points.ravel().tolist()


def _add_grain(rng, image: Image.Image) -> Image.Image:
    """The picture with noise in its brightness, as a camera adds it."""
    strength = rng.integers(1, 16)
    grain = rng.integers(-strength, strength + 1, (image.height, image.width, 1), dtype=np.int16)
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
