"""Which object each prior answers for (paper, section 2.2, "Matching strategy")."""

import torch


def match(overlaps, threshold=0.5):
    """Assign to each prior the object it has to find, or the background.

    First every object gets a prior of its own, the pair of the highest overlap first (bipartite matching), so that
    objects which share a best prior get one each. Every other prior answers for the object it overlaps most, where
    that is at least `threshold`. Equal overlaps go to the lower index.

    overlaps: (N, n_objects, n_priors) IoU, float32. Rows that only pad an image to the batch's `n_objects` hold -1.
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
    remaining, priors = _best_priors(overlaps, min(n_objects, n_priors))
    for _ in range(n_objects):  # a round gives one object of every image its prior
        overlap, pair = remaining.flatten(1).max(dim=1)  # (N,)
        obj = pair // remaining.shape[2]
        prior = priors.flatten(1)[images, pair]
        matched[images, prior] = torch.where(overlap > 0, obj, matched[images, prior])
        remaining[images, obj] = -1
        remaining.masked_fill_(priors == prior.view(-1, 1, 1), -1)
    return matched


def _best_priors(overlaps, k):
    """The k highest overlaps of each object and the priors they are with, both (N, n_objects, k), the highest first;
    of equal ones the lower prior first. Others can take no more than n_objects - 1 of an object's priors from it, so
    n_objects of them always do."""
    # Lowered by far less than the distance to the next smaller float32, and more from prior to prior, no two are
    # equal (but for 0, which is never matched).
    lowering = torch.arange(overlaps.shape[2], device=overlaps.device, dtype=torch.float64) * 2**-43
    priors = (overlaps * (1 - lowering)).topk(k, dim=2).indices
    return overlaps.gather(2, priors), priors
