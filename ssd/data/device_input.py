"""`preprocess` on the device, of many pictures at once: the same input to the last bit.

Pillow's bilinear filter weighs pixels with whole multiples of 2^-22. Products of these with levels, and their sums, are
exact in float64, in whatever order they are added up. So its two passes, first along the rows and then along the
columns, are two products of matrices here, each rounded to levels.
"""

from functools import lru_cache
from itertools import groupby

import numpy as np
import torch

from ssd.data.images import normalised_levels, pixels, resized, size_of, to_rgb

PRECISION = 2**22  # of Pillow's weights
LARGE_PICTURE = 2**20  # pixels; Pillow resizes a larger one in the time that it would take to come here
PIXELS_AT_ONCE = 2**23  # they take about half a gigabyte in float64


def preprocess_on(device, images, config):
    """`preprocess` of each image, as one tensor (N, 3, 300, 300) on `device`; images as for `to_rgb`, N at least 1.

    They travel together, as 8-bit levels.
    """
    arrays = [torch.from_numpy(_pixels(image, config.input_size)) for image in images]
    starts = np.cumsum([0, *(array.numel() for array in arrays)]).tolist()
    buffer = torch.empty(starts[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    torch.cat([array.flatten() for array in arrays], out=buffer)
    buffer, levels = buffer.to(device, non_blocking=True), []
    for shape, places in groupby(range(len(arrays)), lambda k: arrays[k].shape):  # those of a size together
        places = list(places)
        group = buffer[starts[places[0]] : starts[places[-1] + 1]].view(-1, *shape)  # (n, height, width, 3)
        for part in group.split(max(1, PIXELS_AT_ONCE // (shape[0] * shape[1]))):
            levels.append(resize(part.permute(0, 3, 1, 2), config.input_size))
    return _normalise(torch.cat(levels), config)


def _pixels(image, side):
    """Array (height, width, 3) of levels, resized already where Pillow does it better."""
    width, height = size_of(image)
    columns_first = height > side and height - side > 2 * (width - side)  # as Pillow does from version 13 on
    if columns_first or width * height > LARGE_PICTURE:
        image = resized(to_rgb(image), side)
    return np.require(pixels(image), requirements=["C", "W"])  # as PyTorch wants it


def resize(planes, side):
    """Planes of levels (..., height, width) -> (..., side, side) float64, as Pillow resizes them."""
    height, width = planes.shape[-2:]
    across = _to_levels(planes.double() @ _weights(width, side, planes.device).T)
    return _to_levels(_weights(height, side, planes.device) @ across)


def _to_levels(values):
    return values.add_(0.5).floor_().clamp_(0, 255)


@lru_cache(maxsize=32)
def _weights(n_in, n_out, device):
    """What each of n_out pixels takes of n_in: (n_out, n_in) float64, rows that sum to 1."""
    scale = n_in / n_out
    reach = max(scale, 1.0)  # of the filter, a triangle; pixels are averaged where there are more than enough
    own, theirs = (torch.arange(n, dtype=torch.float64, device=device) + 0.5 for n in (n_out, n_in))
    weights = (1 - (theirs - scale * own.unsqueeze(1)).abs() / reach).clamp(min=0)
    weights /= weights.sum(dim=1, keepdim=True)
    return (weights * PRECISION + 0.5).floor() / PRECISION


def _normalise(levels, config):
    red_green_blue = torch.arange(3, device=levels.device).view(3, 1, 1)
    return _table(config, levels.device)[red_green_blue, levels.long()]


@lru_cache(maxsize=4)
def _table(config, device):
    return torch.from_numpy(normalised_levels(config)).to(device)
