"""Two forms of boxes, and the offsets between boxes and priors: pure functions on tensors (..., 4).

xy: (x_min, y_min, x_max, y_max). cxcy: (centre x, centre y, width, height). Both in fractions of the image.
"""

import torch
from torch import Tensor

from ssd.config import VARIANCES


def xy_to_cxcy(xy: Tensor) -> Tensor:
    """Corner boxes (..., 4) -> centre-size boxes (..., 4)."""
    low, high = xy[..., :2], xy[..., 2:]
    return torch.cat([(low + high) / 2, high - low], dim=-1)


def cxcy_to_xy(cxcy: Tensor) -> Tensor:
    """Centre-size boxes (..., 4) -> corner boxes (..., 4)."""
    centre, half = cxcy[..., :2], cxcy[..., 2:] / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def encode(xy: Tensor, priors_cxcy: Tensor, variances: tuple[float, float] = VARIANCES) -> Tensor:
    """Offsets that move each prior onto its box (paper, equation 2), divided by the variances of the authors' release.

        g_c = (c - c_prior) / (size_prior * variances[0])
        g_s = log(size / size_prior) / variances[1]

    xy: (..., 4) corner boxes with positive sizes. priors_cxcy: (..., 4), which broadcast against them.
    Returns (..., 4). The inverse is `decode`.
    """
    box = xy_to_cxcy(xy)
    centre = (box[..., :2] - priors_cxcy[..., :2]) / (priors_cxcy[..., 2:] * variances[0])
    size = (box[..., 2:] / priors_cxcy[..., 2:]).log() / variances[1]
    return torch.cat([centre, size], dim=-1)


def decode(offsets: Tensor, priors_cxcy: Tensor, variances: tuple[float, float] = VARIANCES) -> Tensor:
    """Corner boxes (..., 4): the priors (..., 4), moved by their offsets (..., 4). The inverse of `encode`."""
    centre = priors_cxcy[..., :2] + offsets[..., :2] * variances[0] * priors_cxcy[..., 2:]
    size = priors_cxcy[..., 2:] * (offsets[..., 2:] * variances[1]).exp()
    return cxcy_to_xy(torch.cat([centre, size], dim=-1))


def paired_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU (...) of each box of `a` with the box at the same place in `b`, both (..., 4) corners, in any unit.

    0 for two empty boxes; a box with x_max < x_min or y_max < y_min is empty. The sum is the VOC devkit's,
    (area + other area) - intersection. `torchvision.ops.box_iou` compares every box with every other.
    """
    inside = _common_area(a, b)
    union = _area(a) + _area(b) - inside
    return inside / union.clamp(min=torch.finfo(union.dtype).tiny)


def share_inside(a: Tensor, b: Tensor) -> Tensor:
    """The share (...) of the area of each box of `a` that lies in the box at the same place in `b`; 0 if it is empty.

    Both are (..., 4) corners, in any unit, and broadcast against each other.
    """
    area = _area(a)
    return _common_area(a, b) / area.clamp(min=torch.finfo(area.dtype).tiny)


def _common_area(a: Tensor, b: Tensor) -> Tensor:
    return _area(torch.cat([torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])], dim=-1))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(dim=-1)
