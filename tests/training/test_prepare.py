"""How a run is set up, how it continues and what it says."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from ssd import SSDConfig, load_checkpoint, save_checkpoint
from ssd.checkpoint import chosen_list, load_training_state
from ssd.commands import train
from ssd.data import PascalVOCDataset, read_data_list, write_data_lists
from ssd.training.prepare import create_data_sets, prepare_run
from ssd.training.recipe import paper_recipe
from ssd.training.run.folder import kept_arguments
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
    first = run("runs/a", "--iterations 2 --eval-every 0 --clip-norm 7 --drops 1 2 --seed 5 --alpha 2 --no-difficult")
    run("runs/b", "--iterations 1")
    (first / "last.pth").touch()  # the newest
    assert train.main(["--resume", "--iterations", "3"]) == 0
    *_, told = (start["arguments"] for start in json.loads((first / "args.json").read_text())["starts"])
    assert (told["clip_norm"], told["drops"], told["seed"], told["lr"]) == (7, [1, 2], 5, 1e-3)  # as before
    assert (told["alpha"], told["difficult"], told["momentum"]) == (2, False, 0.9)
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


def test_an_output_that_holds_a_run_is_refused_before_a_download(arguments, tmp_path, monkeypatch, capsys):
    def offline(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    refused(capsys, train, arguments("run", "--weights", "imagenet"), "cannot be downloaded (no network)")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pth").touch()
    refused(capsys, train, arguments("run", "--weights", "imagenet"), "holds a run already")


@pytest.fixture
def three_lists(data_folder, tmp_path):
    """Those of `data_folder`, half of whose test pictures are validation pictures."""
    train_list, test_list = (read_data_list(data_folder, split) for split in ("train", "test"))
    parts = {"val": test_list.subset([0, 1]), "test": test_list.subset([2, 3])}
    write_data_lists(tmp_path / "lists", train=train_list, **parts)
    return tmp_path / "lists"


@pytest.mark.parametrize("split, options, words", [
    ("val", "", "best of the evaluations on the validation list, at iteration .* eval.py measures the model on"),
    ("test", "", "best of the evaluations on the test list, at iteration .* --val-fraction makes another list"),
    ("train", "--overfit 2", "best of the evaluations on its training images, at iteration .* are optimistic\n"),
])  # fmt: skip
def test_the_list_that_the_best_model_is_chosen_by(run, three_lists, capsys, split, options, words):
    if split == "test":
        for path in three_lists.glob("VAL_*.json"):
            path.unlink()
    data = read_data_list(three_lists, split)
    if options:
        data = data.subset([0, 1])
    folder = run("run", "--iterations 2 --eval-every 1", *options.split(), data=three_lists)
    assert chosen_list(folder / "best.pth") == {"split": split, "digest": data.digest}
    assert chosen_list(folder / "last.pth") is None  # it is the last one, however good
    told = capsys.readouterr().out
    assert re.search(words, told, flags=re.S)
    assert f"images              {len(data)}\n" in told


def test_a_single_evaluation_is_no_choice(run, three_lists, capsys):
    folder = run("run", "--iterations 2 --eval-every 0", data=three_lists)
    assert chosen_list(folder / "best.pth") is None
    told = capsys.readouterr().out
    assert "evaluated on the validation list, at iteration 2:" in told and "optimistic" not in told


def test_the_best_by_another_list_does_not_count(run, three_lists):
    """Here the lists get a validation split while the run is interrupted."""
    split = [path.rename(path.with_suffix(".hidden")) for path in three_lists.glob("VAL_*.json")]
    folder = run("run", "--iterations 2 --eval-every 1", data=three_lists)
    state = load_training_state(folder / "last.pth")
    model = load_checkpoint(folder / "last.pth")
    save_checkpoint(folder / "last.pth", model, state | {"best": state["best"] | {"mAP": 1.0}})  # never reached again
    run("run", "--iterations 3 --resume", data=three_lists)
    assert load_training_state(folder / "last.pth")["best"]["iteration"] < 3
    for path in split:
        path.rename(path.with_suffix(".json"))
    run("run", "--iterations 4 --resume", data=three_lists)
    assert load_training_state(folder / "last.pth")["best"]["iteration"] == 4
    assert chosen_list(folder / "best.pth")["split"] == "val"


def test_a_run_is_prepared_from_python_and_resumes_from_the_command(small_networks, data_folder, tmp_path, run):
    options = {"output": tmp_path / "run", "weights": "none", "precision": "fp32", "log": "none"}
    with prepare_run(data_folder, paper_recipe(2, iterations=1), torch.device("cpu"), **options) as prepared:
        assert prepared.train() == 0
    assert rows_of(tmp_path / "run") == [1]
    assert kept_arguments(tmp_path / "run" / "last.pth") == {
        "data": str(data_folder), "backbone": "vgg16", "size": 300, "scales": None, "ratios": None,
    }  # fmt: skip
    assert rows_of(run("run", "--resume --iterations 2")) == [1, 2]


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
    for option, value in (
        ("--freeze", 1),
        ("--backbone", "vgg16_bn"),
        ("--size", 512),
        ("--ratios", 2),
        ("--weights", checkpoint),
    ):
        refused(capsys, train, arguments("run", *go_on, option, value), f"{option} {value}", "--weights")
    refused(capsys, train, arguments("run", *go_on, "--iterations", 1), "has done 2 iterations")
    assert iteration_of(folder) == 2
    run("run", "--resume --iterations 3 --precision bf16 --ema 0.5 --backbone vgg16")  # these can


def test_a_run_of_512_pixels(run, capsys):
    folder = run("run", "--iterations 1 --size 512")
    assert "SSD512 with vgg16 on" in capsys.readouterr().out
    run("run", "--iterations 2 --resume")
    for name in ("last.pth", "best.pth"):
        assert load_checkpoint(folder / name).config.feature_maps == (64, 32, 16, 8, 4, 2, 1)


def test_priors_of_ones_own(run, arguments, capsys):
    scales = (0.04, 0.1, 0.3, 0.5, 0.7, 0.9)
    folder = run("run", "--iterations 1 --ratios 1.5 --scales", *scales)
    config = load_checkpoint(folder / "best.pth").config
    assert config == SSDConfig(class_names=config.class_names).with_priors(scales, [1.5])
    run("run", "--iterations 2 --resume")
    assert load_checkpoint(folder / "best.pth").config == config
    for options, message in (
        (("--scales", 0.1, 0.2), "--scales 0.1 0.2: the 6 maps need 6 numbers"),
        (("--ratios", 2, 1), "--ratios 2 1: must be different numbers above 1"),
    ):
        refused(capsys, train, arguments("other", *options), message)


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


def test_difficult_objects_are_not_trained_on(data_folder, tmp_path):
    lists = shutil.copytree(data_folder, tmp_path / "lists")
    for split in ("TRAIN", "TEST"):
        objects = json.loads((lists / f"{split}_objects.json").read_text())
        objects[0]["difficulties"] = [1] * len(objects[0]["labels"])
        (lists / f"{split}_objects.json").write_text(json.dumps(objects))
    config = PascalVOCDataset(lists, "train").config
    all_objects, easy_objects = (create_data_sets(lists, config, difficult=each) for each in (True, False))
    for usual, without in zip(all_objects, easy_objects, strict=True):
        assert not len(usual.crowds(0)) and usual.data.difficulties.any()
        assert not len(without.data[0].labels) and len(without.crowds(0)) == len(usual.data[0].labels)
        assert without.data[1].boxes.tolist() == usual.data[1].boxes.tolist()
