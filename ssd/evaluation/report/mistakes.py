"""What the false positives and the missed objects are, and the AP that each kind of error costs.

The kinds and their order are those of TIDE (Bolya et al., ECCV 2020, section 2.2, and its reference implementation);
matches and AP are the devkit's, so that the losses are parts of the mAP that is reported. Difficult objects are as if
they were not there: they take no blame for an error, and a detection that the devkit ignores is no error.
"""

from dataclasses import dataclass, replace

import numpy as np

from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import average_precisions, mean_of_numbers
from ssd.evaluation.overlaps import best_of_pairs, group_pairs, paired_iou
from ssd.evaluation.ranking import best_first

KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")
BACKGROUND_IOU = 0.1


@dataclass(frozen=True)
class Errors:
    """The kind of each error. Arrays are aligned with those of the matches."""

    det_kinds: np.ndarray  # (D,) index into KINDS, -1 where the detection is no false positive
    det_targets: np.ndarray  # (D,) the object that a classification or localisation error was meant for, or -1
    missed: np.ndarray  # (T,) bool: easy objects that no detection found, and no corrected detection would find


def error_breakdown(matches: Matches, interpolation="voc07") -> dict[str, dict]:
    """For each kind of error: "count", and "ap_lost", what mAP would gain if only these errors were mended.

    Mended means: of the detections meant for one object that was not found, the best-scored takes the object's class
    (a classification error) or box (a localisation error) and is right; all others of the kind are gone. Missed
    objects do not count, and a class left without objects leaves the mean. "ap_lost" is NaN where there is no mAP.
    """
    errors = classify_errors(matches)
    base = _mean_ap(matches, interpolation)
    breakdown = {}
    for index, kind in enumerate(KINDS):
        count = errors.missed.sum() if kind == "missed" else (errors.det_kinds == index).sum()
        mended = _mean_ap(mend(matches, errors, kind), interpolation)
        # With every object of every class missed nothing would be left to get wrong.
        mended = 1.0 if kind == "missed" and np.isnan(mended) and not np.isnan(base) else mended
        breakdown[kind] = {"count": int(count), "ap_lost": mended - base}
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


def mend(matches: Matches, errors: Errors, kind: str) -> Matches:
    """The matches as they would be without the errors of one kind."""
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


def _best_for_each_target(matches, errors):
    """Indices of the best-scored detection meant for each object that was not found, whatever its kind of error."""
    dets = np.flatnonzero(errors.det_targets >= 0)
    dets = dets[matches.true_found[errors.det_targets[dets]] < 0]
    dets = dets[best_first(matches.det_scores[dets])]
    return dets[np.unique(errors.det_targets[dets], return_index=True)[1]]


def _best_easy_objects(matches, dets):
    """IoU with, and index of, the best easy object of the same class and of another class, for some detections."""
    easy = np.flatnonzero(~matches.true_difficult)
    pairs = group_pairs(matches.det_images[dets], matches.true_images[easy])
    ious = paired_iou(matches.det_boxes[dets][pairs.dets], matches.true_boxes[easy][pairs.objects])
    same = matches.det_classes[dets][pairs.dets] == matches.true_classes[easy][pairs.objects]
    own_iou, own = best_of_pairs(np.where(same, ious, 0), pairs, len(dets))
    other_iou, other = best_of_pairs(np.where(same, 0, ious), pairs, len(dets))
    return own_iou, np.append(easy, -1)[own], other_iou, np.append(easy, -1)[other]


def _mean_ap(matches, interpolation):
    return mean_of_numbers(average_precisions(matches, interpolation).values())
