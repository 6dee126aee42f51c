"""The confusion matrix of a detector, with the background as one more class."""

import numpy as np

from ssd.evaluation.matches import Matches, judge
from ssd.evaluation.overlaps import best_overlaps

MIN_SCORE = 0.2  # as for pictures: the detections that `Detector` would show


def confusion_matrix(matches: Matches, min_score=MIN_SCORE) -> np.ndarray:
    """Objects by true class (rows) and detected class (columns); the last row and column are the background.

    Each detection of a score above `min_score` is compared with the object of its image that it overlaps best,
    whatever the class; at the IoU threshold of the matches, an object goes to the first such detection in the order
    of scores (of equal scores the lowest label). The last column counts easy objects that no detection took, the last
    row detections that took none. A detection whose best object is difficult is left out, as difficult objects are.

    :return: (n_classes + 1, n_classes + 1) int64
    """
    shown = np.flatnonzero(matches.det_scores > min_score)
    shown = shown[np.argsort(matches.det_classes[shown], kind="stable")]
    ious, objects = best_overlaps(
        matches.det_boxes[shown], matches.det_images[shown], matches.true_boxes, matches.true_images
    )
    taking, ignored, taken = judge(
        matches.det_scores[shown], ious, objects, matches.true_difficult, matches.iou_threshold
    )
    background = len(matches.names)
    det_classes = matches.det_classes[shown]
    matrix = np.zeros((background + 1, background + 1), dtype=np.int64)
    np.add.at(matrix, (matches.true_classes[objects[taking]], det_classes[taking]), 1)
    np.add.at(matrix, (background, det_classes[~taking & ~ignored]), 1)
    np.add.at(matrix, (matches.true_classes[~matches.true_difficult & (taken < 0)], background), 1)
    return matrix
