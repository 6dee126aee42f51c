"""What a run does from its start to its end, with a network whose steps take milliseconds."""

import copy
import itertools
import json
import math
import os
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssd import SSD300, SSDConfig, load_checkpoint
from ssd.checkpoint import load_training_state, read_file
from ssd.commands import train
from ssd.data import PascalVOCDataset, read_data_list
from ssd.errors import InputError
from ssd.model.loss import Figures
from ssd.training import distributed
from ssd.training.batches import TrainingBatches, training_loader
from ssd.training.ema import Average
from ssd.training.health import MOST_SKIPPED
from ssd.training.optimiser import train_mode
from ssd.training.recipe import Recipe
from ssd.training.run.results import read_results
from ssd.training.session import create_data_sets
from ssd.training.step import StepFigures, TrainingStep
from ssd.training.trainer import Trainer
from ssd.training.validation import Best, Validated, Validation
from tests.helpers import small_network
from tests.helpers.networks import OneLayer
from tests.helpers.scripts import refused
from tests.helpers.small_network import SmallSSD
from tests.long.kill_and_resume import compare, same

OPTIONS = "--weights none --batch-size 2 --workers 0 --device cpu --precision fp32 --log none --lr 1e-3"


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    def no_curves(*args):
        raise InputError("matplotlib takes a second for each picture")

    small_network.use(monkeypatch.setattr)
    monkeypatch.setattr("ssd.training.run.folder.plot_results", no_curves)


@pytest.fixture
def run(data_folder, tmp_path):
    """run(name, options) trains in the folder `tmp_path / name` and returns it; `status` is expected."""

    def run(name, *options, status=0, data=data_folder):
        folder = tmp_path / name
        texts = [text for option in options for text in str(option).split(" ")]
        assert train.main(["--data", str(data), "--output", str(folder), *OPTIONS.split(), *texts]) == status
        return folder

    return run


@pytest.fixture
def arguments(data_folder, tmp_path):
    """The same for `refused`."""
    return lambda name, *texts: ["--data", data_folder, "--output", tmp_path / name, *OPTIONS.split(), *texts]


@pytest.fixture
def at_iteration(monkeypatch):
    """at_iteration(n, act): `act` is called in the course of iteration n (from 1), once, before its step."""

    def at_iteration(n, act):
        step, acts = TrainingStep.__call__, [act]

        def acting(self, *args):
            if self.iteration + 1 == n and acts:
                acts.pop()()
            return step(self, *args)

        monkeypatch.setattr(TrainingStep, "__call__", acting)

    return at_iteration


def iteration_of(folder):
    return load_training_state(folder / "last.pth")["iteration"]


def rows_of(folder):
    return read_results(folder / "results.csv")["iteration"].tolist()


def weights_of(folder, name="last.pth"):
    return load_checkpoint(folder / name).state_dict()


# -- going on


def test_a_run_interrupted_again_and_again_ends_the_same(run, at_iteration):
    options = "--iterations 9 --backbone vgg16_bn --ema 0.9 --eval-every 4 --save-every 2"
    straight = run("straight", options)

    def interrupt():
        raise KeyboardInterrupt

    for stop in (1, 4, 6, 8, 9):  # before the first save, between saves, after a validation, before the last step
        at_iteration(stop, interrupt)
    run("broken", options, status=130)
    for _ in range(4):
        run("broken", options, "--resume", status=130)
    assert iteration_of(run("broken", options, "--resume")) == 9
    compare(straight.parent / "broken", straight)
    assert rows_of(straight) == list(range(1, 10))


