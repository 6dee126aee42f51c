"""The numbers in the answers, for predictions whose numbers are known."""

from dataclasses import replace

import pytest
import torch

from ssd import MultiBoxLoss
from ssd.explain.sections import questions
from ssd.explain.sections.matching import match_objects
from ssd.model.loss import prior_targets
from tests.helpers.small_network import SmallSSD


@pytest.fixture
def predicted(subject):
    """predicted(error): two objects, the second difficult; every offset is wrong by `error`, every prior unsure."""

    def predict(error=0.0):
        boxes, labels = torch.tensor([[0.1, 0.1, 0.3, 0.3], [0.5, 0.5, 0.9, 0.9]]), torch.tensor([1, 2])
        locs, _ = prior_targets([boxes], [labels], subject.priors_cxcy, 0.5, subject.config.variances)
        objects = {"boxes": boxes, "labels": labels, "difficulties": torch.tensor([False, True])}
        scores = torch.zeros_like(subject.scores)
        scores[:, 0] = 9
        return replace(subject, is_own=False, locs=locs[0] + error, scores=scores, **objects)

    return predict


def prior_of(subject, box):
    """The positive prior that lies best on an object."""
    offsets = (subject.priors_cxcy - torch.tensor(box)).abs().sum(dim=1)
    return int(offsets.masked_fill(~match_objects(subject).positive, 9).argmin())


def test_a_receptive_field_is_larger_than_the_kernel_and_the_priors(bare):
    sides = questions.reach(bare)
    assert sides["conv4_3"] == pytest.approx([3 * 300 / 38, 300 * (0.1 * 0.2) ** 0.5, 108])
    assert sides["conv11_2"] == [300, 300, 300]
    assert all(field >= max(others) for *others, field in sides.values())


def test_without_background_more_priors_are_sure(predicted):
    subject = predicted()
    subject.scores[0, 1] = 20  # sure, whether there is a background or not
    subject.scores[1, 2] = 5  # sure only without
    assert questions.confident_priors(subject, background=True) == 1
    assert questions.confident_priors(subject, background=False) == 2


def test_a_threshold_finds_what_the_best_class_does_not(predicted):
    subject = predicted()
    subject.scores[prior_of(subject, [0.2, 0.2, 0.2, 0.2]), 1] = 20
    subject.scores[prior_of(subject, [0.7, 0.7, 0.4, 0.4]), 2] = 8
    assert questions.n_found(subject, only_best=True) == 1
    assert questions.n_found(subject, only_best=False) == 2


def test_a_difficult_object_that_nobody_knows_makes_its_detection_false(predicted):
    subject = predicted()
    subject.scores[prior_of(subject, [0.2, 0.2, 0.2, 0.2]), 1] = 8
    subject.scores[prior_of(subject, [0.7, 0.7, 0.4, 0.4]), 1] = 20  # the other class: false in any case
    subject.labels[1] = 1
    assert questions.mean_ap(subject, torch.tensor([True, True])) == 1
    assert questions.mean_ap(subject, torch.tensor([True, False])) == 0.5


@pytest.mark.parametrize("error, expected", [(0.1, (0.02, 0.005, 0.1)), (0.5, (0.5, 0.125, 0.5)), (4, (14, 3.5, 4))])
def test_localisation_losses(predicted, error, expected):
    assert tuple(questions.localisation_losses(predicted(error)).values()) == pytest.approx(expected, rel=1e-4)


def test_offsets_move_priors_onto_their_objects(predicted):
    subject = predicted()
    assert questions.mean_iou(subject, subject.locs) == pytest.approx(1, abs=1e-5)
    assert 0.5 < questions.mean_iou(subject, torch.zeros_like(subject.locs)) < 0.9
    assert questions.matched_predictions(subject)[match_objects(subject).positive].all()


def test_length_of_the_gradient(predicted):
    subject = predicted()
    model = SmallSSD(subject.config)
    locs, scores = model(subject.input[None])
    MultiBoxLoss(subject.priors_cxcy)(locs, scores, [subject.boxes], [subject.labels]).backward()
    squares = sum((p.grad**2).sum().item() for p in model.parameters())
    assert questions.gradient_norm(model, subject) == pytest.approx(squares**0.5, rel=1e-4)


def test_priors_that_leave_the_picture(bare):
    outside = [
        prior
        for prior, (x, y, w, h) in enumerate(bare.priors_cxcy.double().tolist())
        if min(x - w / 2, y - h / 2) < 0 or max(x + w / 2, y + h / 2) > 1
    ]
    assert outside
    assert (~questions.priors_inside(bare)).nonzero().squeeze(1).tolist() == outside


@pytest.mark.parametrize("which", ["subject", "bare"])
def test_every_question_is_answered(which, request):
    page = questions.section(request.getfixturevalue(which)).figure
    assert page.count("<dt>") == page.count("<dd>") == 11
    assert "nan" not in page
