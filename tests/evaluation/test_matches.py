from math import nan

import numpy as np
import pytest
import torch

from ssd.errors import InputError
from ssd.evaluation import calculate_mAP, match_detections
from ssd.evaluation.overlaps import best_overlaps, paired_iou
from tests.helpers.detection_cases import (
    ONE_CLASS,
    lists,
)


def test_iou_needs_float64():
    """An IoU of 0.5 less one part in 2 ** 26 would be 0.5 in float32."""
    true, det = np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 0, 1, 0.5 - 2**-27]])
    assert paired_iou(det, true)[0] < 0.5 <= np.float32(paired_iou(det, true)[0])
    score, label, easy = [torch.tensor([0.5])], [torch.tensor([1])], [torch.tensor([0])]
    true = [torch.from_numpy(true)]
    assert calculate_mAP([torch.from_numpy(det)], label, score, true, label, easy, ONE_CLASS)[1] == 0
    half = [torch.tensor([[0.0, 0, 1, 0.5]])]
    assert calculate_mAP(half, label, score, true, label, easy, ONE_CLASS)[1] == 1


def test_a_detection_meets_only_the_object_it_overlaps_best():
    """COCO would give the second detection the second object; the devkit calls it a duplicate."""
    true = lists(([[0, 0, 10, 10], [0, 4, 10, 14]], [1, 1], [0, 0]))
    det = lists(([[0, 0, 10, 10], [0, 1, 10, 11]], [1, 1], [0.9, 0.8]))
    matches = match_detections(*det, *true, ONE_CLASS, iou_threshold=0.5)
    assert matches.correct.tolist() == [True, False]
    assert matches.det_objects.tolist() == [0, 0]


def test_of_equal_overlaps_the_first_object():
    true = lists(([[0, 0, 10, 10], [0, 0, 10, 10]], [1, 1], [1, 0]))
    det = lists(([[0, 0, 10, 10]], [1], [0.9]))
    assert match_detections(*det, *true, ONE_CLASS).ignored.tolist() == [True]


def test_best_overlaps_by_hand():
    dets = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    objects = np.array([[0.0, 0, 10, 5], [0, 0, 10, 8], [90, 0, 99, 9], [0, 0, 10, 10]])
    ious, best = best_overlaps(dets, np.array([7, 3, 5, 9]), objects, np.array([7, 7, 5, 9]))
    assert ious.tolist() == [0.8, 0, 0, 1] and best.tolist() == [1, -1, 2, 3]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"iou_threshold": 0}, "the IoU threshold is 0"),
        ({"interpolation": "coco"}, "the interpolation is 'coco'"),
        ({"det_scores": [torch.tensor([0.5, nan])]}, "image 0 has the score NaN"),
        ({"det_labels": [torch.tensor([1, 2])]}, "image 0 has the label 2 in det_labels"),
        ({"true_labels": [torch.tensor([0])]}, "image 0 has the label 0 in true_labels"),
        ({"det_labels": [torch.tensor([1])]}, "image 0 has 2 rows in det_boxes and 1 in det_labels"),
        ({"det_labels": []}, "det_labels has 0 images and true_boxes 1"),
    ],
)
def test_bad_input(change, message):
    good = {
        "det_boxes": [torch.zeros(2, 4)],
        "det_labels": [torch.tensor([1, 1])],
        "det_scores": [torch.tensor([0.5, 0.5])],
        "true_boxes": [torch.zeros(1, 4)],
        "true_labels": [torch.tensor([1])],
        "true_difficulties": [torch.tensor([0])],
        "label_map": ONE_CLASS,
    }
    calculate_mAP(**good)
    with pytest.raises(InputError, match=message):
        calculate_mAP(**(good | change))
