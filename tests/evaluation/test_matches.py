from ssd.evaluation import match_detections
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
