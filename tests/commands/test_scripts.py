"""The four scripts, what is true of several of them, and the way from data lists to detections."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ssd import SSD300, SSDConfig, save_checkpoint
from ssd.commands import data as create_data_lists
from ssd.commands import detect, train
from ssd.commands import eval as evaluation
from tests.helpers.scripts import SHORT, refused

ROOT = Path(__file__).parents[2]


def test_from_lists_to_detections(data_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--data", str(data_folder), *SHORT]) == 0
    run = tmp_path / "runs" / "1"
    written = {path.name for path in run.iterdir()}
    assert written > {"args.json", "best.pth", "last.pth", "results.csv", "train_batch.jpg", "validation.jpg"}
    assert not [name for name in written if name.endswith(".tmp")]
    assert "mAP voc07" in capsys.readouterr().out

    assert evaluation.main(["--data", str(data_folder), "--json", "figures.json", "--save-results", "results"]) == 0
    from_model = capsys.readouterr().out
    assert "mAP voc07" in from_model
    figures = json.loads(Path("figures.json").read_text())
    assert [c["name"] for c in figures["classes"]] == ["circle", "square", "star", "triangle"]
    assert figures["images"] == 4

    assert evaluation.main(["--data", str(data_folder), "--results", "results", "--json", "again.json"]) == 0
    again = json.loads(Path("again.json").read_text())
    own = dict.fromkeys(("images_per_second", "detections_of", "min_score", "max_overlap", "top_k"))
    assert again | own == figures | own

    assert detect.main([str(data_folder / "TEST_images.json"), "--output", "out", "--min-score", "0.05"]) == 0
    records = json.loads(Path("out/detections.json").read_text())
    assert len(records) == 4
    for record in records:
        with Image.open(Path("out") / record["annotated"]) as annotated:
            assert annotated.size == (record["width"], record["height"])
        for found in record["detections"]:
            assert found["name"] in ("circle", "square", "star", "triangle")
            assert found["score"] > 0.05
            assert 0 <= found["box"][0] <= found["box"][2] <= record["width"]

    assert train.main(["--data", str(data_folder), *SHORT]) == 0
    assert (tmp_path / "runs" / "2" / "best.pth").exists()  # the first run is left alone


@pytest.mark.parametrize("script", ["create_data_lists.py", "train.py", "eval.py", "detect.py"])
def test_help(script):
    environment = {**os.environ, "COLUMNS": "100"}
    shown = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert shown.returncode == 0
    assert "default: None" not in shown.stdout
    if script == "train.py":
        described = " ".join(shown.stdout.split())
        for text in (
            "of the whole run (default: 120000 of 32 images)",
            "0: no limit (default: 0.0)",
            "random choices (default: 0)",
        ):
            assert text in described


@pytest.mark.parametrize("script", [create_data_lists, train, evaluation, detect])
def test_main_returns_the_status(script, capsys):
    assert script.main(["--help"]) == 0
    refused(capsys, script, ["--wrong"], "--help")


@pytest.mark.parametrize("script", [train, evaluation])
def test_missing_data_lists(script, checkpoint, tmp_path, capsys):
    args = ["--data", tmp_path] + (["--checkpoint", checkpoint] if script is evaluation else SHORT)
    refused(capsys, script, args, "no such data list", "create_data_lists.py")


@pytest.mark.parametrize("script", [evaluation, detect])
def test_missing_and_damaged_checkpoints(script, data_folder, voc_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["--data", data_folder] if script is evaluation else [voc_folder / "JPEGImages"]
    refused(capsys, script, args, "no checkpoint in runs/", "--checkpoint")
    refused(capsys, script, [*args, "--checkpoint", "missing.pth"], "missing.pth: no such file")
    refused(capsys, script, [*args, "--checkpoint", tmp_path], "a folder, not a file", "SSD weights")
    Path("damaged.pth").write_bytes(b"PK\x03\x04 and so on")
    refused(capsys, script, [*args, "--checkpoint", "damaged.pth"], "damaged.pth: damaged")


def test_checkpoint_of_other_classes(data_folder, tmp_path, capsys):
    save_checkpoint(tmp_path / "other.pth", SSD300(SSDConfig(class_names=("cat", "dog"))))
    args = ["--data", data_folder, "--checkpoint", tmp_path / "other.pth"]
    message = "detects cat, dog, but the classes", data_folder, "circle, square"
    refused(capsys, evaluation, args, *message)
    args = ["--data", data_folder, *SHORT, "--resume", tmp_path / "other.pth"]
    refused(capsys, train, args, "other.pth: contains a model but no training state")
