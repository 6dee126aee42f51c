"""From raw predictions to detections (paper, section 2.2, "inference")."""

from torchvision.ops import batched_nms

from ssd.boxes import decode
from ssd.config import VARIANCES


def detect_objects(
    locs, scores, priors_cxcy, min_score, max_overlap, top_k, *, max_per_class=400, variances=VARIANCES, unused=()
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
    probabilities = scores.float().softmax(dim=2)[..., 1:].transpose(1, 2)  # (N, n_classes - 1, n_priors)
    probabilities[:, [label - 1 for label in unused]] = -1  # below any min_score
    best, priors = probabilities.topk(min(max_per_class, probabilities.shape[2]), dim=2)
    results = [
        _detect_image(*image, priors_cxcy, min_score, max_overlap, top_k, variances)
        for image in zip(locs.float(), best, priors, strict=True)
    ]
    return tuple(list(part) for part in zip(*results, strict=True)) if results else ([], [], [])


def _detect_image(locs, best, priors, priors_cxcy, min_score, max_overlap, top_k, variances):
    """locs: (n_priors, 4). best, priors: (n_classes - 1, k), scores of each class and whose they are."""
    classes, rank = (best > min_score).nonzero(as_tuple=True)
    scores, priors = best[classes, rank], priors[classes, rank]
    boxes = decode(locs[priors], priors_cxcy[priors], variances).clamp(0, 1)
    # batched_nms keeps classes apart by shifting their boxes: in float64 that leaves every IoU as it is.
    kept = batched_nms(boxes.double(), scores.double(), classes, max_overlap)[:top_k]
    return boxes[kept], classes[kept] + 1, scores[kept]
