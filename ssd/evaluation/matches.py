"""One matching pass between detections and objects, from which every Pascal VOC figure is computed.

Only a detection and an object of the same image and class can match. The pass builds exactly those pairs as flat
arrays, without a Python loop over detections, images or classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ssd.errors import InputError
from ssd.evaluation.overlaps import best_overlaps


@dataclass(frozen=True)
class Matches:
    """The result of the matching pass: flat arrays over the D detections and T objects of all images, in their order.

    Boxes are pixels (x_min, y_min, x_max, y_max) in float64. Classes index `names`, not the label map.
    A detection that is neither `correct` nor `ignored` is a false positive.
    """

    names: list[str]  # class names in the order of their labels, without background
    n_images: int
    iou_threshold: float

    det_images: np.ndarray  # (D,) index of the image
    det_boxes: np.ndarray  # (D, 4)
    det_classes: np.ndarray  # (D,)
    det_scores: np.ndarray  # (D,) float64
    det_ious: np.ndarray  # (D,) IoU with the best object of the same image and class, 0 without one
    det_objects: np.ndarray  # (D,) index of that object, -1 without one
    correct: np.ndarray  # (D,) bool: true positive
    ignored: np.ndarray  # (D,) bool: neither true nor false positive, because its best object is difficult

    true_images: np.ndarray  # (T,) index of the image
    true_boxes: np.ndarray  # (T, 4)
    true_classes: np.ndarray  # (T,)
    true_difficult: np.ndarray  # (T,) bool
    true_found: np.ndarray  # (T,) index of the detection that found the object, -1 if none did

    @property
    def false(self) -> np.ndarray:
        """(D,) bool: false positive."""
        return ~(self.correct | self.ignored)

    def best_first(self, dets: np.ndarray) -> np.ndarray:
        """Sort indices of detections by score, the highest first; of equal scores the lower class, then the earlier."""
        return dets[np.lexsort((self.det_classes[dets], -self.det_scores[dets]))]

    @property
    def n_easy(self) -> np.ndarray:
        """(C,) objects of each class that are not difficult: what recall is a fraction of."""
        return np.bincount(self.true_classes[~self.true_difficult], minlength=len(self.names))


def match_detections(
    det_boxes: Sequence[Tensor],
    det_labels: Sequence[Tensor],
    det_scores: Sequence[Tensor],
    true_boxes: Sequence[Tensor],
    true_labels: Sequence[Tensor],
    true_difficulties: Sequence[Tensor],
    label_map: Mapping[str, int],
    iou_threshold: float = 0.5,
) -> Matches:
    """Match detections with objects by the rules of the Pascal VOC devkit (VOCevaldet.m).

    Each detection is compared with the object of its image and class that it overlaps best (the first of equals). If
    that IoU reaches the threshold, the detection is ignored if the object is difficult, a true positive if no
    detection of a higher score took the object, and a false positive otherwise. All others are false positives.

    The lists have one tensor per image: boxes (n, 4) pixels, labels, scores and difficulties (n,).
    label_map: class name -> label; "background" is left out. iou_threshold: in (0, 1].
    Raises InputError on lists of different lengths, a label that the label map lacks, and a score that is NaN.
    """
    if not 0 < iou_threshold <= 1:
        raise InputError(f"the IoU threshold is {iou_threshold}; give a number above 0 and at most 1")
    names, n_images = _class_names(label_map), len(true_boxes)
    det = _flat(n_images, label_map, torch.float64, det_boxes=det_boxes, det_labels=det_labels, det_scores=det_scores)
    true = _flat(
        n_images, label_map, torch.bool,
        true_boxes=true_boxes, true_labels=true_labels, true_difficulties=true_difficulties,
    )  # fmt: skip
    if np.isnan(det.values).any():
        image = det.images[np.isnan(det.values)][0]
        raise InputError(f"a detection of image {image} has the score NaN; scores must be numbers")

    det_groups, true_groups = (rows.images * len(names) + rows.classes for rows in (det, true))
    ious, objects = best_overlaps(det.boxes, det_groups, true.boxes, true_groups)
    correct, ignored, found = judge(det.values, ious, objects, true.values, iou_threshold)
    return Matches(names, n_images, iou_threshold, *det, ious, objects, correct, ignored, *true, found)


def judge(
    scores: np.ndarray, ious: np.ndarray, objects: np.ndarray, difficult: np.ndarray, iou_threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decide which detections are right (D,), which are ignored (D,), and which detection found each object (T,).

    The last are indices, -1 for an object that none found.
    scores, ious, objects: (D,) score, IoU with the best object, and its index (-1: none). difficult: (T,) bool.
    """
    reaches = ious >= iou_threshold
    ignored = reaches & np.append(difficult, False)[objects]  # index -1 is the appended False
    candidates = np.flatnonzero(reaches & ~ignored)
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    taken, first = np.unique(objects[candidates], return_index=True)  # the first is the one of the highest score
    found = np.full(len(difficult), -1)
    found[taken] = candidates[first]
    correct = np.zeros(len(scores), dtype=bool)
    correct[candidates[first]] = True
    return correct, ignored, found


