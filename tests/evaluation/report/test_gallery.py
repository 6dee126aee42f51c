import numpy as np
import pytest
from PIL import Image

from ssd.evaluation import match_detections
from ssd.evaluation.report.gallery import best_detections, confident_false_positives, draw_case, missed_objects
from ssd.evaluation.report.mistakes import classify_errors
from tests.helpers.detection_cases import lists


@pytest.fixture
def by_hand():
    """Two pictures; cats 1, dogs 2."""
    found = lists(
        ([[0, 0, 10, 10], [50, 50, 90, 90], [0, 0, 10, 4]], [1, 1, 1], [0.7, 0.9, 0.95]),
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [1, 2], [0.8, 0.1]),
    )
    true = lists(
        ([[0, 0, 10, 10], [30, 30, 40, 40], [30, 0, 50, 20]], [1, 2, 2], [0, 0, 1]),
        ([[0, 0, 10, 10], [20, 0, 30, 10], [60, 60, 80, 80]], [2, 2, 1], [0, 0, 0]),
    )
    return match_detections(*found, *true, {"cat": 1, "dog": 2})


def test_choice_of_pictures_by_hand(by_hand, monkeypatch):
    wrong = confident_false_positives(by_hand, classify_errors(by_hand))
    assert [case.caption for case in wrong] == [
        "cat 0.95: localisation, IoU 0.40 with cat",
        "cat 0.80: classification, IoU 1.00 with dog",
    ]
    assert [case.image for case in wrong] == [0, 1]
    assert [(case.image, case.caption) for case in missed_objects(by_hand)] == [
        (1, "cat: not found"),
        (0, "dog: not found"),
    ]
    assert [case.caption for case in missed_objects(by_hand, min_score=0.9)] == ["cat: not found", "dog: not found"]
    assert [case.caption for case in best_detections(by_hand)] == ["cat 0.70, IoU 1.00", "dog 0.10, IoU 1.00"]
    monkeypatch.setattr("ssd.evaluation.report.gallery.CASES", 1)
    assert len(best_detections(by_hand)) == 1


def test_captions_name_difficult_objects():
    found = lists(([[0, 0, 10, 10], [50, 0, 60, 10]], [1, 1], [0.9, 0.8]))
    true = lists(([[0, 0, 10, 9], [50, 0, 60, 4]], [2, 2], [1, 1]))
    matches = match_detections(*found, *true, {"cat": 1, "dog": 2})
    cases = confident_false_positives(matches, classify_errors(matches))
    assert [case.caption for case in cases] == ["cat 0.90: background, IoU 0.90 with dog (difficult)"]
    matches = match_detections(*([values[0][1:]] for values in found), *true, {"cat": 1, "dog": 2})
    cases = confident_false_positives(matches, classify_errors(matches))
    assert [case.caption for case in cases] == ["cat 0.80: background"]


def test_objects_found_with_a_low_score_count_as_missed():
    box = [[0, 0, 10, 10]]
    found = lists(*((box, [1], [score]) for score in (0.15, 0.25, -3.0)), ([[50, 50, 60, 60]], [1], [0.9]))
    true = lists(*[(box, [1], [0])] * 4)
    cases = missed_objects(match_detections(*found, *true, {"cat": 1}))
    low = [f"cat: found with a score of {score} only" for score in ("-3.00", "0.15")]
    assert [case.caption for case in cases] == ["cat: not found", *low]


def test_best_detections_take_turns_between_classes():
    found = lists(*(([[0, 0, 10, 10]], [label], [score]) for label, score in ((1, 0.9), (1, 0.8), (2, 0.5))))
    true = lists(*(([[0, 0, 10, 10]], [label], [0]) for label in (1, 1, 2)))
    matches = match_detections(*found, *true, {"cat": 1, "dog": 2})
    assert [case.tag for case in best_detections(matches)] == ["cat 0.90", "dog 0.50", "cat 0.80"]


def test_drawn_cases(by_hand, tmp_path):
    """Truth and detections in colours of their own, at the right places of the enlarged picture."""
    Image.new("RGB", (100, 100)).save(tmp_path / "0.png")
    case = confident_false_positives(by_hand, classify_errors(by_hand))[0]
    picture = np.asarray(draw_case(case, by_hand, tmp_path / "0.png")).astype(int)
    assert picture.shape == (640, 640, 3)

    def places(colour):
        rows, columns = np.nonzero((picture == colour).all(axis=2))
        return columns.min(), rows.min(), columns.max(), rows.max()

    rows, columns = slice(192, 256), slice(192, 256)  # of the dog from 30 to 40, times 6.4; its lower edge is free
    edge = (picture[rows, columns][-3:] == (60, 200, 80)).all(axis=2).any(axis=0)
    assert edge.any() and not edge.all()  # dashed

    left, top, _, bottom = places(case.colour)  # its tag may reach further to the right
    assert (left, top, bottom) == (0, 0, 25)  # the detection's lower end is 4, times 6.4
    assert places((60, 200, 80))[2:] == (319, 255)  # the objects' right and lower ends: 50 and 40, times 6.4
    assert places((150, 190, 235))[2:] == (575, 575)  # the other detections end at 90


def test_a_detection_does_not_hide_an_object_of_the_same_box(tmp_path):
    """The case's own box is told by its index: the object of the same box is drawn below it."""
    box = [[10.0, 10, 90, 90]]
    matches = match_detections(*lists((box * 2, [1, 2], [0.9, 0.8])), *lists((box, [1], [0])), {"cat": 1, "dog": 2})
    Image.new("RGB", (100, 100)).save(tmp_path / "0.png")
    calls = []

    def recorded(picture, boxes, *args, **options):
        calls.append(len(boxes))
        return picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssd.evaluation.report.gallery.draw_boxes", recorded)
        draw_case(best_detections(matches)[0], matches, tmp_path / "0.png")
    assert calls == [1, 1, 1]  # the dog, the object, the cat
