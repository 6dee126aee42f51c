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
    min_score: float | Tensor,
    max_overlap: float,
    top_k: int,
    *,
    max_per_class: int = MAX_PER_CLASS,
    variances: tuple[float, float] = VARIANCES,
    unused: Sequence[int] = (),
) -> Detected:
    """Decode, threshold and prune the predictions for a batch, each image on its own.

    Boxes are clamped to the image. Then, in this order: softmax score > min_score; the `max_per_class` best of each
    class; non-maximum suppression within a class, which removes IoU > max_overlap; the `top_k` best over all classes.
    Equal scores: the lower label first, then the lower prior.

    locs: (N, n_priors, 4) offsets. scores: (N, n_priors, n_classes) logits, class 0 is the background.
    priors_cxcy: (n_priors, 4) centre-size fractions. min_score: of all classes, or (n_classes,), one of each label.
    unused: labels that are never detected, although they take part in the softmax.
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
    min_score: float | Tensor,
    max_overlap: float,
    top_k: int,
    *,
    max_per_class: int = MAX_PER_CLASS,
    unused: Sequence[int] = (),
) -> Detected:
    """The second half of `detect_objects`, from what `decode_predictions` returns."""
    found_boxes, found_labels, found_scores = [], [], []
    for own_boxes, own_probabilities in zip(boxes, probabilities.float(), strict=True):
        labels, priors, scores = candidates(own_probabilities, min_score, unused)
        found = _suppress(own_boxes[priors], labels, scores, max_overlap, top_k, max_per_class)
        found_boxes.append(own_boxes[priors[found]])
        found_labels.append(labels[found])
        found_scores.append(scores[found])
    return found_boxes, found_labels, found_scores


def candidates(
    probabilities: Tensor, min_score: float | Tensor, unused: Sequence[int] = ()
) -> tuple[Tensor, Tensor, Tensor]:
    """Labels, priors and scores, each (n,), of what passes in one image. probabilities: (n_priors, n_classes)."""
    passing = (probabilities > min_score).T.contiguous()  # (n_classes, n_priors)
    passing[[0, *unused]] = False
    labels, priors = passing.nonzero(as_tuple=True)  # by label, then by prior: the order of equal scores
    return labels, priors, probabilities[priors, labels]


def _suppress(
    boxes: Tensor, labels: Tensor, scores: Tensor, max_overlap: float, top_k: int, max_per_class: int
) -> Tensor:
    """Indices of those of an image's candidates that become its detections, best first.

    Only better candidates can suppress one. So the best few are tried first; they usually give `top_k` detections.
    """
    n_tried = max(2 * top_k, 1)
    while True:
        best = _best(scores, n_tried)
        best = best[_count_before(labels[best]) < max_per_class]
        # In float64, because `batched_nms` moves the classes apart, which would round the IoUs of float32 boxes.
        kept = batched_nms(boxes[best].double(), scores[best].double(), labels[best], max_overlap)
        if len(kept) >= top_k or n_tried >= len(scores):
            return best[kept.sort().values[:top_k]]
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
