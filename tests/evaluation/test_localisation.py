from dataclasses import replace

import pytest
import torch

from ssd.evaluation import format_summary, match_detections, summarize
from ssd.evaluation.localisation import top1_localisation
from tests.helpers.detection_cases import random_case


def one_object_each(boxes, labels, scores):
    """Four pictures with one cat each at (0, 0, 10, 10)."""
    true = [torch.tensor([[0.0, 0, 10, 10]])] * 4, [torch.tensor([1])] * 4, [torch.tensor([0])] * 4
    return match_detections(boxes, labels, scores, *true, {"cat": 1, "dog": 2})


def test_top1_localisation_by_hand():
    boxes = [
        torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]]),  # the better score is the worse box: IoU 0.5
        torch.tensor([[0.0, 0, 10, 10]]),  # right box, wrong class
        torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 10]]),  # equal scores: the cat's, IoU 0.4
        torch.zeros(0, 4),
    ]
    labels = [torch.tensor([1, 1]), torch.tensor([2]), torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)]
    scores = [torch.tensor([0.5, 0.9]), torch.tensor([0.9]), torch.tensor([0.7, 0.7]), torch.zeros(0)]
    matches = one_object_each(boxes, labels, scores)
    assert top1_localisation(matches) == pytest.approx({"accuracy": 0.5, "mean_iou": 1.9 / 4, "both": 0.25})
    assert top1_localisation(replace(matches, iou_threshold=0.6))["both"] == 0
    assert "top-1 mean IoU      0.4750" in format_summary(summarize(matches))


def test_top1_localisation_only_for_one_object_a_picture():
    case = random_case(0)
    assert top1_localisation(match_detections(*case)) is None
    cat = [torch.tensor([[0.0, 0, 10, 10]])], [torch.tensor([1])]
    for difficult, expected in ((0, {"accuracy": 1, "mean_iou": 1, "both": 1}), (1, None)):
        matches = match_detections(*cat, [torch.tensor([0.5])], *cat, [torch.tensor([difficult])], {"cat": 1})
        assert top1_localisation(matches) == expected
