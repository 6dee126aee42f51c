"""From raw predictions to detections (paper, section 2.2, "inference")."""

from functools import partial

import torch
from torch.nn.functional import one_hot
from torchvision.ops import nms

from ssd.config import VARIANCES
from ssd.model.boxes import decode, paired_iou

MAX_PER_CLASS = 400  # the authors' release compares no more candidates of a class than these
LARGE_BLOCK = 1600  # candidates of an image; see `_blocks`
PAIRS_AT_ONCE = 2**24  # a GPU needs some hundred bytes for each; see `_suppress_together`
LOW_BITS = 2**32 - 1


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
    non-maximum suppression within a class of IoU > max_overlap; the `top_k` best over all classes. Equal scores: the
    lower label first, then the lower prior.

    locs: (N, n_priors, 4) offsets. scores: (N, n_priors, n_classes) logits, class 0 the background.
    priors_cxcy: (n_priors, 4) centre-size fractions. unused: labels that are never detected, though they take part
    in the softmax.
    Returns three lists with a tensor an image, best first: boxes (n, 4) corner fractions in [0, 1],
    labels (n,) int64 from 1, scores (n,) float32. No detection is n = 0.
    """

    def boxes_of(priors):
        return _decode_boxes(_take(locs, priors), priors_cxcy[priors], variances)

    return _select(boxes_of, _probabilities(scores), min_score, max_overlap, top_k, max_per_class, unused)


def decode_predictions(locs, scores, priors_cxcy, variances=VARIANCES):
    """The first half of `detect_objects`, which is the same whatever is asked of the detections.

    Returns boxes (N, n_priors, 4), corner fractions in [0, 1], and probabilities (N, n_priors, n_classes), whose
    column is the label, 0 the background; float32.
    """
    return _decode_boxes(locs, priors_cxcy, variances), _probabilities(scores)


def select_detections(boxes, probabilities, min_score, max_overlap, top_k, *, max_per_class=MAX_PER_CLASS, unused=()):
    """The second half of `detect_objects`, from what `decode_predictions` returns."""
    return _select(partial(_take, boxes), probabilities.float(), min_score, max_overlap, top_k, max_per_class, unused)


def _decode_boxes(locs, priors_cxcy, variances):
    return decode(locs.float(), priors_cxcy, variances).clamp(0, 1)


def _probabilities(scores):
    return scores.float().softmax(dim=2)


def _take(rows, places):
    """Of rows (N, n, 4) those at places (N, k): (N, k, 4)."""
    return rows.gather(1, places.unsqueeze(2).expand(-1, -1, 4))


def _select(boxes_of, probabilities, min_score, max_overlap, top_k, max_per_class, unused):
    """See `detect_objects`. boxes_of: a function from priors (N, k) to their boxes (N, k, 4).

    What becomes of a candidate depends on better ones alone. So candidates are compared block by block, best first,
    until every image has its `top_k`: some hundreds out of thousands.
    """
    _, n_priors, n_classes = probabilities.shape
    candidates = _candidates(probabilities, min_score, unused)
    kept = candidates[:, :0]
    for block, more in _blocks(candidates, 2 * top_k, max_per_class, n_priors, n_classes):
        rivals = torch.cat([kept, block], dim=1)
        labels, priors, _ = _unpack(rivals, n_priors)
        keep = _suppress(boxes_of(priors).double(), labels, max_overlap)
        kept = (rivals * keep).topk(min(top_k, rivals.shape[1])).values
        if not (more & (kept.count_nonzero(dim=1) < top_k)).any():
            break
    labels, priors, scores = _unpack(kept, n_priors)
    counts = kept.count_nonzero(dim=1).tolist()
    results = boxes_of(priors), labels, scores
    return tuple([image[:n] for image, n in zip(result, counts, strict=True)] for result in results)


def _candidates(probabilities, min_score, unused):
    """The candidates of each image as numbers, larger for better ones: (N, most of an image) int64, the rest 0.

    The upper half of a number has the bits of the score, which order as scores do, none being negative. The lower half
    counts down over labels and their priors, so that no two candidates are equal.
    """
    n_images, n_priors, n_classes = probabilities.shape
    passing = probabilities > min_score
    for label in (0, *unused):
        passing[..., label] = False
    places = _nonzero(passing.flatten())
    images, labels, priors = places // (n_priors * n_classes), places % n_classes, places // n_classes % n_priors
    bits = probabilities.flatten()[places].view(torch.int32).long()
    counts = images.bincount(minlength=n_images)
    columns = torch.arange(len(places), device=places.device) - (counts.cumsum(0) - counts)[images]
    candidates = places.new_zeros(n_images, max(counts.tolist(), default=0))
    candidates[images, columns] = (bits << 32) + LOW_BITS - (labels * n_priors + priors)
    return candidates


def _nonzero(mask):
    """Where a mask (n,) is true. On a CPU NumPy finds it in a third of PyTorch's time."""
    return torch.from_numpy(mask.numpy().nonzero()[0]) if mask.device.type == "cpu" else mask.nonzero().squeeze(1)


