"""What a run does about numbers that are not finite, bad pictures and a lack of memory."""

import copy
import itertools
import json
import math
import multiprocessing
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssd.commands import train
from ssd.data import PascalVOCDataset, read_data_list
from ssd.errors import InputError
from ssd.model.loss import Figures
from ssd.training.batches import TrainingBatches, training_loader
from ssd.training.health import MOST_SKIPPED
from ssd.training.recipe import Recipe
from ssd.training.step import StepFigures, TrainingStep
from ssd.training.trainer import Trainer
from tests.helpers.networks import OneLayer
from tests.helpers.runs import OPTIONS, iteration_of, rows_of, validated, weights_of
from tests.helpers.scripts import refused
from tests.helpers.small_network import SmallSSD
from tests.long.kill_and_resume import same


def poison(monkeypatch, wrong, first=3):
    """From iteration `first`, the network's answers go through `wrong`."""
    forward, calls = SmallSSD.forward, itertools.count(1)

    def poisoned(self, images):
        answers = forward(self, images)
        return tuple(map(wrong, answers)) if self.training and next(calls) >= first else answers

    monkeypatch.setattr(SmallSSD, "forward", poisoned)


@pytest.mark.parametrize(
    "wrong, term",
    [
        (lambda x: x * math.nan, "localisation loss and confidence loss"),
        (lambda x: x + (x * 0).sqrt(), ": gradient;"),  # the root's slope at 0
    ],
)
def test_not_finite(arguments, tmp_path, data_folder, monkeypatch, capsys, wrong, term):
    poison(monkeypatch, wrong)
    args = arguments("run", "--iterations", 6, "--save-every", 1, "--warmup", 0, "--drops", "--ema", 0.9)
    images = read_data_list(data_folder, "train").paths
    refused(capsys, train, args, "iteration 3: not finite at rate 0.001", term, "--lr", "--clip-norm", images[0][:-9])
    folder = tmp_path / "run"
    assert rows_of(folder) == [1, 2]
    assert iteration_of(folder) == 2
    kept = torch.load(folder / "nonfinite_batch.pth", weights_only=True)
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    batch = next(iter(training_loader(dataset, TrainingBatches(len(dataset), 2, 3, start=2))))
    assert kept["iteration"] == 3
    assert kept["paths"] == batch.paths
    assert torch.equal(kept["images"], batch.images)
    assert torch.equal(kept["boxes"], batch.boxes)


def test_rate_that_is_too_high(arguments, tmp_path, capsys):
    args = arguments("run", "--iterations", 9, "--warmup", 0, "--lr", 1e9, "--eval-every", 0)
    refused(capsys, train, args, "iteration 2: not finite at rate 1e+09")
    assert iteration_of(tmp_path / "run") == 0


def test_weights_that_are_not_finite_are_never_saved(arguments, tmp_path, capsys):
    args = arguments("run", "--iterations", 9, "--warmup", 0, "--lr", 1e38, "--save-every", 1)
    refused(capsys, train, args, "iteration 1: not finite at rate 1e+38: weights")
    assert iteration_of(tmp_path / "run") == 0
    assert rows_of(tmp_path / "run") == []


class NoFolder:
    """A run's folder that keeps nothing."""

    def append(self, rows):
        self.rows = rows

    def ignore(self, *args):
        pass

    save = save_best = show = keep_batch = ignore


def validate_nothing(model, criterion):
    return validated(0.0)


@pytest.fixture
def half_trainer(data_folder):
    """Trains in float16, with a loss scaled so high that gradients overflow a few times."""
    dataset = PascalVOCDataset(data_folder, "train")
    trainer = Trainer(OneLayer(dataset.config), dataset, Recipe(12, batch_size=2, lr=1e-3), dtype=torch.float16)
    trainer.step.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18)
    return trainer


def test_float16_leaves_out_steps_and_counts(half_trainer):
    step, health = half_trainer.step, half_trainer.health
    before = copy.deepcopy(step.model.state_dict())
    step([half_trainer.whole_batch(0)], 1e-3)
    assert same(before, step.model.state_dict())
    assert step.scaler.get_scale() == 2.0**17
    step.iteration = 0
    assert half_trainer.run(NoFolder(), validate_nothing) == 0
    assert 1 <= health.skipped < 12
    assert step.scaler.get_scale() == 2.0 ** (17 - health.skipped)
    assert not same(before, step.model.state_dict())
    assert half_trainer.state()["skipped"] == [health.skipped, 0]


