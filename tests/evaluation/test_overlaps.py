import numpy as np
import pytest
import torch

from ssd.evaluation import calculate_mAP, overlaps
from ssd.evaluation.overlaps import best_overlaps, paired_iou
from tests.helpers.detection_cases import ONE_CLASS


def test_iou_needs_float64():
    """An IoU of 0.5 less one part in 2 ** 26 would be 0.5 in float32."""
    true, det = np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 0, 1, 0.5 - 2**-27]])
    assert paired_iou(det, true)[0] < 0.5 <= np.float32(paired_iou(det, true)[0])
    score, label, easy = [torch.tensor([0.5])], [torch.tensor([1])], [torch.tensor([0])]
    true = [torch.from_numpy(true)]
    assert calculate_mAP([torch.from_numpy(det)], label, score, true, label, easy, ONE_CLASS)[1] == 0
    half = [torch.tensor([[0.0, 0, 1, 0.5]])]
    assert calculate_mAP(half, label, score, true, label, easy, ONE_CLASS)[1] == 1


@pytest.mark.parametrize("at_once", [overlaps.AT_ONCE, 1])
def test_best_overlaps_by_hand(monkeypatch, at_once):
    monkeypatch.setattr(overlaps, "AT_ONCE", at_once)
    dets = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    objects = np.array([[0.0, 0, 10, 5], [0, 0, 10, 8], [90, 0, 99, 9], [0, 0, 10, 10]])
    groups = np.array([7, 3, 5, 9]), np.array([7, 7, 5, 9])
    ious, best = best_overlaps(dets, groups[0], objects, groups[1])
    assert ious.tolist() == [0.8, 0, 0, 1] and best.tolist() == [1, -1, 2, 3]
    classes = np.array([1, 1, 1, 2]), np.array([2, 1, 2, 2])
    ious, best = best_overlaps(dets, groups[0], objects, groups[1], classes)
    assert ious.tolist() == [0.5, 0, 0, 0] and best.tolist() == [0, -1, 2, -1]