def test_arguments_of_a_run_that_goes_on(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = run("runs/a", "--iterations 2 --eval-every 0 --clip-norm 7 --drops 1 2 --seed 5")
    run("runs/b", "--iterations 1")
    (first / "last.pth").touch()  # the newest
    assert train.main(["--resume", "--iterations", "3"]) == 0
    *_, told = (start["arguments"] for start in json.loads((first / "args.json").read_text())["starts"])
    assert (told["clip_norm"], told["drops"], told["seed"], told["lr"]) == (7, [1, 2], 5, 1e-3)  # as before
    assert told["iterations"] == 3  # as given anew
    assert Path(told["data"]).is_absolute()
    assert rows_of(first) == [1, 2, 3]
    assert len(json.loads((first / "args.json").read_text())["starts"]) == 2


def test_a_run_goes_on_elsewhere(run, tmp_path, arguments, capsys):
    first = run("first", "--iterations 4 --eval-every 2 --save-every 2")
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    other = run("other", "--resume", first / "last.pth", "--iterations 5")
    assert rows_of(other) == [1, 2, 3, 4, 5]
    assert iteration_of(other) == 5
    assert load_checkpoint(other / "best.pth")
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    refused(capsys, train, arguments("other", "--resume", first / "last.pth"), "holds a run already")


def test_a_lost_best_model_is_made_anew(run):
    first = run("first", "--iterations 2 --eval-every 1")
    (first / "best.pth").unlink()
    run("first", "--iterations 3 --eval-every 1 --resume")
    assert load_checkpoint(first / "best.pth")
    assert load_training_state(first / "last.pth")["best"]["iteration"] == 3
    (first / "best.pth").unlink()
    run("first", "--iterations 3 --resume")  # at its end


def test_what_cannot_change_when_a_run_goes_on(run, arguments, capsys, checkpoint):
    folder = run("run", "--iterations 2")
    go_on = ("--resume", folder / "last.pth")
    for option, value in (("--freeze", 1), ("--backbone", "vgg16_bn"), ("--weights", checkpoint)):
        refused(capsys, train, arguments("run", *go_on, option, value), f"{option} {value}", "--weights")
    refused(capsys, train, arguments("run", *go_on, "--iterations", 1), "has done 2 iterations")
    assert iteration_of(folder) == 2
    run("run", "--resume --iterations 3 --precision bf16 --ema 0.5 --backbone vgg16")  # these can


def test_float16_from_a_run_without(data_folder):
    dataset = PascalVOCDataset(data_folder, "train")
    recipe = Recipe(1, batch_size=2, lr=1e-3)
    trainer = Trainer(SmallSSD(dataset.config), dataset, recipe, dtype=torch.float16)
    trainer.restore(Trainer(SmallSSD(dataset.config), dataset, recipe).state())
    assert trainer.step.scaler.get_scale() == 256


def test_a_run_killed_before_its_first_row_is_no_run(run, tmp_path):
    folder = run("run", "--iterations 1")
    for name in ("last.pth", "best.pth"):
        (folder / name).unlink()
    header = (folder / "results.csv").read_text().splitlines()[0]
    run("run", "--iterations 1", status=2)  # its rows are worth something
    (folder / "results.csv").write_text(header + "\n")
    run("run", "--iterations 1")


# -- being told to stop


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_after_the_iteration(run, at_iteration, capsys, number, status):
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    at_iteration(3, lambda: signal.raise_signal(number))
    folder = run("run", "--iterations 6 --eval-every 0", status=status)
    assert iteration_of(folder) == 3
    assert rows_of(folder) == [1, 2, 3]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert "stopped after iteration 3; --resume" in capsys.readouterr().err
    whole = run("whole", "--iterations 6 --eval-every 0")
    run(folder.name, "--iterations 6 --eval-every 0 --resume")
    assert same(weights_of(folder), weights_of(whole))


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts, also where the tests were started in the background, which lets them ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_second_interrupt_ends_at_once(run, at_iteration):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    at_iteration(3, twice)
    folder = run("run", "--iterations 6 --eval-every 0 --save-every 2", status=130)
    assert iteration_of(folder) == 2


# -- disks


@pytest.fixture
def small_files():
    """Call it, and no file can grow beyond a million bytes: a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_full_disk(arguments, tmp_path, at_iteration, small_files, capsys):
    at_iteration(4, small_files)
    args = arguments("run", "--iterations", 6, "--save-every", 2, "--eval-every", 0)
    refused(capsys, train, args, tmp_path / "run/last.pth", "cannot be written (File too large)")
    assert iteration_of(tmp_path / "run") == 2
    assert not list((tmp_path / "run").glob("*.tmp"))


def test_results_that_cannot_be_written(arguments, tmp_path, at_iteration, capsys):
    at_iteration(2, lambda: shutil.rmtree(tmp_path / "run"))
    refused(capsys, train, arguments("run", "--iterations", 6), tmp_path / "run/results.csv", "cannot be written")


def test_folder_that_cannot_be_made(arguments, tmp_path, capsys):
    (tmp_path / "file").touch()
    for run in ("file", "file/run"):
        refused(capsys, train, arguments(run, "--iterations", 6), f"{tmp_path / run}: cannot be written")


# -- numbers that are not finite


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


def validated(mAP):
    return Validated(mAP, {"val_mAP": mAP}, "table", [])


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
        return StepFigures(Figures.unpack(torch.ones(5)), torch.tensor(next(norms)))

    monkeypatch.setattr(TrainingStep, "__call__", step)
    half_trainer.recipe = replace(half_trainer.recipe, iterations=1000, eval_every=0)
    with pytest.raises(InputError, match=f"iteration {4 + MOST_SKIPPED + 1}: .*gradient"):
        half_trainer.run(NoFolder(), validate_nothing)
    assert half_trainer.health.skipped == 3 + MOST_SKIPPED + 1


# -- validation, best model, patience


@pytest.fixture
def scores(monkeypatch):
    """A list: the mAPs that validations find, one after the other. What they were given is in `scores.states`."""

    class Scores(list):
        states = ()

    scores = Scores()

    class Scripted:
        def __init__(self, *args):
            pass

        def __call__(self, model, criterion):
            scores.states = [*scores.states, copy.deepcopy(model.state_dict())]
            return validated(scores[len(scores.states) - 1])

    monkeypatch.setattr("ssd.training.session.Validation", Scripted)
    return scores


@pytest.mark.parametrize("ema", [0, 0.9])
def test_best_model(run, scores, ema):
    scores += [math.nan, 0.1, 0.5, 0.5, 0.3]
    folder = run("run", f"--iterations 5 --eval-every 1 --ema {ema}")
    assert same(weights_of(folder, "best.pth"), dict(scores.states[2]))
    state = load_training_state(folder / "last.pth")
    assert (state["best"]["mAP"], state["best"]["iteration"], state["best"]["waited"]) == (0.5, 3, 2)
    assert same(weights_of(folder), dict(scores.states[4])) == (not ema)  # last.pth has the weights themselves
    assert (state["average"] is None) == (not ema)
    if ema:
        assert same(state["average"], scores.states[4])


def test_patience(run, scores, capsys):
    scores += [0.2, 0.5, 0.4, 0.5, 0.7, 0.6, 0.6, 0.6]
    folder = run("run", "--iterations 8 --eval-every 1 --patience 2")
    assert iteration_of(folder) == 4
    told = capsys.readouterr().out
    assert "at iteration 2" in told and "no better mAP since iteration 2: ended early, at iteration 4" in told
    run("run", "--iterations 8 --resume")  # patience is at its end
    assert iteration_of(folder) == 4
    run("run", "--iterations 8 --resume --patience 0")
    assert iteration_of(folder) == 8
    assert load_training_state(folder / "last.pth")["best"]["iteration"] == 5


def test_best_without_objects_to_find():
    nothing, found = validated(math.nan), validated(0.0)
    assert Best().beaten_by(nothing)
    best = Best().after(nothing, 1)
    assert not best.beaten_by(nothing)
    best = best.after(nothing, 2)
    assert best == Best(iteration=1, table="table", waited=1)
    assert best.beaten_by(found)
    assert best.after(found, 3) == Best(0.0, 3, "table")


def test_validation_changes_nothing(run):
    often, seldom = (run(f"{n}", f"--iterations 6 --eval-every {n} --backbone vgg16_bn --ema 0.9") for n in (1, 0))
    states = [read_file(folder / "last.pth", "") for folder in (often, seldom)]
    assert same(states[0]["model"], states[1]["model"])
    for part in ("optimiser", "average"):
        assert same(states[0]["training"][part], states[1]["training"][part])
    columns = [read_results(folder / "results.csv") for folder in (often, seldom)]
    assert columns[0]["train_loss"].tolist() == columns[1]["train_loss"].tolist()
    assert [(~torch.tensor(c["val_loss"]).isnan()).sum() for c in columns] == [6, 1]


def test_validation_of_nothing(data_folder):
    dataset = PascalVOCDataset(data_folder, "test").subset([])
    model = SmallSSD(dataset.config)
    trainer = Trainer(model, PascalVOCDataset(data_folder, "train"), Recipe(1, batch_size=2, lr=1e-3))
    found = Validation(dataset, 2, 0, torch.device("cpu"))(model, trainer.step.criterion)
    assert math.isnan(found.figures["val_mAP"])
    assert found.pictures == []


def test_average_follows_the_weights():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    average, decay = Average(model, 0.5), 0.5
    expected = {name: tensor.double() for name, tensor in model.state_dict().items()}
    for k in range(20):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += torch.randn_like(parameter)
            model(torch.randn(4, 3))  # new statistics
        average.update(model, k)
        share = min(decay, (1 + k) / (10 + k))
        for name, tensor in model.state_dict().items():
            old = expected[name]
            counts = name.endswith("num_batches_tracked")
            expected[name] = tensor.double() if counts else share * old + (1 - share) * tensor.double()
    assert not average.model.training
    for name, tensor in average.model.state_dict().items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


# -- the step, parts of a batch, freezing, few pictures


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


def test_parts_of_a_batch_make_no_difference(run):
    whole, parts = (run(f"{k}", f"--iterations 6 --batch-size 4 --lr 1e-3 --accumulate {k}") for k in (1, 2))
    losses = [torch.tensor(read_results(folder / "results.csv")["train_loss"]) for folder in (whole, parts)]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=0)
    for name, tensor in weights_of(whole).items():
        torch.testing.assert_close(weights_of(parts)[name], tensor, rtol=1e-4, atol=1e-7)


def test_batch_that_cannot_be_shared_out(arguments, data_folder, monkeypatch, capsys):
    refused(capsys, train, arguments("run", "--batch-size", 3, "--accumulate", 2), "--batch-size 3", "multiple")
    monkeypatch.setattr(distributed, "n_processes", lambda: 2)
    dataset = PascalVOCDataset(data_folder, "train")
    with pytest.raises(InputError, match=r"multiple of 2 \(processes\) x 3"):
        Trainer(SmallSSD(dataset.config), dataset, Recipe(1, batch_size=8, lr=1, accumulate=3))
    with pytest.raises(InputError, match="vgg16_bn.*several processes.*CUDA only"):
        Trainer(SmallSSD(replace(dataset.config, backbone="vgg16_bn")), dataset, Recipe(1, batch_size=8, lr=1))


def test_frozen_convolutions(run):
    start = run("start", "--iterations 1 --backbone vgg16_bn --lr 0 --freeze 2")
    folder = run("run", "--iterations 3 --backbone vgg16_bn --freeze 1")
    before, after = weights_of(start), weights_of(folder)
    for name in before:
        frozen = name.startswith("base.conv1_1.") or name == "ballast"
        if name.replace("bias", "norm.weight") in before and name.endswith("bias") and not frozen:
            continue  # its gradient is rounding alone: batch normalisation takes away what such a bias adds
        assert torch.equal(before[name], after[name]) == frozen, name


def test_convolutions_that_freeze():
    model = SSD300(SSDConfig(class_names=("a",), backbone="vgg16_bn"))
    train_mode(model, 3)
    still = {name.split(".")[1] for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert still == {"conv1_1", "conv1_2", "conv2_1"}
    assert not model.base.conv2_1.norm.training
    assert model.base.conv2_2.norm.training


def test_overfit(data_folder, tmp_path):
    lists = shutil.copytree(data_folder, tmp_path / "lists")
    objects = json.loads((lists / "TRAIN_objects.json").read_text())
    objects[0] |= {"boxes": [], "labels": [], "difficulties": []}
    objects[1]["difficulties"] = [1] * len(objects[1]["labels"])
    (lists / "TRAIN_objects.json").write_text(json.dumps(objects))
    config = PascalVOCDataset(lists, "train").config
    train_set, test_set = create_data_sets(lists, config, overfit=1)
    assert train_set.data.paths == test_set.data.paths == read_data_list(lists, "train").paths[2:3]
    assert not train_set.augment
    assert len(create_data_sets(lists, config, overfit=99)[0]) == 2


def edit_objects(lists, split, edit):
    path = lists / f"{split}_objects.json"
    objects = json.loads(path.read_text())
    for k, entry in enumerate(objects):
        edit(k, entry)
    path.write_text(json.dumps(objects))


@pytest.mark.parametrize("kind", ["an image without objects in every batch", "all objects difficult"])
def test_data_sets_of_extremes(run, data_folder, tmp_path, kind):
    def edit(k, entry):
        if "difficult" in kind:
            entry["difficulties"] = [1] * len(entry["labels"])
        elif k < 3:
            entry |= {"boxes": [], "labels": [], "difficulties": []}

    lists = shutil.copytree(data_folder, tmp_path / "lists")
    for split in ("TRAIN", "TEST"):
        edit_objects(lists, split, edit)
    folder = run("run", "--iterations 4 --batch-size 4 --eval-every 2 --ema 0.9", data=lists)
    columns = read_results(folder / "results.csv")
    assert len(columns["train_loss"]) == 4
    for name in ("train_loss", "train_loc", "train_conf"):
        assert all(map(math.isfinite, columns[name]))
    assert math.isfinite(columns["val_loss"][-1])
    assert math.isnan(columns["val_mAP"][-1]) == ("difficult" in kind)
    assert all(tensor.isfinite().all() for tensor in weights_of(folder, "best.pth").values())


# -- pictures that cannot be read, memory


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


def test_other_errors_keep_their_traceback(run, monkeypatch):
    def forward(self, images):
        raise RuntimeError("a defect")

    monkeypatch.setattr(SmallSSD, "forward", forward)
    with pytest.raises(RuntimeError, match="a defect"):
        run("run", "--iterations 1")
