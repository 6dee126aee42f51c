import copy
from dataclasses import replace

import pytest
import torch

from ssd import SSD300
from ssd.data import PascalVOCDataset
from ssd.inference.device import choose_precision
from ssd.model.loss import MultiBoxLoss, padded
from ssd.training.recipe import Recipe
from ssd.training.step import TrainingStep
from ssd.training.trainer import Trainer
from tests.helpers.networks import OneLayer
from tests.helpers.runs import batches_of
from tests.helpers.small_network import SmallSSD
from tests.helpers.voc_folders import cover_with_crowds


def new_step(train_set, clip_norm=10.0):
    torch.manual_seed(0)
    recipe = Recipe(1, batch_size=2, lr=1e-3, clip_norm=clip_norm)
    return TrainingStep(SSD300(train_set.config), recipe, "cpu", choose_precision("auto", "cpu"))


def first_batch(train_set, batch_size=2):
    return next(iter(batches_of(train_set, batch_size, 1)))


def test_nothing_in_a_crowd_is_a_negative(train_set, data_folder, tmp_path):
    covered = PascalVOCDataset(cover_with_crowds(data_folder, tmp_path), "train")
    batch, step = first_batch(covered), TrainingStep(SmallSSD(train_set.config), Recipe(1, batch_size=2, lr=1e-3))
    locs, scores = step.model(batch.images)
    usual = step.criterion.measure(locs, scores, batch.boxes, batch.labels)
    expected = step.criterion.measure(locs, scores, batch.boxes, batch.labels, batch.crowds)
    figures = step([batch], 1e-3).figures
    assert figures == expected and figures.n_positives == usual.n_positives > 0
    assert figures.conf_sum < 0.9 * usual.conf_sum


@pytest.mark.parametrize("number, value", [("alpha", 2.0), ("neg_pos_ratio", 1), ("match_threshold", 0.7)])
def test_the_numbers_of_the_loss(train_set, number, value):
    torch.manual_seed(0)
    recipe = Recipe(1, batch_size=2, lr=1e-3)
    step, batch = TrainingStep(SmallSSD(train_set.config), replace(recipe, **{number: value})), first_batch(train_set)
    names = {"match_threshold": "threshold"}
    criterion = MultiBoxLoss(step.model.priors_cxcy, **{names.get(number, number): value})
    parameters = list(step.model.parameters())
    targets = batch.boxes, batch.labels
    expected, usual = (
        torch.autograd.grad(loss(*step.model(batch.images), *targets), parameters)[0]
        for loss in (criterion, MultiBoxLoss(step.model.priors_cxcy))
    )
    assert (expected - usual).norm() > 0.05 * usual.norm()
    step([batch], 1e-3)
    torch.testing.assert_close(parameters[0].grad, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("resumed", [False, True])
def test_the_numbers_of_sgd(train_set, resumed):
    """The second step, written out: v = momentum * v + gradient + decay * w; w -= rate * v."""
    torch.manual_seed(0)
    recipe = Recipe(2, batch_size=2, lr=1e-3, momentum=0.5, weight_decay=0.1)
    old = replace(recipe, momentum=0.9, weight_decay=0.2) if resumed else recipe
    first = TrainingStep(SmallSSD(train_set.config), old)
    batch, weight = first_batch(train_set), first.model.base[0].weight
    before = weight.detach().clone()
    first([batch], 1e-3)
    velocity = (before - weight.detach()) / 1e-3
    step = TrainingStep(copy.deepcopy(first.model), recipe)
    step.restore(first.state())
    weight = step.model.base[0].weight
    before = weight.detach().clone()
    step([batch], 1e-3)
    expected = before - 1e-3 * (0.5 * velocity + weight.grad + 0.1 * before)
    torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-7)