def _class_names(label_map: Mapping[str, int]) -> list[str]:
    """The names of a label map in the order of their labels, without the background."""
    return sorted((name for name in label_map if name != "background"), key=label_map.__getitem__)


class _Rows(NamedTuple):
    """The rows of all images, in the order of the fields of `Matches`."""

    images: np.ndarray  # (n,) index of the image
    boxes: np.ndarray  # (n, 4) float64
    classes: np.ndarray  # (n,)
    values: np.ndarray  # (n,) scores or difficulties


def _flat(n_images: int, label_map: Mapping[str, int], dtype: torch.dtype, **lists: Sequence[Tensor]) -> _Rows:
    """Join three lists: boxes, labels, and values, which become `dtype`. Their names are for the messages."""
    images = _image_of_each_row(n_images, **lists)
    boxes, labels, values = (torch.cat(list(tensors)) if n_images else torch.zeros(0) for tensors in lists.values())
    return _Rows(
        images,
        _array(boxes, torch.float64).reshape(-1, 4),
        _class_indices(_array(labels, torch.int64), images, label_map, list(lists)[1]),
        _array(values, dtype),
    )


def _array(tensor: Tensor, dtype: torch.dtype) -> np.ndarray:
    return tensor.detach().cpu().to(dtype).numpy()


def _image_of_each_row(n_images: int, **lists: Sequence[Tensor]) -> np.ndarray:
    """(n,) index of the image that each row of the joined lists comes from."""
    lengths = {}
    for name, tensors in lists.items():
        if len(tensors) != n_images:
            raise InputError(f"{name} has {len(tensors)} images and true_boxes {n_images}; they must be the same")
        lengths[name] = np.array([tensor.shape[0] for tensor in tensors], dtype=np.int64)
    (first_name, first), *others = lengths.items()
    for name, length in others:
        if (first != length).any():
            i = (first != length).argmax()
            raise InputError(
                f"image {i} has {first[i]} rows in {first_name} and {length[i]} in {name}; make them equal"
            )
    return np.repeat(np.arange(n_images), first)


def _class_indices(labels: np.ndarray, images: np.ndarray, label_map: Mapping[str, int], list_name: str) -> np.ndarray:
    """The place of each label among the sorted labels of the classes."""
    known = np.array([label_map[name] for name in _class_names(label_map)], dtype=np.int64)
    unknown = ~np.isin(labels, known)
    if unknown.any():
        i = unknown.argmax()
        raise InputError(
            f"image {images[i]} has the label {labels[i]} in {list_name}, which the label map of {len(known)} classes "
            "does not have; use the label map of the data set"
        )
    return np.searchsorted(known, labels)
