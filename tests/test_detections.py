"""`Detections` as a sequence."""

import sys

import numpy as np
import pytest
import torch

from ssd import Detections
from ssd.errors import InputError


@pytest.fixture
def found():
    boxes = torch.arange(12, dtype=torch.float32).view(3, 4)
    return Detections(boxes, torch.tensor([2, 1, 2]), torch.tensor([0.75, 0.5, 0.25]), ["dog", "cat", "dog"])


def names_and_scores(detections):
    assert len(detections.boxes) == len(detections.labels) == len(detections)
    return list(zip(detections.names, detections.scores.tolist(), strict=True))


def test_a_loop_gives_one_detection_after_the_other(found):
    first, *others = found
    assert first == ("dog", 0.75, (0, 1, 2, 3), 2) == found[0] == found[-3]
    assert (first.name, first.score, first.box, first.label) == first
    assert [each.name for each in others] == ["cat", "dog"]
    assert list(found[:0]) == []


@pytest.mark.parametrize("k", [3, -4])
def test_no_detection_of_that_number(found, k):
    with pytest.raises(IndexError):
        found[k]


@pytest.mark.parametrize("which, kept", [
    (slice(1), [0]), (slice(1, 9), [1, 2]), (slice(None, None, -1), [2, 1, 0]), (slice(0, 0), []), ([], []),
    ([2, 0], [2, 0]), ([-1], [2]), (np.array([1]), [1]), ([True, False, True], [0, 2]), (torch.tensor([2, 1]), [2, 1]),
    (torch.tensor([False, True, False]), [1]), (torch.zeros(3, dtype=torch.bool), []), (torch.tensor([1]), [1]),
])  # fmt: skip
def test_some_of_the_detections(found, which, kept):
    every = names_and_scores(found)
    some = found[which]
    assert names_and_scores(some) == [every[k] for k in kept]
    assert some.boxes.tolist() == [found.boxes[k].tolist() for k in kept]
    assert some.labels.tolist() == [found.labels[k] for k in kept]


def test_chosen_by_score_and_by_class(found):
    assert found[found.scores > 0.4].names == ["dog", "cat"]
    only = found[:1]
    assert only[only.scores > 0.4].names == ["dog"] and only[only.scores > 0.8].names == []
    assert found.without(["dog"]).names == found.without("dog").names == ["cat"]
    assert names_and_scores(found.without([])) == names_and_scores(found)


def test_comparison_is_by_identity(found):
    assert found == found
    assert found != found[:]
    assert {found: 1}[found] == 1


def test_to_supervision(found):
    theirs = found.to_supervision()
    assert (theirs.xyxy == found.boxes.numpy()).all() and theirs.xyxy.dtype == np.float32
    assert theirs.confidence.tolist() == [0.75, 0.5, 0.25]
    assert theirs.class_id.tolist() == [2, 1, 2]
    assert theirs["class_name"].tolist() == ["dog", "cat", "dog"]
    assert theirs[theirs.class_id == 1].area.tolist() == [4]
    assert len(found[:0].to_supervision()) == 0


def test_without_supervision(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(InputError, match=r'supervision is needed for .* \(extra "supervision"\): pip install'):
        found.to_supervision()