def test_loss_falls_on_one_batch(train_set):
    step, batch = new_step(train_set), first_batch(train_set)
    figures = [step([batch], 2e-3).figures for _ in range(5)]
    losses = [((f.loc_sum + f.conf_sum) / f.n_positives).item() for f in figures]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision(train_set, dtype):
    torch.manual_seed(0)
    batch = first_batch(train_set)
    recipe = Recipe(1, batch_size=2, lr=1e-3)
    exact = TrainingStep(OneLayer(train_set.config), recipe)
    mixed = TrainingStep(copy.deepcopy(exact.model), recipe, dtype=dtype)
    before = exact.model.layer.weight.detach().clone()
    exact([batch], 1e-3)
    for _ in range(20):  # float16 may find first that the loss is scaled too high, and leave out the step
        mixed([batch], 1e-3)
        if not torch.equal(mixed.model.layer.weight, before):
            break
    assert mixed.model.output.dtype == dtype
    assert mixed.scaler.is_enabled() == (dtype == torch.float16)
    assert mixed.model.layer.weight.dtype == torch.float32
    change = exact.model.layer.weight - before
    error = (mixed.model.layer.weight - before - change).norm() / change.norm()
    assert 0 < error < 0.05


@pytest.mark.parametrize("clip_norm", [0.5, 0.0])
def test_gradients_are_clipped(train_set, clip_norm):
    step = new_step(train_set, clip_norm)
    step([first_batch(train_set)], 1e-3)
    norm = torch.stack([p.grad.norm() for p in step.model.parameters()]).norm().item()
    assert norm == pytest.approx(0.5, rel=1e-3) if clip_norm else norm > 1


def test_batch_without_objects_leaves_finite_weights(train_set):
    step = new_step(train_set)
    empty = padded([torch.zeros(0, 4)] * 2), padded([torch.zeros(0, dtype=torch.int64)] * 2)
    figures, norm = step([replace(first_batch(train_set), boxes=empty[0], labels=empty[1])], 1e-3)
    assert norm == 0 and not figures.pack().any()
    assert all(p.isfinite().all() for p in step.model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_step_does_not_wait_for_the_gpu(train_set, precision):
    torch.manual_seed(0)
    recipe = Recipe(iterations=9, batch_size=2, lr=1e-3, clip_norm=10.0, ema=0.99)
    step = TrainingStep(SSD300(train_set.config), recipe, "cuda", choose_precision(precision, "cuda"))
    batch = first_batch(train_set).pin_memory()
    step([batch], 1e-3)  # sets up what is set up once
    torch.cuda.set_sync_debug_mode("error")
    try:
        figures, norm = step([batch], 1e-3)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert figures.pack().isfinite().all() and norm.isfinite()


@pytest.mark.parametrize("n_parts", [1, 2])
def test_gradients_are_those_of_the_loss(data_folder, n_parts):
    torch.manual_seed(0)
    dataset = PascalVOCDataset(data_folder, "train")
    trainer = Trainer(SmallSSD(dataset.config), dataset, Recipe(1, batch_size=4, lr=1e-3, accumulate=n_parts))
    batch = trainer.whole_batch(0)
    step = trainer.step
    parameters = list(step.model.parameters())
    loss = step.criterion(*step.model(batch.images), batch.boxes, batch.labels)
    expected = torch.autograd.grad(loss, parameters)
    parts = next(trainer.batches())
    assert len(parts) == n_parts
    figures, found_norm = step(parts, 1e-3)
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-5)
    norm = torch.cat([gradient.flatten() for gradient in expected]).norm().item()
    assert found_norm.item() == pytest.approx(norm, rel=1e-4)
    torch.testing.assert_close((figures.loc_sum + figures.conf_sum) / figures.n_positives, loss)


def test_float16_from_a_run_without(data_folder):
    dataset = PascalVOCDataset(data_folder, "train")
    recipe = Recipe(1, batch_size=2, lr=1e-3)
    trainer = Trainer(SmallSSD(dataset.config), dataset, recipe, dtype=torch.float16)
    trainer.restore(Trainer(SmallSSD(dataset.config), dataset, recipe).state())
    assert trainer.step.scaler.get_scale() == 256
