import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.evaluation import match_detections
from ssd.evaluation.report.confusion import confusion_matrix
from tests.helpers.detection_cases import BY_HAND, agreeable_case, hotcoco_evaluation, one_image, random_case


@pytest.mark.parametrize("seed", range(4))
def test_confusion_matrix_equals_hotcoco(seed):
    matches = match_detections(*agreeable_case(seed))
    expected = hotcoco_evaluation(matches).confusion_matrix(min_score=0.3)["matrix"]
    assert confusion_matrix(matches, min_score=0.3).tolist() == expected.tolist()
    assert np.diag(expected)[:2].min() > 0


def test_confusion_matrix_by_hand():
    matches = one_image(*BY_HAND)
    # At 0.25 the cat of 0.1 and the dog of 0.2 are not shown, and the cat of 0.3 lies on the difficult cat.
    assert confusion_matrix(matches, min_score=0.25).tolist() == [
        [1, 0, 1],  # cats: one found, one missed
        [1, 0, 1],  # dogs: one called a cat, one missed
        [4, 0, 0],  # cats where there is none: a duplicate, two of IoU below 0.5, one on the background
    ]
    assert confusion_matrix(matches, min_score=1).tolist() == [[0, 0, 2], [0, 0, 2], [0, 0, 0]]


def naive_confusion(case, min_score, threshold):
    n = len(case[6])
    matrix = np.zeros((n, n), dtype=int)
    for boxes, labels, scores, objects, classes, hard in zip(*case[:6], strict=True):
        taken = set()
        rows = [k for k in range(len(scores)) if scores[k] > min_score]
        for k in sorted(rows, key=lambda k: (-float(scores[k]), int(labels[k]), k)):
            ious = [naive_iou(boxes[k].tolist(), box.tolist()) for box in objects]
            best = int(np.argmax(ious)) if ious else -1
            if best < 0 or ious[best] < threshold or (best in taken and not hard[best]):
                matrix[n - 1, int(labels[k]) - 1] += 1
            elif not hard[best]:
                taken.add(best)
                matrix[int(classes[best]) - 1, int(labels[k]) - 1] += 1
        for k in range(len(classes)):
            if not hard[k] and k not in taken:
                matrix[int(classes[k]) - 1, n - 1] += 1
    return matrix


def naive_iou(a, b):
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    min_score=st.sampled_from([0, 0.25, 0.6]),
    threshold=st.sampled_from([0.3, 0.5, 0.8]),
)
def test_confusion_matrix_detection_by_detection(seed, min_score, threshold):
    case = random_case(seed)
    expected = naive_confusion(case, min_score, threshold)
    matches = match_detections(*case, iou_threshold=threshold)
    assert confusion_matrix(matches, min_score).tolist() == expected.tolist()
