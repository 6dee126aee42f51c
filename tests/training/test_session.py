"""How a run is set up, how it continues and what it says."""

import json
import shutil
from pathlib import Path

from ssd import load_checkpoint
from ssd.checkpoint import load_training_state
from ssd.commands import train
from ssd.data import PascalVOCDataset, read_data_list
from ssd.training.session import create_data_sets
from tests.helpers.runs import iteration_of, rows_of
from tests.helpers.scripts import refused
from tests.long.kill_and_resume import compare


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
    assert told["iterations"] == 3  # as given again
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


def test_a_lost_best_model_is_replaced(run):
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


def test_a_run_killed_before_its_first_row_is_no_run(run, tmp_path):
    folder = run("run", "--iterations 1")
    for name in ("last.pth", "best.pth"):
        (folder / name).unlink()
    header = (folder / "results.csv").read_text().splitlines()[0]
    run("run", "--iterations 1", status=2)  # its rows are worth something
    (folder / "results.csv").write_text(header + "\n")
    run("run", "--iterations 1")


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
