"""The 8732 prior (default) boxes of SSD300 (paper, section 2.2)."""

import torch


def create_prior_boxes(config):
    """The prior table of a configuration, float32 (n_priors, 4), centre-size fractions of the image.

    Maps in order, cells row by row, the priors of a cell in channel order: the order of the model's predictions.
    Computed in float64 and rounded once.
    """
    tables = [
        _map_priors(cells, step, sizes)
        for cells, step, sizes in zip(config.feature_maps, config.steps, config.prior_sizes, strict=True)
    ]
    priors = torch.cat(tables)  # (8732, 4)
    if config.clip == "all":
        priors = priors.clamp(0, 1)
    elif config.clip == "size":
        priors[:, 2:] = priors[:, 2:].clamp(0, 1)
    return priors.float()


def _map_priors(cells, step, sizes):
    centres = (torch.arange(cells, dtype=torch.float64) + 0.5) * step
    cy, cx = torch.meshgrid(centres, centres, indexing="ij")  # (cells, cells)
    centres = torch.stack([cx, cy], dim=-1).view(-1, 1, 2)  # (cells^2, 1, 2)
    sizes = torch.tensor(sizes, dtype=torch.float64)  # (priors per cell, 2)
    n_cells, n_sizes = len(centres), len(sizes)
    priors = torch.cat([centres.expand(n_cells, n_sizes, 2), sizes.expand(n_cells, n_sizes, 2)], dim=-1)
    return priors.view(-1, 4)
