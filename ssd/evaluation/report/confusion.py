"""The confusion matrix of a detector, with the background as one more class."""

import numpy as np

from ssd.evaluation.matches import Matches, judge
from ssd.evaluation.overlaps import best_overlaps
from ssd.evaluation.report import SHOWN_SCORE


def confusion_matrix(matches: Matches, min_score: float = SHOWN_SCORE) -> np.ndarray:
    """Counts (C + 1, C + 1) int64 of objects by true class (row) and detected class (column), the background last.

    Each detection of a score above `min_score` is compared with the object of its image that it overlaps best,
    whatever the class. If the IoU reaches the threshold of the matches, the detection takes the object, unless one of
    a higher score (of equal scores: of a lower label) took it. The last column counts easy objects that no detection
    took, the last row detections that took none. Difficult objects and the detections whose best object is difficult
    are left out.
    """
    shown = matches.best_first(np.flatnonzero(matches.det_scores > min_score))
    ious, objects = best_overlaps(
        matches.det_boxes[shown], matches.det_images[shown], matches.true_boxes, matches.true_images
    )
    taking, ignored, taken = judge(
        matches.det_scores[shown], ious, objects, matches.true_difficult, matches.iou_threshold
    )
    n = len(matches.names) + 1
    det_classes = matches.det_classes[shown]
    missed = matches.true_classes[~matches.true_difficult & (taken < 0)]
    matrix = np.zeros((n, n), dtype=np.int64)
    np.add.at(matrix, (matches.true_classes[objects[taking]], det_classes[taking]), 1)
    matrix[-1] += np.bincount(det_classes[~taking & ~ignored], minlength=n)
    matrix[:, -1] += np.bincount(missed, minlength=n)
    return matrix
