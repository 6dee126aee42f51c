"""From raw predictions to detections (paper, section 2.2, "inference")."""

import torch
from torchvision.ops import batched_nms

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
    """The second half of `detect_objects`, from what `decode_predictions` returns."""
    probabilities = probabilities.index_fill(2, torch.tensor(unused, device=boxes.device, dtype=torch.int64), -1)
    by_class = probabilities[..., 1:].transpose(1, 2)  # (N, n_classes - 1, n_priors)
    best, priors = by_class.topk(min(max_per_class, by_class.shape[2]), dim=2)
    results = [
        _select_of_image(*image, min_score, max_overlap, top_k) for image in zip(boxes, best, priors, strict=True)
    ]
    return tuple(list(part) for part in zip(*results, strict=True)) if results else ([], [], [])


def _select_of_image(boxes, best, priors, min_score, max_overlap, top_k):
    """boxes: (n_priors, 4). best, priors: (n_classes - 1, k), scores of each class and whose they are."""
    classes, rank = (best > min_score).nonzero(as_tuple=True)
    boxes, scores = boxes[priors[classes, rank]], best[classes, rank]
    # batched_nms keeps classes apart by shifting their boxes: in float64 that leaves every IoU as it is.
    kept = batched_nms(boxes.double(), scores.double(), classes, max_overlap)[:top_k]
    return boxes[kept], classes[kept] + 1, scores[kept]
