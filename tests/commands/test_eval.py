"""`eval.py`: its outputs, and what it refuses."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssd import load_checkpoint, save_checkpoint
from ssd.checkpoint import write_checkpoint
from ssd.commands import eval as evaluation
from ssd.convert import read_weights
from ssd.data import PascalVOCDataset, read_data_list, write_data_lists
from tests.helpers import small_network
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import data_list, entries

CLASSES = ["circle", "square", "star", "triangle"]


def evaluate(*args):
    return evaluation.main([str(arg) for arg in args])


def test_every_output_and_the_files_scored_again(data_folder, checkpoint, tmp_path, capsys):
    figures, again, saved, report = (tmp_path / "new" / name for name in ("a.json", "b.json", "saved", "report"))
    pytest.importorskip("matplotlib")
    outputs = ["--json", figures, "--save-results", saved, "--report", report]
    assert evaluate("--data", data_folder, "--checkpoint", checkpoint, "--device", "cpu", "--workers", 0, *outputs) == 0
    printed = capsys.readouterr().out
    model = f"{checkpoint}: SSD300 with vgg16, 4 classes (circle, square, star, triangle); PyTorch, fp32"
    assert printed.startswith(f"{model}; test list of {data_folder}: 4 images\n")
    speed = [line for line in printed.splitlines() if line.startswith("images per second ")]
    assert len(speed) == 1 and all(part in speed[0] for part in ("data", "network", "post-processing"))
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "images per second" in page and str(checkpoint) in page and str(data_folder) in page
    names = [f"comp4_det_test_{name}.txt" for name in CLASSES]
    assert sorted(path.name for path in saved.iterdir()) == ["coco_results.json", "coco_truth.json", *names]

    expected = json.loads(figures.read_text())
    assert set(expected.pop("images_per_second")) == {"all", "data", "network", "post-processing"}
    assert expected.pop("detections_of") == str(checkpoint)
    assert expected["test_list"] == str(data_folder)
    assert [expected.pop(name) for name in ("min_score", "max_overlap", "top_k")] == [0.01, 0.45, 200]
    for results in (saved, saved / "coco_results.json"):
        assert evaluate("--data", data_folder, "--results", results, "--json", again) == 0
        printed = capsys.readouterr().out
        assert printed.startswith(f"detections in {results}; test list of {data_folder}: 4 images\n")
        assert "images per second" not in printed
        assert json.loads(again.read_text()) == expected | {"detections_of": str(results), "images_per_second": {}}


def test_the_list_that_is_evaluated_and_what_it_chose(data_folder, checkpoint, tmp_path, capsys):
    train, test = (read_data_list(data_folder, split) for split in ("train", "test"))
    val, figures = train.subset([0]), tmp_path / "figures.json"
    write_data_lists(tmp_path / "lists", train=train, val=val, test=test)
    model = tmp_path / "best.pth"
    save_checkpoint(model, load_checkpoint(checkpoint), chosen_on={"split": "val", "digest": val.digest})
    args = ["--data", tmp_path / "lists", "--device", "cpu", "--workers", 0, "--json", figures]
    for split, checkpoint_, is_optimistic in (("val", model, True), ("test", model, False), ("val", checkpoint, False)):
        assert evaluate(*args, "--split", split, "--checkpoint", checkpoint_) == 0
        told = json.loads(figures.read_text())
        assert told["images"] == {"val": 1, "test": 4}[split] and told[f"{split}_list"] == str(tmp_path / "lists")
        assert ("best of its run's evaluations on this list" in capsys.readouterr().out) == is_optimistic
        assert ("remark" in told) == is_optimistic
    refused(capsys, evaluation, ["--data", data_folder, "--split", "val"], "VAL_images.json", "--val-fraction")


def test_the_floor_of_a_data_set_with_one_object_in_a_picture(tmp_path, capsys):
    (tmp_path / "results.json").write_text("[]")
    args = ["--data", tmp_path, "--results", tmp_path / "results.json", "--json", tmp_path / "figures.json"]
    for n, floor in ((1, 1.0), (2, None)):
        row = {"size": [100, 100], "boxes": [[20, 20, 80, 80]] * n, "labels": [1] * n, "difficulties": [0] * n}
        data = data_list([f"{k}.jpg" for k in range(4)], [row] * 4, ("raccoon",))
        write_data_lists(tmp_path, train=data, test=data)
        assert evaluate(*args) == 0
        assert ("constant box        1.0000 (mAP" in capsys.readouterr().out) == (floor is not None)
        assert json.loads((tmp_path / "figures.json").read_text())["constant_box_map_voc07"] == floor


@pytest.fixture
def perfect(data_folder, tmp_path):
    """COCO results of every object, as another detector might write them."""
    rows = [
        {"image_id": image, "category_id": label, "bbox": [x_min, y_min, x_max - x_min, y_max - y_min], "score": 0.5}
        for image, entry in enumerate(entries(read_data_list(data_folder, "test")))
        for label, (x_min, y_min, x_max, y_max) in zip(entry["labels"], entry["boxes"], strict=True)
    ]
    (tmp_path / "perfect.json").write_text(json.dumps(rows))
    return tmp_path / "perfect.json"


def test_results_of_another_detector(data_folder, perfect, tmp_path, capsys):
    assert evaluate("--data", data_folder, "--results", perfect, "--json", tmp_path / "figures.json") == 0
    assert "mAP voc07           1.0000" in capsys.readouterr().out
    assert json.loads((tmp_path / "figures.json").read_text())["map_voc10"] == 1


def test_figures_that_cannot_be_written(data_folder, perfect, tmp_path, capsys):
    args = ["--data", data_folder, "--results", perfect, "--json"]
    if Path("/dev/full").exists():
        refused(capsys, evaluation, [*args, "/dev/full"], "/dev/full: cannot be written (No space left on device)")
    refused(capsys, evaluation, [*args, tmp_path], f"{tmp_path}: is a folder; name a file")


def test_bad_results_are_named_by_file_and_row(data_folder, perfect, tmp_path, capsys):
    perfect.write_text(json.dumps([*json.loads(perfect.read_text())[:1], {"image_id": 0}]))
    refused(capsys, evaluation, ["--data", data_folder, "--results", perfect], "perfect.json, detection 2: needs")
    (tmp_path / "comp4_det_test_star.txt").write_text("000000 0.5 nan 1 2 2\n")
    refused(capsys, evaluation, ["--data", data_folder, "--results", tmp_path], "comp4_det_test_star.txt, line 1: ")


@pytest.mark.parametrize("option, value", [
    ("--checkpoint", "x"), ("--save-results", "x"), ("--min-score", 0.5), ("--max-overlap", 0.5), ("--top-k", 9),
])  # fmt: skip
def test_options_that_results_exclude(data_folder, perfect, tmp_path, monkeypatch, capsys, option, value):
    monkeypatch.chdir(tmp_path)
    refused(capsys, evaluation, ["--data", data_folder, "--results", perfect, option, value], f"leave out {option}")
    assert not Path("x").exists()


@pytest.fixture
def small(data_folder, tmp_path, monkeypatch):
    """The checkpoint of a network that takes no time."""
    small_network.use(monkeypatch.setattr)
    torch.manual_seed(0)
    path = tmp_path / "small.pth"
    save_checkpoint(path, small_network.SmallSSD(PascalVOCDataset(data_folder, "test").config))
    return path


def test_other_thresholds_than_the_papers(data_folder, small, tmp_path):
    figures = tmp_path / "figures.json"

    def n_detections(*options):
        args = ["--data", data_folder, "--checkpoint", small, "--device", "cpu", "--workers", 0, "--json", figures]
        assert evaluate(*args, *options) == 0
        told = json.loads(figures.read_text())
        return sum(each["detections"] for each in told["classes"]), told

    usual, told = n_detections()
    assert (told["min_score"], told["max_overlap"], told["top_k"]) == (0.01, 0.45, 200)
    assert usual == 4 * 200
    for option, value in (("--min-score", 0.9), ("--max-overlap", 0), ("--top-k", 7)):
        fewer, told = n_detections(option, value)
        assert told[option[2:].replace("-", "_")] == value
        assert {"--min-score": 0, "--top-k": 4 * 7}.get(option, fewer) == fewer < usual


def test_thresholds_are_chosen_on_the_validation_list(data_folder, perfect, tmp_path, capsys):
    train, test = (read_data_list(data_folder, split) for split in ("train", "test"))
    write_data_lists(tmp_path / "lists", train=train, val=train.subset([0]), test=test)
    (tmp_path / "none.json").write_text("[]")
    file = tmp_path / "new" / "thresholds.json"
    args = ["--data", tmp_path / "lists", "--save-thresholds", file, "--results"]
    assert evaluate(*args, tmp_path / "none.json") == 0
    told = capsys.readouterr().out
    assert f"val list of {tmp_path / 'lists'}: 1 image\n" in told and f"thresholds of 0 of 4 classes: {file}" in told
    assert evaluate(*args, perfect, "--split", "test") == 0
    there = {test.class_names[label - 1] for label in test.labels}
    below_half = pytest.approx(0.5 - 2**-25, abs=0)
    assert json.loads(file.read_text()) == dict.fromkeys(there, below_half)
    assert f"thresholds of {len(there)} of 4 classes" in capsys.readouterr().out
    refused(capsys, evaluation, [*args[:-2], tmp_path, "--results", perfect], f"{tmp_path}: is a folder; name a file")


@pytest.mark.parametrize(
    "option, message",
    [("--report", "pip install matplotlib"), ("--save-results", "have the same image id"), ("--json", "taken")],
)
def test_what_cannot_be_written_is_told_before_the_evaluation(
    data_folder, tmp_path, capsys, monkeypatch, option, message
):
    monkeypatch.setattr(evaluation, "open_model", lambda *args: pytest.fail("the evaluation has begun"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    shutil.copytree(data_folder, tmp_path / "lists")
    images = json.loads((data_folder / "TEST_images.json").read_text())
    (tmp_path / "lists/TEST_images.json").write_text(json.dumps([images[0], *images[:-1]]))  # one of them twice
    (tmp_path / "taken").touch()  # where a folder has to be
    args = ["--data", tmp_path / "lists", "--checkpoint", "best.pth", option, tmp_path / "taken/output"]
    refused(capsys, evaluation, args, message)


@pytest.mark.parametrize("option", ["--save-results", "--report"])
def test_a_file_where_a_folder_is_needed(data_folder, tmp_path, capsys, option):
    (tmp_path / "file").touch()
    args = ["--data", data_folder, "--checkpoint", "best.pth", option, tmp_path / "file"]
    refused(capsys, evaluation, args, f"{tmp_path / 'file'}: is a file; name a folder")


def test_evaluation_of_a_model_of_more_classes(data_folder, checkpoint, tmp_path):
    """The same network with its outputs in another order and others without a class gives the same figures."""
    _, config, state = read_weights(checkpoint)  # circle, square, star, triangle
    names = ("triangle", "hexagon", "", "circle", "star", "square")
    old = ("background", *config.class_names)
    columns = [old.index(name) if name in old else None for name in ("background", *names)]
    for name in [name for name in state if name.startswith("pred_convs.cl_")]:
        by_class = state[name].unflatten(0, (-1, 5))  # (n_priors, n_classes, ...)
        never = -1e4 if name.endswith("bias") else 0.0
        columns_of = [by_class[:, c] if c is not None else torch.full_like(by_class[:, 0], never) for c in columns]
        columns_of[2] = by_class[:, 1] if name.endswith("weight") else by_class[:, 1] - 20  # hexagon: low scores
        state[name] = torch.stack(columns_of, 1).flatten(0, 1)
    write_checkpoint(tmp_path / "more.pth", replace(config, class_names=names), state)
    figures = []
    for path in (checkpoint, tmp_path / "more.pth"):
        args = ["--checkpoint", path, "--data", data_folder, "--json", tmp_path / "figures.json", "--workers", 0]
        assert evaluation.main([str(arg) for arg in args]) == 0
        figures.append(json.loads((tmp_path / "figures.json").read_text())["classes"])
    assert [entry["name"] for entry in figures[1]] == ["circle", "square", "star", "triangle"]
    for a, b in zip(*figures, strict=True):
        assert a["detections"] == pytest.approx(b["detections"], rel=0.02)
        assert a["ap_voc07"] == pytest.approx(b["ap_voc07"], abs=1e-3)
