"""The paper's data augmentation (section 3.6, and the sampler of the Caffe release).

`sample_augmentation` makes every random choice for a picture; `augment` applies them. Expansion, crop and resize are
one window onto the picture, which becomes the square input. Where the window reaches beyond the picture it shows the
mean. So each pixel is resampled once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_iou

from ssd.config import SSDConfig
from ssd.data.images import normalise

Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in pixels of the picture

AUGMENTATIONS = ("paper", "no-expand", "flip")
MAX_EXPANSION = 4
MIN_OVERLAPS = (0, 0.1, 0.3, 0.5, 0.7, 0.9, None)  # None: no crop
CROP_TRIALS = 50


@dataclass(frozen=True)
class Colours:
    """Photometric distortion."""

    brightness: float = 0.0  # levels added
    contrast: float = 1.0  # factor on the levels
    saturation: float = 1.0  # factor
    hue: float = 0.0  # degrees added
    contrast_last: bool = False  # after saturation and hue, not before


@dataclass(frozen=True)
class Augmentation:
    """What happens to one picture. Its window becomes the network's input."""

    window: Box
    flip: bool = False
    colours: Colours = Colours()


def sample_augmentation(
    rng: np.random.Generator, size: tuple[int, int], boxes: np.ndarray, kind: str = "paper"
) -> Augmentation:
    """Draw the augmentation of a picture.

    size: (width, height). boxes: (n, 4), pixels, n may be 0. kind: "paper"; "no-expand", which never zooms out
    (zooming out helps small objects but, says the paper, needs twice the iterations); "flip", flips alone, for runs of
    minutes. Raises ValueError on another kind.
    """
    flip = bool(rng.random() < 0.5)
    if kind == "flip":
        return Augmentation((0.0, 0.0, *size), flip)
    if kind not in AUGMENTATIONS:
        raise ValueError(f"augmentation is {kind!r}, must be one of {', '.join(AUGMENTATIONS)}")
    colours = sample_colours(rng)
    canvas = sample_expansion(rng, size) if kind == "paper" else (0.0, 0.0, *size)
    targets = boxes if len(boxes) else np.array([[0, 0, *size]])  # without objects: the picture itself
    return Augmentation(sample_crop(rng, canvas, targets), flip, colours)


def sample_colours(rng: np.random.Generator) -> Colours:
    """Draw each distortion with probability 1/2, in the ranges of the release.

    Its hue of -18 to 18 counts OpenCV's steps of two degrees.
    """
    brightness, contrast, saturation, hue = rng.uniform((-32, 0.5, 0.5, -36), (32, 1.5, 1.5, 36))
    chosen = rng.random(4) < 0.5
    return Colours(
        brightness=brightness if chosen[0] else 0.0,
        contrast=contrast if chosen[1] else 1.0,
        saturation=saturation if chosen[2] else 1.0,
        hue=hue if chosen[3] else 0.0,
        contrast_last=bool(rng.random() < 0.5),
    )


def sample_expansion(rng: np.random.Generator, size: tuple[int, int]) -> Box:
    """Draw the canvas: the picture itself or, with probability 1/2, a larger one with the picture at a random place."""
    width, height = size
    ratio = rng.uniform(1, MAX_EXPANSION) if rng.random() < 0.5 else 1.0
    left = rng.uniform(0, width * (ratio - 1)) if ratio > 1 else 0.0
    top = rng.uniform(0, height * (ratio - 1)) if ratio > 1 else 0.0
    return (-left, -top, width * ratio - left, height * ratio - top)


def sample_crop(rng: np.random.Generator, canvas: Box, boxes: np.ndarray) -> Box:
    """Draw a window of the canvas that overlaps some object by at least a random minimum IoU, or the whole canvas.

    Its sides are 0.3 to 1 times the canvas's, its aspect ratio is 1/2 to 2, and it contains the centre of at least one
    object. boxes: (n, 4), pixels, n at least 1.
    """
    while True:
        minimum = MIN_OVERLAPS[rng.integers(len(MIN_OVERLAPS))]
        if minimum is None:
            return canvas
        windows = _sample_windows(rng, canvas)
        suitable = windows[_are_suitable(windows, boxes, minimum)]
        if len(suitable):
            return tuple(suitable[0].tolist())


def _sample_windows(rng, canvas):
    low, high = np.array(canvas[:2]), np.array(canvas[2:])
    sizes = rng.uniform(0.3, 1, (CROP_TRIALS, 2)) * (high - low)
    starts = low + rng.random((CROP_TRIALS, 2)) * (high - low - sizes)
    aspect = sizes[:, 0] / sizes[:, 1]
    return np.concatenate([starts, starts + sizes], axis=1)[(aspect > 0.5) & (aspect < 2)]  # (n_windows, 4)


def _are_suitable(windows, boxes, minimum):
    overlaps = box_iou(torch.from_numpy(windows), torch.from_numpy(np.asarray(boxes, dtype=np.float64))).numpy()
    inside = centres_inside(boxes, windows[:, None])  # (n_windows, n)
    return inside.any(axis=1) & (overlaps.max(axis=1) >= minimum)


