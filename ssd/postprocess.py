"""From raw predictions to detections (paper, section 2.2, "inference")."""

import torch
from torchvision.ops import nms

from ssd.boxes import decode
from ssd.config import VARIANCES

MAX_PER_CLASS = 400  # the authors' release compares no more candidates of a class than these


def detect_objects(
    locs,
    scores,
    priors_cxcy,
    min_score,
    max_overlap,
    top_k,
    *,
    max_per_class=MAX_PER_CLASS,
    variances=VARIANCES,
    unused=(),
):
    """Decode, threshold and prune a batch's predictions. What an image gives does not depend on its batch.

    In this order: softmax score > min_score; the `max_per_class` best of each class; boxes clamped to the image;
    non-maximum suppression within a class of IoU > max_overlap; the `top_k` best over all classes.

    locs: (N, n_priors, 4) offsets. scores: (N, n_priors, n_classes) logits, class 0 the background.
    priors_cxcy: (n_priors, 4) centre-size fractions. unused: labels that are never detected, though they take part
    in the softmax.
    Returns three lists with a tensor an image, best first: boxes (n, 4) corner fractions in [0, 1],
    labels (n,) int64 from 1, scores (n,) float32. No detection is n = 0.
    """
    boxes, probabilities = decode_predictions(locs, scores, priors_cxcy, variances)
    return select_detections(
        boxes, probabilities, min_score, max_overlap, top_k, max_per_class=max_per_class, unused=unused
    )


def decode_predictions(locs, scores, priors_cxcy, variances=VARIANCES):
    """The first half of `detect_objects`, which is the same whatever is asked of the detections.

    Returns boxes (N, n_priors, 4), corner fractions in [0, 1], and probabilities (N, n_priors, n_classes), whose
    column is the label, 0 the background; float32.
    """
    return decode(locs.float(), priors_cxcy, variances).clamp(0, 1), scores.float().softmax(dim=2)


def select_detections(boxes, probabilities, min_score, max_overlap, top_k, *, max_per_class=MAX_PER_CLASS, unused=()):
    """The second half of `detect_objects`, from what `decode_predictions` returns. Equal scores: the lower label first,
    then the lower prior."""
    passing = probabilities[..., 1:] > min_score  # (N, n_priors, n_classes - 1)
    passing[..., [label - 1 for label in unused]] = False
    images, priors, classes = passing.nonzero(as_tuple=True)
    scores = probabilities[images, priors, classes + 1]
    counts = images.bincount(minlength=len(boxes)).tolist()
    candidates = zip(boxes, *(part.split(counts) for part in (priors, classes + 1, scores)), strict=True)
    results = [_select_of_image(*image, max_overlap, top_k, max_per_class) for image in candidates]
    return tuple(list(part) for part in zip(*results, strict=True)) if results else ([], [], [])


def _select_of_image(boxes, priors, labels, scores, max_overlap, top_k, max_per_class):
    """boxes: (n_priors, 4). priors, labels, scores: (n,) of the candidates, in the priors' order.

    What becomes of a candidate depends on better ones alone. So we compare no more of the best than it takes to keep
    `top_k` of them: some hundreds out of thousands.
    """
    n_best = 2 * top_k
    while True:
        best = _best_first(labels, scores, n_best, max_per_class)
        kept = best[_suppress(boxes[priors[best]], labels[best], scores[best], max_overlap)[:top_k]]
        if len(kept) == top_k or n_best >= len(scores):
            return boxes[priors[kept]], labels[kept], scores[kept]
        n_best *= 4


def _best_first(labels, scores, n_best, max_per_class):
    """Where the `n_best` best candidates are, and all that score as the last of these, but for those beyond the
    `max_per_class` best of their class."""
    lowest = scores.topk(n_best).values[-1] if n_best < len(scores) else 0
    best = (scores >= lowest).nonzero().squeeze(1)
    best = best[labels[best].argsort(stable=True)]
    best = best[scores[best].argsort(descending=True, stable=True)]
    return best[_ranks(labels[best]) < max_per_class]


def _ranks(labels):
    """How many earlier places of `labels` (n,) hold the same label (n,)."""
    by_label = labels.argsort(stable=True)
    counts = labels.bincount()
    firsts = (counts.cumsum(0) - counts)[labels[by_label]]
    ranks = torch.empty_like(labels)
    ranks[by_label] = torch.arange(len(labels), device=labels.device) - firsts
    return ranks


def _suppress(boxes, labels, scores, max_overlap):
    """The places that non-maximum suppression within each label keeps, of candidates that come best first."""
    # Labels are kept apart by shifting their boxes: in float64 that leaves every IoU as it is.
    return nms(boxes.double() + 2 * labels.unsqueeze(1), scores.double(), max_overlap)
