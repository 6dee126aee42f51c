import numpy as np
import torch

from ssd.evaluation import calculate_mAP
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


def test_best_overlaps_by_hand():
    dets = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 10]])
    objects = np.array([[0.0, 0, 10, 5], [0, 0, 10, 8], [90, 0, 99, 9], [0, 0, 10, 10]])
    ious, best = best_overlaps(dets, np.array([7, 3, 5, 9]), objects, np.array([7, 7, 5, 9]))
    assert ious.tolist() == [0.8, 0, 0, 1] and best.tolist() == [1, -1, 2, 3]
