"""The training loop, with a network whose steps take milliseconds."""

import copy
import json
import math
import shutil
import signal
from dataclasses import replace

import pytest
import torch

from ssd import distributed
from ssd.checkpoint import load_training_state
from ssd.commands import train
from ssd.data import PascalVOCDataset
from ssd.errors import InputError
from ssd.training.progress import evaluation_line
from ssd.training.recipe import Recipe
from ssd.training.run.results import read_results
from ssd.training.trainer import Trainer
from ssd.training.validation import Best
from tests.helpers.runs import iteration_of, rows_of, validated, weights_of
from tests.helpers.scripts import refused
from tests.helpers.small_network import SmallSSD
from tests.long.kill_and_resume import same

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def usual_signals():
    """Signals have their usual effect, even if the tests were started in the background or with nohup."""
    defaults = (signal.default_int_handler, signal.SIG_DFL, signal.SIG_DFL)
    before = [signal.signal(number, handler) for number, handler in zip(STOPPING, defaults, strict=True)]
    yield
    for number, handler in zip(STOPPING, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("numbers, status", [
    ([signal.SIGINT], 130), ([signal.SIGTERM], 143), ([signal.SIGHUP, signal.SIGHUP], 129),
])  # fmt: skip
def test_stop_after_the_iteration(run, at_iteration, capsys, numbers, status):
    handlers = [signal.getsignal(n) for n in STOPPING]
    at_iteration(3, lambda: [signal.raise_signal(number) for number in numbers])
    folder = run("run", "--iterations 6 --eval-every 0", status=status)
    assert iteration_of(folder) == 3
    assert rows_of(folder) == [1, 2, 3]
    assert [signal.getsignal(n) for n in STOPPING] == handlers
    assert "stopped after iteration 3; --resume" in capsys.readouterr().err
    whole = run("whole", "--iterations 6 --eval-every 0")
    run(folder.name, "--iterations 6 --eval-every 0 --resume")
    assert same(weights_of(folder), weights_of(whole))


def test_the_progress_line_names_the_epoch(run, capsys):
    run("run", "--iterations 5 --eval-every 0")  # of 2 of 4 images
    told = capsys.readouterr().err
    assert "\repoch 1 of 3:   0%" in told and "\repoch 3 of 3: 100%" in told


def test_a_signal_that_is_ignored_does_not_stop_the_run(run, at_iteration):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    at_iteration(2, lambda: signal.raise_signal(signal.SIGHUP))
    assert iteration_of(run("run", "--iterations 3 --eval-every 0")) == 3


def test_a_second_interrupt_ends_at_once(run, at_iteration):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    at_iteration(3, twice)
    folder = run("run", "--iterations 6 --eval-every 0 --save-every 2", status=130)
    assert iteration_of(folder) == 2


def test_full_disk(arguments, tmp_path, at_iteration, small_files, capsys):
    at_iteration(4, lambda: small_files(10**6))
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
        refused(capsys, train, arguments(run, "--iterations", 6), f"{tmp_path / 'file'}: is a file; name a folder")


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

    monkeypatch.setattr("ssd.training.prepare.Validation", Scripted)
    return scores


def test_each_evaluation_is_a_line(run, scores, capsys):
    scores += [math.nan, 0.25, 0.75, 0.5]
    run("run", "--iterations 4 --eval-every 1")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("iteration ")]
    assert [line.partition("; ")[0] for line in lines] == [
        "iteration 1: mAP n/a, best n/a at 1",
        "iteration 2: mAP 0.2500, best 0.2500 at 2",
        "iteration 3: mAP 0.7500, best 0.7500 at 3",
        "iteration 4: mAP 0.5000, best 0.7500 at 3",
    ]
    row = {"iteration": 7.0, "val_mAP": 0.1, "train_loss": 3.14159, "val_loss": 2.5}
    expected = "iteration 7: mAP 0.1000, best 0.2000 at 5; loss 3.14 in the last batch, 2.50 in the evaluation"
    assert evaluation_line(row, Best(0.2, 5)) == expected


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
            continue  # its gradient is only rounding: batch normalisation removes what such a bias adds
        assert torch.equal(before[name], after[name]) == frozen, name


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