def test_float16_that_never_recovers(half_trainer, monkeypatch):
    norms = itertools.chain([math.inf] * 3, [1.0], itertools.repeat(math.inf))

    def step(self, parts, rate):
        self.iteration += 1
        return StepFigures(Figures(*torch.ones(5)), torch.tensor(next(norms)))

    monkeypatch.setattr(TrainingStep, "__call__", step)
    half_trainer.recipe = replace(half_trainer.recipe, iterations=1000, eval_every=0)
    with pytest.raises(InputError, match=f"iteration {4 + MOST_SKIPPED + 1}: .*gradient"):
        half_trainer.run(NoFolder(), validate_nothing)
    assert half_trainer.health.skipped == 3 + MOST_SKIPPED + 1


@pytest.fixture
def damaged(data_folder, tmp_path):
    """Data lists of four training pictures, the second of which is damaged."""
    lists = shutil.copytree(data_folder, tmp_path / "lists")
    images = json.loads((lists / "TRAIN_images.json").read_text())
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(Path(images[1]).read_bytes()[:300])
    (lists / "TRAIN_images.json").write_text(json.dumps([images[0], str(bad), *images[2:]]))
    return lists


def test_another_picture_stands_in(run, damaged, monkeypatch, capsys):
    monkeypatch.setattr("ssd.training.health.MOST_UNREADABLE", 0.5)
    folders = [run(f"{w}", f"--iterations 6 --eval-every 0 --workers {w}", data=damaged) for w in (0, 1)]
    assert same(*map(weights_of, folders))
    told = [
        line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if "another picture replaces" in line
    ]
    assert len(told) == 2  # once in each run
    assert all("bad.jpg" in line for line in told)
    dataset = PascalVOCDataset(damaged, "train")
    for batch in training_loader(dataset, TrainingBatches(4, 4, 2)):
        assert batch.paths.count(dataset.data.paths[2]) == 2
        assert list(batch.faults) == [dataset.data.paths[1]]


@pytest.mark.usefixtures("small_networks")
def test_too_many_pictures_that_cannot_be_read(damaged, tmp_path, capsys):
    args = ["--data", damaged, "--output", tmp_path / "run", *OPTIONS.split(), "--batch-size", 4, "--iterations", 9]
    refused(capsys, train, args, "1 of 4 pictures could not be read, more than 1%", "--resume")
    assert iteration_of(tmp_path / "run") == 1
    assert rows_of(tmp_path / "run") == [1]


@pytest.mark.parametrize("where", ["GPU", "a library", "CPU"])
def test_out_of_memory(arguments, monkeypatch, capsys, where):
    def forward(self, images):
        if where == "CPU":
            torch.empty(2**56)
        if where == "a library":
            raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(SmallSSD, "forward", forward)
    words = "out of memory with --batch-size 4 in 2 part(s)", "--accumulate 4", "a smaller --batch-size"
    refused(capsys, train, arguments("run", "--batch-size", 4, "--accumulate", 2), *words)


def test_a_worker_that_dies(arguments, monkeypatch, capsys):
    """As where memory is short, or what containers share of it."""
    load = PascalVOCDataset.__getitem__

    def load_or_die(self, key):
        if torch.utils.data.get_worker_info():
            os.kill(os.getpid(), signal.SIGKILL)
        return load(self, key)

    monkeypatch.setattr(PascalVOCDataset, "__getitem__", load_or_die)
    words = "loads pictures died", "--resume with fewer --workers than 1"
    refused(capsys, train, arguments("run", "--workers", 1), *words)


def test_a_worker_that_dies_with_a_stop(arguments, at_iteration, capsys):
    """As where the system ends all processes of a job at once."""

    def end():
        os.kill(os.getpid(), signal.SIGTERM)
        for worker in multiprocessing.active_children():
            worker.kill()
        time.sleep(5)  # until PyTorch raises, as it hears of it

    at_iteration(2, end)
    refused(capsys, train, arguments("run", "--workers", 1), "ended before the run could stop", "--resume continues")


def test_other_errors_keep_their_traceback(run, monkeypatch):
    def forward(self, images):
        raise RuntimeError("a defect")

    monkeypatch.setattr(SmallSSD, "forward", forward)
    with pytest.raises(RuntimeError, match="a defect"):
        run("run", "--iterations 1")
