"""IoU between detections and objects of the same group, as flat arrays of pairs instead of padded matrices."""

from collections.abc import Iterator

import numpy as np
import torch

from ssd.model import boxes

AT_ONCE = 500_000  # pairs


def paired_iou(det_boxes: np.ndarray, true_boxes: np.ndarray) -> np.ndarray:
    """`ssd.model.boxes.paired_iou` of NumPy arrays (n, 4)."""
    return boxes.paired_iou(torch.from_numpy(det_boxes), torch.from_numpy(true_boxes)).numpy()


def best_overlaps(
    det_boxes: np.ndarray,
    det_groups: np.ndarray,
    true_boxes: np.ndarray,
    true_groups: np.ndarray,
    classes: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """For each detection, the IoU (D,) with the object of its group that it overlaps best, and the object's index (D,).

    Of equal overlaps the first object; 0 and -1 for a detection whose group has no object.
    Boxes are (D, 4) and (T, 4) float64, groups (D,) and (T,) integers. classes: (D,) and (T,); a detection then has
    nothing to do with objects of its own class.
    """
    by_group = np.argsort(true_groups, kind="stable")
    starts, stops = (np.searchsorted(true_groups[by_group], det_groups, side) for side in ("left", "right"))
    best_ious, best_objects = np.zeros(len(det_boxes)), np.full(len(det_boxes), -1)
    for dets in _pieces(stops - starts):
        n_pairs = (stops - starts)[dets]
        first = n_pairs.cumsum() - n_pairs  # pair of each detection; its others follow
        pairs, owners = np.arange(n_pairs.sum()), np.repeat(np.arange(len(dets)), n_pairs)  # (P,)
        objects = by_group[starts[dets][owners] + pairs - first[owners]]
        ious = np.nan_to_num(paired_iou(det_boxes[dets[owners]], true_boxes[objects]))
        if classes:
            ious[classes[0][dets[owners]] == classes[1][objects]] = -1
        best = np.maximum.reduceat(ious, first)  # (len(dets),)
        chosen = objects[np.minimum.reduceat(np.where(ious == best[owners], pairs, len(pairs)), first)]
        best_ious[dets], best_objects[dets] = best.clip(min=0), np.where(best < 0, -1, chosen)
    return best_ious, best_objects


def _pieces(n_pairs: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the detections that have pairs, some at a time: together they have about AT_ONCE, so memory stays small."""
    paired = np.flatnonzero(n_pairs)
    piece = n_pairs[paired].cumsum() // AT_ONCE
    yield from filter(len, np.split(paired, np.flatnonzero(np.diff(piece)) + 1))
