"""Average precision by the Pascal VOC devkit's rules, and precision-recall curves."""

from dataclasses import dataclass
from math import nan

import numpy as np

from ssd.errors import InputError
from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.ranking import best_first

RECALLS = np.arange(0.0, 1.1, 0.1)  # as in the devkit's Python ports: the fourth is 0.30000000000000004


@dataclass(frozen=True)
class Curve:
    """Precision and recall of one class after each of its detections, best score first.

    A detection that is ignored repeats the point before it; before the first that counts, precision is 0.
    """

    n_objects: int  # objects that are not difficult
    recall: np.ndarray  # (n,) float64; 0 if there are no objects
    precision: np.ndarray  # (n,) float64
    scores: np.ndarray  # (n,) float64


def calculate_mAP(  # noqa: N802, the field's name
    det_boxes,
    det_labels,
    det_scores,
    true_boxes,
    true_labels,
    true_difficulties,
    label_map,
    iou_threshold=0.5,
    interpolation="voc07",
) -> tuple[dict[str, float], float]:
    """Mean average precision as the Pascal VOC devkit computes it; the rules are those of `match_detections`.

    A class without easy objects has AP NaN and is left out of the mean; a class without detections has AP 0.

    :param det_boxes, det_labels, det_scores: lists with one tensor per image: (n, 4) pixels (x_min, y_min, x_max,
        y_max), (n,) and (n,)
    :param true_boxes, true_labels, true_difficulties: lists with one tensor per image: (m, 4) pixels, (m,) and (m,)
    :param label_map: dict, class name -> label; "background" is left out
    :param iou_threshold: in (0, 1]
    :param interpolation: "voc07" (mean precision at 11 recalls) or "voc10" (area under the curve)
    :return: dict, class name -> AP; mean of those that are numbers, NaN if none is
    :raises InputError: lists of different lengths, a label that is not in the label map, a score that is NaN
    """
    matches = match_detections(
        det_boxes, det_labels, det_scores, true_boxes, true_labels, true_difficulties, label_map, iou_threshold
    )
    aps = average_precisions(matches, interpolation)
    return aps, mean_of_numbers(aps.values())


def average_precisions(matches: Matches, interpolation="voc07") -> dict[str, float]:
    """AP of each class, by name; NaN for a class without easy objects."""
    return {name: average_precision(curve, interpolation) for name, curve in curves(matches).items()}


def curves(matches: Matches) -> dict[str, Curve]:
    """The precision-recall curve of each class, by name."""
    small = np.min_scalar_type(len(matches.names))  # NumPy sorts integers of few bits much faster
    by_class = np.argsort(matches.det_classes.astype(small), kind="stable")
    ends = np.bincount(matches.det_classes, minlength=len(matches.names)).cumsum()
    classes = zip(matches.names, np.split(by_class, ends[:-1]), matches.n_easy.tolist(), strict=False)
    return {name: _curve(matches, dets, n_easy) for name, dets, n_easy in classes}


def average_precision(curve: Curve, interpolation="voc07") -> float:
    """Area under one precision-recall curve, precision being the best at this recall or a higher one.

    "voc07" is the mean at the recalls 0, 0.1, ..., 1; "voc10" the exact area (devkits of 2007 and 2010, VOCap.m).
    :raises InputError: another interpolation
    """
    if interpolation not in ("voc07", "voc10"):
        raise InputError(f"The interpolation is {interpolation!r}; use 'voc07' or 'voc10'.")
    if curve.n_objects == 0:
        return nan
    precision = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    if interpolation == "voc07":
        return float(precision[np.searchsorted(curve.recall, RECALLS)].sum() / len(RECALLS))
    return float((np.diff(curve.recall, prepend=0.0) * precision[:-1]).sum())


def best_f1(curve: Curve) -> tuple[float, float]:
    """The best F1 and the score threshold that gives it: detections of that score or a higher one are kept.

    F1 = 2 TP / (detections that count + objects). (NaN, NaN) for a class without easy objects, (0, NaN) if no
    detection is right. Of equal F1s the highest threshold.
    """
    if curve.n_objects == 0:
        return nan, nan
    # A threshold cannot part equal scores: only the last of them is a choice.
    ends = np.flatnonzero(np.diff(curve.scores, append=-np.inf))
    recall, precision = curve.recall[ends], curve.precision[ends]
    f1 = 2 * recall * precision / (recall + precision).clip(min=np.finfo(float).tiny)
    if not f1.any():
        return 0.0, nan
    best = f1.argmax()
    return float(f1[best]), float(curve.scores[ends[best]])


def mean_of_numbers(values) -> float:
    """Mean without the NaNs; NaN if nothing is left."""
    numbers = [value for value in values if not np.isnan(value)]
    return float(np.mean(numbers)) if numbers else nan


def _curve(matches, dets, n_easy):
    """dets: indices of the detections of one class, in the order given."""
    ranked = dets[best_first(matches.det_scores[dets])]  # equal scores keep their order
    correct = np.cumsum(matches.correct[ranked])
    counted = np.cumsum(~matches.ignored[ranked])
    return Curve(
        n_objects=n_easy,
        recall=correct / max(n_easy, 1),
        precision=correct / counted.clip(min=1),
        scores=matches.det_scores[ranked],
    )
