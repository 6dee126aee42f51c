"""The ranking and the curve are those of evaluation."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ssd import calculate_mAP
from ssd.data import read_data_list
from ssd.errors import InputError
from ssd.evaluation.evaluate import DataSetDetections, match_dataset
from ssd.evaluation.mean_ap import RECALLS, average_precision, average_precisions
from ssd.evaluation.result_files import save_results
from ssd.explain.page import NO_OBJECTS
from ssd.explain.sections.average_precision import ranking, section, staircase
from ssd.explain.subject import read_subject
from ssd.model.boxes import encode

BOXES = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.5, 0.1, 0.9, 0.4], [0.3, 0.6, 0.6, 0.9]])
FOUND = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.0, 0.8, 0.2, 1.0], [0.5, 0.1, 0.74, 0.4], [0.66, 0.1, 0.9, 0.4]])


@pytest.fixture(scope="module")
def judged(subject):
    """Three objects. Detections: the first, nothing there, the second, the second again but less exactly."""
    locs, scores = torch.zeros(8732, 4), torch.zeros(8732, subject.config.n_classes)
    scores[:, 0] = 30
    locs[7000:7004] = encode(FOUND, subject.priors_cxcy[7000:7004], subject.config.variances)
    scores[7000:7004, 1] = torch.tensor([34.0, 33, 32, 31])
    truth = {"boxes": BOXES, "labels": torch.tensor([1, 1, 1]), "difficulties": torch.zeros(3).bool()}
    return replace(subject, locs=locs, scores=scores, **truth)


def test_verdicts_precision_and_recall(judged):
    found = ranking(judged)
    assert found.name == judged.config.class_names[0]
    assert [found.verdict(det) for det in found.dets] == [
        "right", "wrong: IoU too low", "right", "wrong: found already",
    ]  # fmt: skip
    assert found.curve.precision.tolist() == [1, 1 / 2, 2 / 3, 1 / 2]
    assert found.curve.recall.tolist() == [1 / 3, 1 / 3, 2 / 3, 2 / 3]


def test_a_difficult_object_is_ignored(judged):
    found = ranking(replace(judged, difficulties=torch.tensor([True, False, False])))
    assert found.verdict(found.dets[0]) == "ignored: difficult"


def test_staircase_and_points_give_both_average_precisions(judged):
    curve = ranking(judged).curve
    corners = np.array(staircase(curve))
    area = (np.diff(corners[:, 0]) * corners[1:, 1]).sum()
    assert area == pytest.approx(average_precision(curve, "voc10")) == pytest.approx(1 / 3 + 2 / 9)
    assert average_precision(curve) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)
    assert curve.eleven_points.tolist() == pytest.approx([1] * 4 + [2 / 3] * 3 + [0] * 4)
    assert len(RECALLS) == 11
    assert f"{average_precision(curve):.3f}" in section(judged).formula


def test_average_precision_is_that_of_evaluation(subject):
    found = ranking(subject)
    sides = torch.tensor([*subject.image.size, *subject.image.size])
    boxes, labels, scores = subject.model.detect_objects(subject.locs[None], subject.scores[None], 0.01, 0.45, 200)
    truth = [subject.boxes * sides], [subject.labels], [subject.difficulties]
    aps, _ = calculate_mAP([boxes[0] * sides], labels, scores, *truth, subject.config.label_map)
    assert average_precision(found.curve) == aps[found.name]
    assert len(found.dets) == (labels[0] == subject.config.label_map[found.name]).sum().item() > 0


def test_difficult_objects_alone_are_not_enough(subject):
    assert section(replace(subject, difficulties=torch.ones(len(subject.boxes)).bool())).text == NO_OBJECTS


def test_the_page_says_that_own_detections_prove_nothing(judged):
    assert "cannot be wrong" not in section(judged).text
    assert "cannot be wrong" in section(replace(judged, is_own=True)).text


def test_detections_in_a_test_list_take_the_place_of_those_in_the_picture(data_folder, picture, tmp_path):
    data = read_data_list(data_folder, "test")
    scores = torch.linspace(1, 0.5, len(data.labels))
    found = DataSetDetections()
    for image in data:
        n = len(image.labels)
        found.add(torch.from_numpy(image.boxes).float() + 2, torch.from_numpy(image.labels), scores[:n])
    save_results(tmp_path, found, data)
    evaluated = read_subject(picture, data=data_folder, results=tmp_path)
    ranked = ranking(evaluated)
    expected = average_precisions(match_dataset(found, data))
    assert ranked.matches.n_images == len(data) == 4
    assert average_precision(ranked.curve) == expected[ranked.name]
    assert "in the 4 pictures of the test list" in section(evaluated).text


def test_detections_in_a_test_list_need_it(picture, tmp_path):
    with pytest.raises(InputError, match="name the data lists"):
        read_subject(picture, results=tmp_path)
