"""IoU between boxes of the same group, as flat ragged arrays instead of padded matrices."""

from typing import NamedTuple

import numpy as np


class Pairs(NamedTuple):
    """All pairs of a detection and an object of the same group, detection by detection."""

    dets: np.ndarray  # (P,) index of the detection, ascending
    objects: np.ndarray  # (P,) index of the object, ascending for each detection
    firsts: np.ndarray  # (number of detections that have a pair,) where the pairs of each start


def paired_iou(boxes, others) -> np.ndarray:
    """IoU of each box with the other of the same row; 0 where both are empty.

    :param boxes, others: (n, 4) float64 (x_min, y_min, x_max, y_max); a box with x_max < x_min counts as empty
    :return: (n,) float64, summed in the order of the devkit: (area + other area) - intersection
    """
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    intersection = sides.clip(min=0).prod(axis=1)
    union = _areas(boxes) + _areas(others) - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def best_overlaps(det_boxes, det_groups, true_boxes, true_groups) -> tuple[np.ndarray, np.ndarray]:
    """For each detection, the object of its group that it overlaps best; of equal overlaps, the first.

    :param det_boxes: (D, 4) float64 pixels
    :param det_groups: (D,) integers from 0, not in the billions; a detection meets the objects of the same number
    :param true_boxes: (T, 4) float64 pixels
    :param true_groups: (T,) integers
    :return: IoU (D,) float64 and index of the object (D,); 0 and -1 for a detection whose group has no object
    """
    pairs = group_pairs(det_groups, true_groups)
    return best_of_pairs(paired_iou(det_boxes[pairs.dets], true_boxes[pairs.objects]), pairs, len(det_boxes))


def group_pairs(det_groups, true_groups) -> Pairs:
    """Pair each detection with the objects of its group."""
    by_group = np.argsort(true_groups, kind="stable")
    groups, starts, sizes = np.unique(true_groups[by_group], return_index=True, return_counts=True)
    places = np.full(max(groups.max(initial=-1), det_groups.max(initial=-1)) + 1, -1)
    places[groups] = np.arange(len(groups))
    at = places[det_groups]
    dets = np.flatnonzero(at >= 0)  # detections whose group has objects
    starts, sizes = starts[at[dets]], sizes[at[dets]]
    firsts = np.cumsum(sizes) - sizes
    within = np.arange(sizes.sum()) - np.repeat(firsts, sizes)  # 0, 1, ... for each detection's pairs
    return Pairs(np.repeat(dets, sizes), by_group[np.repeat(starts, sizes) + within], firsts)


def best_of_pairs(ious, pairs: Pairs, n_detections) -> tuple[np.ndarray, np.ndarray]:
    """The best IoU of each detection (D,) and its object (D,), the first of equals; 0 and -1 without a pair."""
    best_iou, best = np.zeros(n_detections), np.full(n_detections, -1)
    if len(ious) == 0:
        return best_iou, best
    best_iou[pairs.dets[pairs.firsts]] = np.maximum.reduceat(ious, pairs.firsts)
    # Written backwards, so that of several objects with the best IoU the first stays.
    at_best = np.flatnonzero(ious == best_iou[pairs.dets])[::-1]
    best[pairs.dets[at_best]] = pairs.objects[at_best]
    return best_iou, best


def _areas(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=1)
