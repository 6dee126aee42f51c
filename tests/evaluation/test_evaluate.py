"""The detections of a data set are the same however they are computed."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssd import MultiBoxLoss, load_checkpoint
from ssd.data import PascalVOCDataset, collate
from ssd.evaluation import summarize
from ssd.evaluation.evaluate import (
    PAPER,
    DataSetDetections,
    dataset_for,
    detect_dataset,
    match_dataset,
)
from ssd.model.loss import Figures
from tests.helpers.voc_folders import cover_with_crowds, data_list, entries


@pytest.fixture(scope="module")
def model(checkpoint):
    """With scores far apart, so that rounding changes neither their order nor what is suppressed."""
    model = load_checkpoint(checkpoint)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "cl_conv" in name:
                parameter *= 20
    return model


@pytest.fixture(scope="module")
def dataset(data_folder, model):
    dataset = PascalVOCDataset(data_folder, "test", model.config)
    shapes = {tuple(entry["size"]) for entry in entries(dataset.data)}
    assert len(shapes) > 1 and any(width != height for width, height in shapes)
    return dataset


@pytest.fixture(scope="module")
def expected(model, dataset):
    """Picture by picture, without `detect_dataset`."""
    found = [], [], []
    for (image, *_), entry in zip((dataset[k] for k in range(len(dataset))), entries(dataset.data), strict=True):
        with torch.no_grad():
            one = model.detect_objects(*model(image[None]), *PAPER)
        width, height = entry["size"]
        one = (one[0][0] * torch.tensor([width, height, width, height]), one[1][0], one[2][0])
        for values, new in zip(found, one, strict=True):
            values.append(new)
    assert min(map(len, found[0])) > 10
    return found


@pytest.mark.parametrize("batch_size, workers", [(1, 0), (3, 2), (100, 0)])
def test_detections_do_not_depend_on_batches_and_workers(model, dataset, expected, batch_size, workers):
    same(detect_dataset(model, dataset, batch_size, workers), expected)


def test_labels_are_those_of_the_data_set(model, dataset, data_folder):
    """A model may have the classes in another order. It stays as it is."""
    names = model.config.class_names[::-1]
    other = copy.copy(model)
    other.config = replace(model.config, class_names=names)
    renamed = dataset_for(other.config, data_folder)
    found, expected = detect_dataset(other, renamed), detect_dataset(model, dataset)
    assert other.config.class_names == names and renamed.config.class_names == dataset.config.class_names
    assert found.boxes and not any(map(torch.equal, found.labels, expected.labels))
    for labels, scores, own, own_scores in zip(
        found.labels, found.scores, expected.labels, expected.scores, strict=True
    ):
        assert sorted(zip(scores.tolist(), labels.tolist(), strict=True)) == sorted(
            zip(own_scores.tolist(), (5 - own).tolist(), strict=True)
        )
        assert np.lexsort((labels, -scores)).tolist() == list(range(len(labels)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("batch_size", [1, 3])
def test_detections_do_not_depend_on_the_device(model, dataset, expected, batch_size, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    same(detect_dataset(model, dataset, batch_size, workers=2, device="cuda"), expected, rtol=1e-3)


def same(found, expected, rtol=1e-4):
    boxes, labels, scores = expected
    assert [values.tolist() for values in found.labels] == [values.tolist() for values in labels]
    torch.testing.assert_close(found.boxes, boxes, rtol=rtol, atol=10 * rtol)  # pixels
    torch.testing.assert_close(found.scores, scores, rtol=rtol, atol=rtol / 10)
    assert set(found.seconds) == {"data", "network", "post-processing"} and min(found.seconds.values()) > 0


def test_crowds_are_neither_objects_nor_negatives(model, dataset, data_folder, tmp_path):
    criterion = MultiBoxLoss(model.priors_cxcy)
    covered = dataset_for(model.config, cover_with_crowds(data_folder, tmp_path))
    found = [detect_dataset(model, data, batch_size=3, criterion=criterion, quiet=True) for data in (dataset, covered)]
    usual, ignoring = (Figures(*each.sums) for each in found)
    assert ignoring.n_positives == usual.n_positives > 0 and ignoring.loc_sum == usual.loc_sum
    assert ignoring.conf_sum < 0.5 * usual.conf_sum
    images, boxes, labels, _ = collate([covered[k] for k in range(len(covered))])
    crowds = [covered.crowds(k) for k in range(len(covered))]
    with torch.no_grad():
        expected = criterion.measure(*model(images), boxes, labels, crowds)
    torch.testing.assert_close(ignoring.conf_sum, expected.conf_sum, rtol=1e-4, atol=0)


@pytest.mark.parametrize("label, ignored", [(1, [True, False]), (2, [False, False]), (0, [True, True])])
def test_what_is_found_in_a_crowd_is_ignored(label, ignored):
    """Two detections: of the class 1 and of the class 2; a crowd of one class, or of any."""
    entry = {"size": [100, 100], "boxes": [[70, 70, 90, 90]], "labels": [1], "difficulties": [0]}
    data = data_list("x", [entry | {"crowds": [[0, 0, 50, 50]], "crowd_labels": [label]}], ("cat", "dog", "cow"))
    boxes = [torch.tensor([[0.0, 0, 50, 50], [1.0, 0, 50, 50]])]
    found = DataSetDetections(boxes, [torch.tensor([1, 3])], [torch.tensor([0.9, 0.8])])
    matches = match_dataset(found, data)
    assert matches.ignored.tolist() == ignored and not matches.correct.any()
    assert matches.n_easy.tolist() == [1, 0, 0]
    if pytest.importorskip("hotcoco") and label == 0:
        true = DataSetDetections([torch.tensor([[70.0, 70, 90, 90], *boxes[0].tolist()])])
        true.labels, true.scores = [torch.tensor([1, 1, 3])], [torch.tensor([0.5, 0.9, 0.8])]
        assert summarize(match_dataset(true, data))["coco"]["ap"] == pytest.approx(1)