def _unpack(candidates, n_priors):
    """Labels, priors and scores of candidates, each of their shape; 0, 0 and 0 where there is none."""
    number = (LOW_BITS - (candidates & LOW_BITS)) * (candidates > 0)
    return number // n_priors, number % n_priors, (candidates >> 32).int().view(torch.float32)


def _blocks(candidates, size, max_per_class, n_priors, n_classes):
    """Candidates best first, block by block (N, block), with 0 for those beyond the best of their class; and
    which images may have more of them (N,). The first block is of `size`, those that follow are larger."""
    seen = 0
    for block in _ranked(candidates, size):
        labels = _unpack(block, n_priors)[0]
        seen = one_hot(labels, n_classes).cumsum(dim=1) + seen  # (N, block, n_classes)
        allowed = seen.gather(2, labels.unsqueeze(2)).squeeze(2) <= max_per_class
        yield block * allowed, block[:, -1] > 0
        seen = seen[:, -1:]


def _ranked(candidates, size):
    """`_blocks` as they are in the ranking. All are ranked only where the first block does not do."""
    if candidates.shape[1]:
        yield candidates.topk(min(size, candidates.shape[1])).values
    if candidates.shape[1] > size:
        rest = candidates.sort(descending=True).values[:, size:]
        while rest.shape[1]:
            size = max(size, min(4 * size, LARGE_BLOCK))
            yield rest[:, :size]
            rest = rest[:, size:]


def _suppress(boxes, labels, max_overlap):
    """Which boxes (N, n, 4), best first, non-maximum suppression within each label (N, n) keeps: (N, n)."""
    # An image at a time, nothing is compared with what is suppressed already, which suits a CPU.
    return (_suppress_by_image if boxes.device.type == "cpu" else _suppress_together)(boxes, labels, max_overlap)


def _suppress_by_image(boxes, labels, max_overlap):
    # Labels are kept apart by shifting their boxes: in float64 that leaves every IoU as it is.
    boxes, order = boxes + 2 * labels.unsqueeze(2), -torch.arange(labels.shape[1], dtype=boxes.dtype)
    keep = torch.zeros_like(labels, dtype=torch.bool)
    for image, own in zip(keep, boxes, strict=True):
        image[nms(own, order, max_overlap)] = True
    return keep


def _suppress_together(boxes, labels, max_overlap):
    n_images = max(1, PAIRS_AT_ONCE // labels.shape[1] ** 2)
    parts = zip(boxes.split(n_images), labels.split(n_images), strict=True)
    return torch.cat([_suppress_in_matrix(*part, max_overlap) for part in parts])


def _suppress_in_matrix(boxes, labels, max_overlap):
    overlaps = paired_iou(boxes.unsqueeze(2), boxes.unsqueeze(1)) > max_overlap  # (N, n, n)
    suppresses = (overlaps & (labels.unsqueeze(2) == labels.unsqueeze(1))).triu(1)  # the row the column, if it is kept
    keep = torch.ones_like(labels, dtype=torch.bool)
    while True:  # each round settles at least one more of the best
        before, keep = keep, ~(suppresses & keep.unsqueeze(2)).any(dim=1)
        if keep.equal(before):
            return keep