def centres_inside(boxes: np.ndarray, window: np.ndarray) -> np.ndarray:
    """Which boxes (n, 4) have their centre in the window (..., 4): (..., n) bool."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centres > window[..., :2]) & (centres < window[..., 2:])).all(axis=-1)


def needed_size(augmentation: Augmentation, size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size at which the window of a picture, now of `size` (width, height), is `side` pixels wide and high."""
    x_min, y_min, x_max, y_max = augmentation.window
    return ceil(size[0] * side / (x_max - x_min)), ceil(size[1] * side / (y_max - y_min))


def augment(
    image: Image.Image, boxes: np.ndarray, augmentation: Augmentation, config: SSDConfig, scale: float = 1.0
) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Apply an augmentation.

    image: RGB, `scale` times the size of the picture. boxes: (n, 4), pixels of the picture.
    Returns the normalised input (3, 300, 300), the boxes (n_kept, 4) in fractions of it, clipped to it, and which boxes
    were kept (n,) bool: those whose centre lies in the window.
    """
    window = np.array(augmentation.window)
    kept = centres_inside(boxes, window)
    part, (left, top) = look_through(image, window * scale, config.input_size)
    part = distort(part, augmentation.colours)
    if augmentation.flip:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        left = config.input_size - left - part.width
    canvas = torch.zeros(3, config.input_size, config.input_size)  # 0 is the mean
    canvas[:, top : top + part.height, left : left + part.width] = normalise(part, config)
    return canvas, move_boxes(boxes[kept], augmentation), kept


def move_boxes(boxes: np.ndarray, augmentation: Augmentation) -> np.ndarray:
    """Boxes (n, 4) in pixels of the picture -> in fractions of the input, clipped to it."""
    window = np.array(augmentation.window)
    boxes = (boxes - np.tile(window[:2], 2)) / np.tile(window[2:] - window[:2], 2)
    boxes = boxes.clip(0, 1)
    if augmentation.flip:
        boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
    return boxes


def look_through(image: Image.Image, window: np.ndarray, side: int) -> tuple[Image.Image, tuple[int, int]]:
    """The part of the picture that shows in a window scaled to `side` x `side`, and its (left, top) there.

    Input pixels that the picture covers only in part are left out, so that the geometry stays exact.
    """
    low, scale = window[:2], side / (window[2:] - window[:2])
    size = np.array(image.size)
    # Rounding turns 299.9999999 into 300. Even a sliver of a picture shows one pixel.
    first = np.ceil(((0 - low) * scale).clip(0, side - 1).round(6)).astype(int)
    last = np.floor(((size - low) * scale).clip(1, side).round(6)).astype(int)
    last = np.maximum(last, first + 1)
    source = np.concatenate([first / scale + low, last / scale + low]).clip(0, np.tile(size, 2))
    width, height = (last - first).tolist()
    part = image.resize((width, height), Image.Resampling.BILINEAR, box=tuple(source.tolist()))
    left, top = first.tolist()
    return part, (left, top)


def distort(image: Image.Image, colours: Colours) -> Image.Image:
    """Distort the colours of an RGB image in the release's order, rounding to whole levels after each colour space."""
    c = colours
    first, last = (1.0, c.contrast) if c.contrast_last else (c.contrast, 1.0)
    image = _change_levels(image, lambda levels: (levels + c.brightness).clip(0, 255) * first)
    if c.saturation != 1 or c.hue != 0:
        image = Image.fromarray(_change_hsv(np.asarray(image), np.float32(c.hue / 60), np.float32(c.saturation)))
    return _change_levels(image, lambda levels: levels * last)


def _change_hsv(levels, hue, saturation):
    """Turn the hue of levels (height, width, 3) by `hue` sixths of the circle, and multiply their saturation.

    For all pixels at once: `colorsys` converts one at a time, and Pillow rounds hues to 256 values.
    """
    red, green, blue = np.moveaxis(levels, 2, 0).astype(np.float32)
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    step = 1 / np.maximum(chroma, 1)
    old = np.where(value == green, 2 + (blue - red) * step, 4 + (red - green) * step)
    hue = hue + np.where(value == red, (green - blue) * step, old)
    chroma = np.minimum(chroma * saturation, value)
    changed = np.empty_like(levels)
    for channel, place in enumerate((5, 3, 1)):
        distance = hue + np.float32(place)
        distance -= 6 * np.floor(distance * np.float32(1 / 6))
        changed[..., channel] = value - chroma * np.minimum(distance, 4 - distance).clip(0, 1) + np.float32(0.5)
    return changed


def _change_levels(image: Image.Image, function: Callable[[np.ndarray], np.ndarray]) -> Image.Image:
    levels = np.arange(256.0)
    table = function(levels)
    if np.array_equal(table, levels):
        return image
    table = table.round().clip(0, 255).astype(int).tolist()
    return image.point(table * len(image.getbands()))
