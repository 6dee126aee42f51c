"""The priors, which the paper calls default boxes (section 2.2): 8732 for SSD300."""

import torch
from torch import Tensor

from ssd.config import Sizes, SSDConfig


def create_prior_boxes(config: SSDConfig) -> Tensor:
    """The prior table of a config, float32 (n_priors, 4), in centre-size fractions of the image.

    In the order of the model's predictions: map by map, cell by cell in rows, the priors of a cell in channel order.
    Computed in float64 and rounded once.
    """
    maps = zip(config.feature_maps, config.steps, config.prior_sizes, strict=True)
    priors = torch.cat([_priors_of_map(*each) for each in maps])  # (n_priors, 4)
    if config.clip == "all":
        priors = priors.clamp(0, 1)
    elif config.clip == "size":
        priors[:, 2:] = priors[:, 2:].clamp(0, 1)
    return priors.float()


def _priors_of_map(cells: int, step: float, sizes: Sizes) -> Tensor:
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) * step
    cy, cx = torch.meshgrid(centres, centres, indexing="ij")  # (cells, cells)
    centre = torch.stack([cx, cy], dim=2).view(-1, 1, 2).expand(-1, len(sizes), 2)  # (cells^2, n_sizes, 2)
    size = torch.tensor(sizes, dtype=torch.float64).expand(cells**2, -1, 2)  # (cells^2, n_sizes, 2)
    return torch.cat([centre, size], dim=2).view(-1, 4)
