"""One matching pass between detections and objects, from which every Pascal VOC figure is computed.

Only a detection and an object of the same image and the same class can match, so the pass builds exactly those pairs
as flat arrays: objects are sorted by (image, class), each detection looks up where its group starts and how long it
is, and the pairs follow by repetition. There is no Python loop over detections, images or classes.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ssd.errors import InputError
from ssd.evaluation.overlaps import best_overlaps
from ssd.evaluation.ranking import best_first


@dataclass(frozen=True)
class Matches:
    """What the matching pass knows; arrays are flat over all images, in the order in which the lists were given.

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
    det_objects: np.ndarray  # (D,) index of that object, -1 where the image has no object of the class
    correct: np.ndarray  # (D,) bool: true positive
    ignored: np.ndarray  # (D,) bool: neither true nor false positive, as its best object is difficult
    true_images: np.ndarray  # (T,)
    true_boxes: np.ndarray  # (T, 4)
    true_classes: np.ndarray  # (T,)
    true_difficult: np.ndarray  # (T,) bool
    true_found: np.ndarray  # (T,) index of the detection that found the object, -1 if none did

    @property
    def false(self) -> np.ndarray:
        """(D,) bool: false positive."""
        return ~(self.correct | self.ignored)

    @property
    def n_easy(self) -> np.ndarray:
        """(C,) objects that are not difficult, per class: what recall is a fraction of."""
        return np.bincount(self.true_classes[~self.true_difficult], minlength=len(self.names))


def match_detections(
    det_boxes, det_labels, det_scores, true_boxes, true_labels, true_difficulties, label_map, iou_threshold=0.5
) -> Matches:
    """Match detections with objects by the rules of the Pascal VOC devkit (VOCevaldet.m).

    A detection is compared with the object of its image and class that it overlaps best (the first of equals). If
    that IoU reaches the threshold, it is ignored when the object is difficult, a true positive when no detection of
    a higher score had the object, and a false positive when one had. All others are false positives.

    :param det_boxes, det_labels, det_scores: lists with one tensor per image: (n, 4) pixels, (n,) and (n,)
    :param true_boxes, true_labels, true_difficulties: lists with one tensor per image: (m, 4) pixels, (m,) and (m,)
    :param label_map: dict, class name -> label; "background" is left out
    :param iou_threshold: in (0, 1]
    :raises InputError: lists of different lengths, a label that is not in the label map, a score that is NaN
    """
    if not 0 < iou_threshold <= 1:
        raise InputError(f"The IoU threshold is {iou_threshold}; give a number above 0 and at most 1.")
    names = class_names(label_map)
    det = _flatten(len(true_boxes), det_boxes=det_boxes, det_labels=det_labels, det_scores=det_scores)
    true = _flatten(
        len(true_boxes), true_boxes=true_boxes, true_labels=true_labels, true_difficulties=true_difficulties
    )
    _check_scores(det["det_scores"], det["images"])
    det_classes = _class_indices(det["det_labels"], det["images"], names, label_map, "a detection")
    true_classes = _class_indices(true["true_labels"], true["images"], names, label_map, "an object")
    difficult = true["true_difficulties"] != 0

    det_groups, true_groups = det["images"] * len(names) + det_classes, true["images"] * len(names) + true_classes
    ious, objects = best_overlaps(det["det_boxes"], det_groups, true["true_boxes"], true_groups)
    correct, ignored, found = judge(det["det_scores"], ious, objects, difficult, iou_threshold)
    return Matches(
        names=names,
        n_images=len(true_boxes),
        iou_threshold=iou_threshold,
        det_images=det["images"],
        det_boxes=det["det_boxes"],
        det_classes=det_classes,
        det_scores=det["det_scores"],
        det_ious=ious,
        det_objects=objects,
        correct=correct,
        ignored=ignored,
        true_images=true["images"],
        true_boxes=true["true_boxes"],
        true_classes=true_classes,
        true_difficult=difficult,
        true_found=found,
    )


def judge(scores, ious, objects, difficult, iou_threshold):
    """Which detections are right, which are ignored, and which detection found each object.

    :param scores, ious, objects: (D,) score, IoU with the best object, and its index (-1: none) of each detection
    :param difficult: (T,) bool
    :return: correct (D,) bool, ignored (D,) bool, found (T,) index of a detection or -1
    """
    reaches = ious >= iou_threshold
    ignored = reaches & np.append(difficult, False)[objects]  # index -1 is the appended False
    candidates = np.flatnonzero(reaches & ~ignored)
    candidates = candidates[best_first(scores[candidates])]
    taken, first = np.unique(objects[candidates], return_index=True)  # the best-scored detection of each object
    found = np.full(len(difficult), -1)
    found[taken] = candidates[first]
    correct = np.zeros(len(scores), dtype=bool)
    correct[candidates[first]] = True
    return correct, ignored, found


def class_names(label_map) -> list[str]:
    """The names of a label map in the order of their labels, without the background."""
    return sorted((name for name in label_map if name != "background"), key=label_map.get)


def _flatten(n_images, **lists):
    """Join lists of tensors: arrays by the lists' names, and "images", the image of each row."""
    for name, tensors in lists.items():
        if len(tensors) != n_images:
            raise InputError(f"{name} has {len(tensors)} images and true_boxes {n_images}; they must be the same.")
    lengths = {name: np.array([t.shape[0] for t in tensors], dtype=np.int64) for name, tensors in lists.items()}
    (first_name, first), *others = lengths.items()
    for name, length in others:
        if (first != length).any():
            i = np.flatnonzero(first != length)[0]
            raise InputError(
                f"Image {i} has {first[i]} rows in {first_name} and {length[i]} in {name}; make them equal."
            )
    joined = {name: _joined(name, tensors) for name, tensors in lists.items()}
    return joined | {"images": np.repeat(np.arange(n_images), first)}


def _joined(name, tensors):
    """float64 for boxes (n, 4) and scores (n,), int64 for labels and difficulties (n,)."""
    joined = torch.cat(list(tensors)) if len(tensors) else torch.zeros(0)
    dtype = torch.float64 if name.endswith(("boxes", "scores")) else torch.int64
    return joined.detach().cpu().to(dtype).numpy().reshape((-1, 4) if name.endswith("boxes") else -1)


def _check_scores(scores, images):
    missing = np.flatnonzero(np.isnan(scores))
    if len(missing):
        raise InputError(f"A detection of image {images[missing[0]]} has the score NaN; scores must be numbers.")


def _class_indices(labels, images, names, label_map, what):
    """Index into `names` of each label; `what` the labels belong to is for the message."""
    table = np.array([label_map[name] for name in names], dtype=np.int64)
    indices = np.searchsorted(table, labels)
    unknown = np.flatnonzero(np.append(table, np.iinfo(np.int64).min)[indices] != labels)
    if len(unknown):
        i = unknown[0]
        raise InputError(
            f"Image {images[i]} has {what} of label {labels[i]}, which the label map of {len(names)} classes does "
            "not have; use the label map of the data set."
        )
    return indices
