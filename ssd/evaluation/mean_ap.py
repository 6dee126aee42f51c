"""Average precision by the Pascal VOC devkit's rules, and precision-recall curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan

import numpy as np
from torch import Tensor

from ssd.errors import InputError
from ssd.evaluation.matches import Matches, match_detections

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

    @property
    def envelope(self) -> np.ndarray:
        """(n,) the best precision at each recall or a higher one: what AP integrates."""
        return np.maximum.accumulate(self.precision[::-1])[::-1]

    @property
    def f1(self) -> np.ndarray:
        """(n,) the harmonic mean of recall and precision: 2 TP / (detections that count + objects)."""
        total = (self.recall + self.precision).clip(min=np.finfo(float).tiny)
        return 2 * self.recall * self.precision / total

    @property
    def eleven_points(self) -> np.ndarray:
        """(11,) the envelope at the recalls 0, 0.1, ..., 1; 0 where they are not reached."""
        return np.append(self.envelope, 0.0)[np.searchsorted(self.recall, RECALLS)]


def calculate_mAP(  # noqa: N802, the field's name
    det_boxes: Sequence[Tensor],
    det_labels: Sequence[Tensor],
    det_scores: Sequence[Tensor],
    true_boxes: Sequence[Tensor],
    true_labels: Sequence[Tensor],
    true_difficulties: Sequence[Tensor],
    label_map: Mapping[str, int],
    iou_threshold: float = 0.5,
    interpolation: str = "voc07",
) -> tuple[dict[str, float], float]:
    """Average precision of each class, by name, and their mean, as the Pascal VOC devkit computes them.

    A class without easy objects has AP NaN and is left out of the mean; a class without detections has AP 0. The mean
    is NaN if no class has easy objects.

    The lists have one tensor per image: boxes (n, 4) pixels (x_min, y_min, x_max, y_max), labels, scores and
    difficulties (n,). They are matched by the rules of `match_detections`.
    label_map: class name -> label; "background" is left out. iou_threshold: in (0, 1].
    interpolation: "voc07" (mean precision at 11 recalls) or "voc10" (area under the curve).
    Raises InputError on lists of different lengths, a label that the label map lacks, and a score that is NaN.
    """
    matches = match_detections(
        det_boxes, det_labels, det_scores, true_boxes, true_labels, true_difficulties, label_map, iou_threshold
    )
    aps = average_precisions(matches, interpolation)
    return aps, mean_of_numbers(aps.values())


def average_precisions(matches: Matches, interpolation: str = "voc07") -> dict[str, float]:
    """AP of each class, by name; NaN for a class without easy objects."""
    return {name: average_precision(curve, interpolation) for name, curve in curves(matches).items()}


def curves(matches: Matches) -> dict[str, Curve]:
    """The precision-recall curve of each class, by name."""
    classes = zip(matches.names, matches.n_easy.tolist(), strict=True)
    return {name: _curve(matches, k, n_easy) for k, (name, n_easy) in enumerate(classes)}


def average_precision(curve: Curve, interpolation: str = "voc07") -> float:
    """Area under the envelope of one precision-recall curve.

    "voc07" is the mean at the recalls 0, 0.1, ..., 1; "voc10" the exact area (devkits of 2007 and 2010, VOCap.m).
    NaN without objects. Raises InputError on another interpolation.
    """
    if interpolation not in ("voc07", "voc10"):
        raise InputError(f"the interpolation is {interpolation!r}; use 'voc07' or 'voc10'")
    if curve.n_objects == 0:
        return nan
    if interpolation == "voc07":
        return float(curve.eleven_points.sum() / len(RECALLS))
    return float((np.diff(curve.recall, prepend=0.0) * curve.envelope).sum())


def best_f1(curve: Curve) -> tuple[float, float]:
    """The best F1 and the score threshold that gives it: detections of that score or a higher one are kept.

    (NaN, NaN) for a class without easy objects, (0, NaN) if no detection is right. Of equal F1s the highest threshold.
    """
    if curve.n_objects == 0:
        return nan, nan
    # A threshold cannot separate equal scores: only the last of them is a choice.
    ends = np.flatnonzero(np.diff(curve.scores, append=-np.inf))
    f1 = curve.f1[ends]
    if not f1.any():
        return 0.0, nan
    best = f1.argmax()
    return float(f1[best]), float(curve.scores[ends[best]])


def mean_of_numbers(values: Iterable[float]) -> float:
    """Mean without the NaNs; NaN if nothing is left."""
    numbers = [value for value in values if not isnan(value)]
    return float(np.mean(numbers)) if numbers else nan


def _curve(matches: Matches, class_index: int, n_easy: int) -> Curve:
    ranked = matches.best_first(np.flatnonzero(matches.det_classes == class_index))
    correct, counted = np.cumsum(matches.correct[ranked]), np.cumsum(~matches.ignored[ranked])
    return Curve(
        n_objects=n_easy,
        recall=correct / max(n_easy, 1),
        precision=correct / counted.clip(min=1),
        scores=matches.det_scores[ranked],
    )
