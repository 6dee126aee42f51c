"""What the false positives and the missed objects are, and the AP that each kind of error costs.

The kinds and their order are those of TIDE (Bolya et al., ECCV 2020, section 2.2, and its reference implementation);
matches and AP are the devkit's, so that the losses are parts of the reported mAP. Difficult objects are treated as
absent, and a detection that the devkit ignores is no error.
"""

from dataclasses import dataclass, replace

import numpy as np

from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import average_precisions, mean_of_numbers
from ssd.evaluation.overlaps import best_overlaps

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
BACKGROUND_IOU = 0.1


@dataclass(frozen=True)
class Errors:
    """The kind of each error. Arrays are aligned with those of the matches."""

    det_kinds: np.ndarray  # (D,) index into KINDS, -1 where the detection is no false positive
    det_targets: np.ndarray  # (D,) the object that a classification or localisation error was meant for, or -1
    missed: np.ndarray  # (T,) bool: easy objects that no detection found, and no corrected detection would find


def error_breakdown(matches: Matches, interpolation: str = "voc07") -> dict[str, dict[str, int | float]]:
    """For each kind of error: "count", and "ap_lost", what mAP would gain if only these errors were fixed.

    To fix a kind means: of the detections meant for one object that was not found, the best-scored takes the object's
    class (a classification error) or box (a localisation error) and is right; all others of the kind are gone. Missed
    objects do not count, and a class left without objects leaves the mean. "ap_lost" is NaN where there is no mAP.
    """
    errors = classify_errors(matches)
    base = _mean_ap(matches, interpolation)
    breakdown = {}
    for index, kind in enumerate(KINDS):
        count = errors.missed.sum() if kind == "missed" else (errors.det_kinds == index).sum()
        fixed = _mean_ap(without_errors(matches, errors, kind), interpolation)
        # With every object of every class missed, nothing would be left to get wrong.
        fixed = 1.0 if kind == "missed" and np.isnan(fixed) and not np.isnan(base) else fixed
        breakdown[kind] = {"count": int(count), "ap_lost": fixed - base}
    return breakdown


def classify_errors(matches: Matches) -> Errors:
    """Name each false positive by its IoU with the easy objects of its image, of its own class and of others.

    In this order, with the threshold t of the matches: localisation (own class, IoU from 0.1 to t), classification
    (another class, IoU at least t), duplicate (own class, IoU at least t), background (no IoU above 0.1), and both
    (another class, IoU from 0.1 to t).
    """
    false = np.flatnonzero(matches.false)
    own_iou, own, other_iou, other = _best_easy_objects(matches, false)
    conditions = {
        "localisation": (own_iou >= BACKGROUND_IOU) & (own_iou < matches.iou_threshold),
        "classification": other_iou >= matches.iou_threshold,
        "duplicate": own_iou >= matches.iou_threshold,
        "background": np.maximum(own_iou, other_iou) <= BACKGROUND_IOU,
    }
    numbers = [KINDS.index(kind) for kind in conditions]
    kinds = np.select(list(conditions.values()), numbers, default=KINDS.index("both"))
    targets = np.select(list(conditions.values())[:2], [own, other], default=-1)

    det_kinds, det_targets = np.full((2, len(matches.det_scores)), -1)
    det_kinds[false], det_targets[false] = kinds, targets
    missed = ~matches.true_difficult & (matches.true_found < 0)
    missed[targets[targets >= 0]] = False
    return Errors(det_kinds, det_targets, missed)


def without_errors(matches: Matches, errors: Errors, kind: str) -> Matches:
    """The matches as they would be if the errors of one kind were fixed."""
    if kind == "missed":
        return replace(matches, true_difficult=matches.true_difficult | errors.missed)
    of_kind = errors.det_kinds == KINDS.index(kind)
    right = np.zeros_like(of_kind)
    right[_best_for_each_target(matches, errors)] = True
    right &= of_kind
    classes = matches.det_classes.copy()
    classes[right] = matches.true_classes[errors.det_targets[right]]
    return replace(
        matches, det_classes=classes, correct=matches.correct | right, ignored=matches.ignored | (of_kind & ~right)
    )


def _best_for_each_target(matches: Matches, errors: Errors) -> np.ndarray:
    """Indices of the best-scored detection meant for each object that was not found, whatever its kind of error."""
    dets = np.flatnonzero(errors.det_targets >= 0)
    dets = matches.best_first(dets[matches.true_found[errors.det_targets[dets]] < 0])
    return dets[np.unique(errors.det_targets[dets], return_index=True)[1]]


def _best_easy_objects(matches: Matches, chosen: np.ndarray) -> tuple[np.ndarray, ...]:
    """IoU of each chosen detection with the best easy object of its class, that object, and both for other classes."""
    easy = np.flatnonzero(~matches.true_difficult)
    det_boxes, images, true_images = matches.det_boxes[chosen], matches.det_images[chosen], matches.true_images[easy]
    classes = matches.det_classes[chosen], matches.true_classes[easy]
    n, true_boxes = len(matches.names), matches.true_boxes[easy]
    own = best_overlaps(det_boxes, images * n + classes[0], true_boxes, true_images * n + classes[1])
    other = best_overlaps(det_boxes, images, true_boxes, true_images, classes)
    return tuple(part for ious, objects in (own, other) for part in (ious, np.append(easy, -1)[objects]))


def _mean_ap(matches: Matches, interpolation: str) -> float:
    return mean_of_numbers(average_precisions(matches, interpolation).values())
