"""Which object each prior answers for (paper, section 2.2, "Matching strategy")."""

import torch
from torch import Tensor


def match(overlaps: Tensor, threshold: float = 0.5) -> Tensor:
    """Assign to each prior the object it should detect, or the background.

    Every object first gets a prior of its own, the pair with the highest overlap first (bipartite matching), so objects
    that share a best prior get one each. Every other prior answers for the object it overlaps most, if that overlap is
    at least `threshold`. Equal overlaps go to the lower index.

    overlaps: (N, n_objects, n_priors) IoU. Rows that only pad an image to the batch's `n_objects` hold -1.
    Returns (N, n_priors) int64: the object's index, -1 for the background. An object stays unmatched if it overlaps no
    prior (a box without area), or if every prior that it overlaps went to others. `n_objects` may be 0.
    """
    n_images, n_objects, n_priors = overlaps.shape
    if n_objects == 0:
        return overlaps.new_full((n_images, n_priors), -1, dtype=torch.int64)
    best_overlap, matched = overlaps.max(dim=1)  # (N, n_priors)
    matched = matched.masked_fill(best_overlap < threshold, -1)

    # The other objects take one prior each, so each object finds one of its own among its n_objects best.
    ranked = overlaps.sort(dim=2, descending=True, stable=True)
    remaining = ranked.values[..., :n_objects].clone()  # (N, n_objects, n_best), -1 for what is taken
    priors = ranked.indices[..., :n_objects]  # (N, n_objects, n_best), the priors of these overlaps
    images = torch.arange(n_images, device=overlaps.device)
    for _ in range(n_objects):  # each round gives one object of every image its prior
        overlap, pair = remaining.flatten(1).max(dim=1)  # (N,)
        obj, place = pair // remaining.shape[2], pair % remaining.shape[2]
        prior = priors[images, obj, place]
        matched[images, prior] = torch.where(overlap > 0, obj, matched[images, prior])
        remaining[images, obj] = -1
        remaining.masked_fill_(priors == prior.view(-1, 1, 1), -1)
    return matched
