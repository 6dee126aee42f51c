import copy
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from ssd import SSD300, SSDConfig
from ssd.data import PascalVOCDataset
from ssd.inference.device import choose_precision, prepare_for_training
from ssd.model.loss import padded
from ssd.training.batches import TrainingBatches, on_device, training_loader
from ssd.training.optimiser import create_optimiser, restore_optimiser, set_learning_rate
from ssd.training.recipe import Recipe
from ssd.training.schedule import default_drops, default_iterations, default_rate, default_warmup, learning_rate
from ssd.training.step import TrainingStep
from tests.helpers.networks import OneLayer

# -- the learning rate


def test_paper_schedule():
    def rate(iteration):
        return learning_rate(iteration, default_rate(32), default_drops(default_iterations(32)), 1000)

    assert rate(1000) == rate(79_999) == 1e-3
    assert rate(80_000) == rate(99_999) == pytest.approx(1e-4)
    assert rate(100_000) == rate(119_999) == pytest.approx(1e-5)


def test_warmup_rises_in_equal_steps():
    rates = [learning_rate(k, 1.0, (90,), 4) for k in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert learning_rate(0, 1.0, ()) == 1
    assert [default_warmup(n) for n in (5, 300, 120_000)] == [0, 30, 1000]


# -- the batches


@pytest.mark.parametrize("n_images, batch_size", [(10, 4), (3, 8), (8, 8)])
def test_every_epoch_shows_every_image_once(n_images, batch_size):
    pairs = [pair for batch in TrainingBatches(n_images, batch_size, 30, seed=1) for pair in batch]
    assert len(pairs) == 30 * batch_size
    epochs = [[index for epoch, index in pairs if epoch == e] for e in range(pairs[-1][0])]
    assert len(epochs) >= 2
    assert all(sorted(epoch) == list(range(n_images)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_batches_are_a_function_of_the_iteration():
    whole = list(TrainingBatches(10, 4, 20, seed=1))
    assert len(whole) == 20
    assert list(TrainingBatches(10, 4, 20, start=7, seed=1)) == whole[7:]
    assert list(TrainingBatches(10, 4, 20, seed=2)) != whole


def test_parts_of_processes_make_up_the_batch():
    whole = list(TrainingBatches(10, 8, 5, seed=1))
    parts = [list(TrainingBatches(10, 8, 5, seed=1, n_parts=2, part_of_process=(rank, 2))) for rank in (0, 1)]
    assert all(len(part) == 2 for process in parts for part in process)
    for k, batch in enumerate(whole):
        assert [pair for process in parts for part in process[2 * k : 2 * k + 2] for pair in part] == batch


def batches_of(dataset, batch_size, iterations, seed=0, workers=0):
    return training_loader(dataset, TrainingBatches(len(dataset), batch_size, iterations, seed=seed), workers)


def test_workers_change_nothing(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    runs = [list(batches_of(dataset, 3, 3, seed=5, workers=workers)) for workers in (0, 1, 2)]
    for run in runs[1:]:
        for batch, expected in zip(run, runs[0], strict=True):
            assert torch.equal(batch.images, expected.images)
            assert batch.paths == expected.paths
            for kind in ("boxes", "labels", "difficulties"):
                pairs = zip(getattr(batch, kind), getattr(expected, kind), strict=True)
                assert all(torch.equal(a, b) for a, b in pairs)


def test_the_next_batch_is_copied_while_one_is_worked_on(monkeypatch):
    """The order of things, with streams that only take notes."""
    done = []

    class Part:
        def __init__(self, name):
            self.name = name

        def to(self, device):
            done.append(f"copy {self.name}")
            return self

        def record_stream(self, stream):
            done.append(f"keep {self.name}")

    work = SimpleNamespace(wait_stream=lambda stream: done.append("wait"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: work)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    for (part,) in on_device([[Part("a")], [Part("b")]], torch.device("cuda")):
        done.append(f"work on {part.name}")
    assert done == ["copy a", "wait", "keep a", "copy b", "work on a", "wait", "keep b", "work on b", "wait"]
    assert list(on_device([], torch.device("cuda"))) == []
    assert list(on_device([["a"], ["b"]], torch.device("cpu"))) == [["a"], ["b"]]


# -- the optimiser


@pytest.mark.parametrize("backbone", ["vgg16", "vgg16_bn"])
def test_parameter_groups(backbone):
    model = SSD300(SSDConfig(class_names=("a",), backbone=backbone))
    optimiser = create_optimiser(model)
    set_learning_rate(optimiser, 0.1)
    by_parameter = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    assert len(by_parameter) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        group = by_parameter[id(parameter)]
        assert group["lr"] == (0.2 if name.endswith("bias") else 0.1)
        decays = not name.endswith("bias") and ".norm." not in name
        assert group["weight_decay"] == (5e-4 if decays else 0)
        assert group["momentum"] == 0.9


def test_an_optimiser_of_before_is_fused_when_it_is_restored():
    parameter = torch.nn.Parameter(torch.ones(3))
    model = torch.nn.ParameterDict({"weight": parameter})
    old = torch.optim.SGD([{"params": [parameter], "rate": 1}], lr=0.1, momentum=0.9).state_dict()
    optimiser = create_optimiser(model)
    restore_optimiser(optimiser, old)
    assert optimiser.param_groups[0]["fused"]
    assert torch.equal(optimiser.state[parameter]["momentum_buffer"], torch.zeros(3))
    old["state"] = {0: {"momentum_buffer": torch.tensor([1.0, 2.0, 3.0])}}
    restore_optimiser(optimiser, old)
    assert optimiser.state[parameter]["momentum_buffer"].tolist() == [1, 2, 3]


def test_fused_sgd_is_sgd(train_set):
    """Fused SGD reads memory as it lies: parameters, gradients and momentum must be laid out alike."""
    step, rate = new_step(train_set), 1e-3
    model = copy.deepcopy(step.model)
    plain = create_optimiser(model)
    for group in plain.param_groups:
        group["fused"], group["foreach"] = None, False
    for _ in range(2):
        step([first_batch(train_set)], rate)
        for parameter, other in zip(model.parameters(), step.model.parameters(), strict=True):
            parameter.grad = other.grad.clone()
        set_learning_rate(plain, rate)
        plain.step()
    for (name, parameter), other in zip(model.named_parameters(), step.model.parameters(), strict=True):
        torch.testing.assert_close(parameter, other, rtol=1e-5, atol=1e-7, msg=name)


def test_samples_of_a_batch_are_those_of_the_data_set(train_set):
    batch = next(iter(batches_of(train_set, len(train_set), 1)))
    places = [train_set.data.paths.index(path) for path in batch.paths]
    assert batch.labels.eq(0).any()  # filled up
    for place, sample in zip(places, batch.samples(), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(sample, train_set[0, place], strict=True))


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    calls = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *args: calls.append(args)))
    prepare_for_training(torch.device("cpu"))
    assert calls == [(-4, 0), (-1, -1)]
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace())  # macOS
    prepare_for_training(torch.device("cpu"))


# -- the step


@pytest.fixture(scope="module")
def train_set(data_folder):
    return PascalVOCDataset(data_folder, "train", augment=True)


def new_step(train_set, clip_norm=10.0):
    torch.manual_seed(0)
    recipe = Recipe(1, batch_size=2, lr=1e-3, clip_norm=clip_norm)
    return TrainingStep(SSD300(train_set.config), recipe, "cpu", choose_precision("auto", "cpu"))


def first_batch(train_set, batch_size=2):
    return next(iter(batches_of(train_set, batch_size, 1)))


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
