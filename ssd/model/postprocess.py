"""From raw predictions to detections (paper, section 2.2, "Inference")."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from ssd.config import VARIANCES
from ssd.model.boxes import decode

MAX_PER_CLASS = 400  # the authors' release keeps this many candidates of each class

Detected = tuple[list[Tensor], list[Tensor], list[Tensor]]  # boxes, labels and scores, one tensor per image


def detect_objects(
    locs: Tensor,
    scores: Tensor,
    priors_cxcy: Tensor,
    min_score: float,
    max_overlap: float,
    top_k: int,
    *,
    max_per_class: int = MAX_PER_CLASS,
    variances: tuple[float, float] = VARIANCES,
    unused: Sequence[int] = (),
) -> Detected:
    """Decode, threshold and prune the predictions for a batch, each image on its own.

    In this order: softmax score > min_score; the `max_per_class` best of each class; boxes clamped to the image;
    non-maximum suppression within a class, which removes IoU > max_overlap; the `top_k` best over all classes.
    Equal scores: the lower label first, then the lower prior.

    locs: (N, n_priors, 4) offsets. scores: (N, n_priors, n_classes) logits, class 0 is the background.
    priors_cxcy: (n_priors, 4) centre-size fractions. unused: labels that are never detected, although they take part
    in the softmax.
    Returns three lists with one tensor per image, best first: boxes (n, 4) corner fractions in [0, 1],
    labels (n,) int64 from 1, scores (n,) float32. n is 0 where nothing is found.
    """
    predictions = decode_predictions(locs, scores, priors_cxcy, variances)
    return select_detections(*predictions, min_score, max_overlap, top_k, max_per_class=max_per_class, unused=unused)


def decode_predictions(
    locs: Tensor, scores: Tensor, priors_cxcy: Tensor, variances: tuple[float, float] = VARIANCES
) -> tuple[Tensor, Tensor]:
    """The first half of `detect_objects`, which no threshold changes.

    Returns boxes (N, n_priors, 4), corner fractions in [0, 1], and probabilities (N, n_priors, n_classes), whose
    column is the label, 0 the background; both float32.
    """
    return decode(locs.float(), priors_cxcy, variances).clamp(0, 1), scores.float().softmax(dim=2)


def select_detections(
    boxes: Tensor,
    probabilities: Tensor,
    min_score: float,
    max_overlap: float,
    top_k: int,
    *,
    max_per_class: int = MAX_PER_CLASS,
    unused: Sequence[int] = (),
) -> Detected:
    """The second half of `detect_objects`, from what `decode_predictions` returns."""
    images = [
        _select_from_image(*image, min_score, max_overlap, top_k, max_per_class, unused)
        for image in zip(boxes, probabilities.float(), strict=True)
    ]
    found_boxes, labels, scores = ([image[k] for image in images] for k in range(3))
    return found_boxes, labels, scores


def _select_from_image(
    boxes: Tensor,
    probabilities: Tensor,
    min_score: float,
    max_overlap: float,
    top_k: int,
    max_per_class: int,
    unused: Sequence[int],
) -> tuple[Tensor, Tensor, Tensor]:
    """The detections of one image. boxes: (n_priors, 4). probabilities: (n_priors, n_classes)."""
    passing = (probabilities > min_score).T.contiguous()  # (n_classes, n_priors)
    passing[[0, *unused]] = False
    labels, priors = passing.nonzero(as_tuple=True)  # by label, then by prior: the order of equal scores
    scores = probabilities[priors, labels]
    # Only a better candidate suppresses another, so the best few of thousands mostly yield all that are asked for.
    n_tried = max(2 * top_k, 1)
    while True:
        best = _best(scores, n_tried)
        best = best[_count_before(labels[best]) < max_per_class]
        # In float64: `batched_nms` moves the classes apart, which would round the IoUs of float32 boxes.
        kept = batched_nms(boxes[priors[best]].double(), scores[best].double(), labels[best], max_overlap)
        if len(kept) >= top_k or n_tried >= len(scores):
            found = best[kept.sort().values[:top_k]]
            return boxes[priors[found]], labels[found], scores[found]
        n_tried *= 4


def _best(scores: Tensor, n: int) -> Tensor:
    """Indices of the n largest scores and of any equal to the last of them, best first, equal ones in their order."""
    lowest = scores.topk(n).values[-1] if n < len(scores) else 0
    chosen = (scores >= lowest).nonzero().squeeze(1)
    return chosen[scores[chosen].argsort(descending=True, stable=True)]


def _count_before(labels: Tensor) -> Tensor:
    """For each label (n,), how many equal ones come before it."""
    order = labels.argsort(stable=True)
    grouped = labels[order]
    counts = torch.empty_like(labels)
    counts[order] = torch.arange(len(labels), device=labels.device) - torch.searchsorted(grouped, grouped)
    return counts
