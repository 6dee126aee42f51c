"""Top-1 localisation, for data sets with one object in every picture."""

import numpy as np

from ssd.evaluation.matches import Matches
from ssd.evaluation.overlaps import paired_iou


def top1_localisation(matches: Matches) -> dict[str, float] | None:
    """How good the best detection of each picture is; None unless each picture has exactly one object, not difficult.

    "accuracy": share of pictures whose class is right. "mean_iou": mean IoU, whatever the class. "both": share of
    pictures whose class is right at the IoU threshold of the matches. A picture without detections counts as wrong,
    with IoU 0. Of equal scores, the detection of the lowest label is the best.
    """
    one_each = (np.bincount(matches.true_images, minlength=matches.n_images) == 1).all()
    if matches.n_images == 0 or not one_each or matches.true_difficult.any():
        return None
    dets = matches.best_first(np.arange(len(matches.det_scores)))
    images, first = np.unique(matches.det_images[dets], return_index=True)
    dets = dets[first]  # the best detection of each image that has any
    objects = np.argsort(matches.true_images)[images]
    ious = paired_iou(matches.det_boxes[dets], matches.true_boxes[objects])
    right = matches.det_classes[dets] == matches.true_classes[objects]
    return {
        "accuracy": float(right.sum() / matches.n_images),
        "mean_iou": float(ious.sum() / matches.n_images),
        "both": float((right & (ious >= matches.iou_threshold)).sum() / matches.n_images),
    }
