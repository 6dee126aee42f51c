"""IoU between detections and objects of the same group, as flat arrays of pairs instead of padded matrices."""

import numpy as np
import torch

from ssd.model import boxes


def paired_iou(det_boxes: np.ndarray, true_boxes: np.ndarray) -> np.ndarray:
    """`ssd.model.boxes.paired_iou` of NumPy arrays (n, 4)."""
    return boxes.paired_iou(torch.from_numpy(det_boxes), torch.from_numpy(true_boxes)).numpy()


def best_overlaps(
    det_boxes: np.ndarray, det_groups: np.ndarray, true_boxes: np.ndarray, true_groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each detection, the IoU (D,) with the object of its group that it overlaps best, and the object's index (D,).

    Of equal overlaps the first object; 0 and -1 for a detection whose group has no object.
    Boxes are (D, 4) and (T, 4) float64. Groups are (D,) and (T,) integers from 0; memory grows with the largest.
    """
    dets, objects = pair_by_group(det_groups, true_groups)
    return best_of_pairs(dets, objects, paired_iou(det_boxes[dets], true_boxes[objects]), len(det_boxes))


def pair_by_group(det_groups: np.ndarray, true_groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair each detection with each object of its group: the indices of both, (P,) and (P,), in ascending order."""
    by_group = np.argsort(true_groups, kind="stable")
    sizes = np.bincount(true_groups, minlength=det_groups.max(initial=-1) + 1)
    starts = sizes.cumsum() - sizes  # where the objects of each group start in by_group
    n_pairs = sizes[det_groups]  # of each detection
    dets = np.repeat(np.arange(len(det_groups)), n_pairs)
    places = np.arange(len(dets)) - np.repeat(n_pairs.cumsum() - n_pairs, n_pairs)  # 0, 1, ... for each detection
    return dets, by_group[starts[det_groups[dets]] + places]


def best_of_pairs(
    dets: np.ndarray, objects: np.ndarray, ious: np.ndarray, n_detections: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best IoU (D,) of each detection and its object (D,), the first of equals; 0 and -1 without a pair."""
    best_ious, best_objects = np.zeros(n_detections), np.full(n_detections, -1)
    best_first = np.argsort(-ious, kind="stable")
    paired, first = np.unique(dets[best_first], return_index=True)
    best_ious[paired] = ious[best_first[first]]
    best_objects[paired] = objects[best_first[first]]
    return best_ious, best_objects
