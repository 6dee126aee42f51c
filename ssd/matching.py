"""Which object each prior answers for (paper, section 2.2, "Matching strategy")."""

import torch


def match(overlaps, threshold=0.5):
    """Assign to each prior the object it has to find, or the background.

    First every object gets a prior of its own, the pair of the highest overlap first (bipartite matching), so that
    objects which share a best prior get one each. Every other prior answers for the object it overlaps most, where
    that is at least `threshold`. Equal overlaps go to the lower index.

    overlaps: (N, n_objects, n_priors) IoU. Rows that only pad an image to the batch's `n_objects` hold -1.
    Returns (N, n_priors) int64: the object's index, -1 for the background. An object is not matched where
    it overlaps no prior (a box without area), or where every prior that it overlaps went to others. `n_objects` may
    be 0.
    """
    n_images, n_objects, n_priors = overlaps.shape
    if n_objects == 0:
        return overlaps.new_full((n_images, n_priors), -1, dtype=torch.int64)
    best_overlap, matched = overlaps.max(dim=1)  # (N, n_priors)
    matched = matched.masked_fill(best_overlap < threshold, -1)

    images = torch.arange(n_images, device=overlaps.device)
    remaining = overlaps.clone()
    for _ in range(n_objects):  # a round gives one object of every image its prior
        overlap, pair = remaining.flatten(1).max(dim=1)  # (N,)
        obj, prior = pair // n_priors, pair % n_priors
        matched[images, prior] = torch.where(overlap > 0, obj, matched[images, prior])
        remaining[images, obj] = -1
        remaining[images, :, prior] = -1
    return matched
