"""IoU between boxes of the same group, as flat ragged arrays instead of padded matrices."""

import numpy as np


def paired_iou(boxes, others) -> np.ndarray:
    """IoU of each box with the other of the same row; 0 where both are empty.

    :param boxes, others: (n, 4) float64 (x_min, y_min, x_max, y_max); a box with x_max < x_min counts as empty
    :return: (n,) float64, summed in the order of the devkit: (area + other area) - intersection
    """
    corners = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    intersection = corners.clip(min=0).prod(axis=1)
    union = _areas(boxes) + _areas(others) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def best_overlaps(det_boxes, det_groups, true_boxes, true_groups) -> tuple[np.ndarray, np.ndarray]:
    """For each detection, the object of its group that it overlaps best; of equal overlaps, the first.

    :param det_boxes: (D, 4) float64 pixels
    :param det_groups: (D,) integers; a detection meets the objects whose group has the same number
    :param true_boxes: (T, 4) float64 pixels
    :param true_groups: (T,) integers
    :return: IoU (D,) float64 and index of the object (D,); 0 and -1 for a detection whose group has no object
    """
    dets, objects, firsts = _pairs(det_groups, true_groups)
    ious, best = np.zeros(len(det_boxes)), np.full(len(det_boxes), -1)
    if len(dets) == 0:
        return ious, best
    pair_ious = paired_iou(det_boxes[dets], true_boxes[objects])
    ious[dets[firsts]] = np.maximum.reduceat(pair_ious, firsts)
    # Written backwards, so that of several objects with the best IoU the first stays.
    at_best = np.flatnonzero(pair_ious == ious[dets])[::-1]
    best[dets[at_best]] = objects[at_best]
    return ious, best


def _pairs(det_groups, true_groups):
    """All (detection, object) pairs of a group: indices of both (P,), and where each detection's pairs start."""
    by_group = np.argsort(true_groups, kind="stable")
    groups, starts, sizes = np.unique(true_groups[by_group], return_index=True, return_counts=True)
    at = np.searchsorted(groups, det_groups)
    dets = np.flatnonzero(np.append(groups, -1)[at] == det_groups)  # detections whose group has objects
    starts, sizes = starts[at[dets]], sizes[at[dets]]
    ends = np.cumsum(sizes)
    firsts = ends - sizes
    within = np.arange(sizes.sum()) - np.repeat(firsts, sizes)  # 0, 1, ... for each detection's pairs
    return np.repeat(dets, sizes), by_group[np.repeat(starts, sizes) + within], firsts


def _areas(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
