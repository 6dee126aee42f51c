from math import nan

import pytest
import torch

from ssd.errors import InputError
from ssd.evaluation import calculate_mAP, match_detections
from tests.helpers.detection_cases import (
    ONE_CLASS,
    lists,
)


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
