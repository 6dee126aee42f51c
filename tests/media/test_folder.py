"""The output folder of detect.py: whose results are in it, and what --overwrite removes."""

import json
import shutil
from dataclasses import replace

import pytest
from PIL import Image

from ssd.commands import detect
from ssd.media.folder import NAME, OutputFolder, describe_job
from ssd.media.sources import Sources
from tests.helpers.fixed_detector import CHECKPOINT
from tests.helpers.scripts import refused

MODEL = {"checkpoint": "/best.pth", "sha256": "0", "backbone": "vgg16", "classes": ["cat"]}
ALL = ("--save", "json,csv,voc,coco,yolo")


def everything(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def content(folder):
    return {name: (folder / name).read_bytes() for name in everything(folder)}


def test_by_default_each_run_has_a_folder_of_its_own(fixed, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert detect.main([str(tmp_path), "--recursive", "--checkpoint", CHECKPOINT]) == 0
    assert everything(tmp_path / "detections/1") == everything(tmp_path / "detections/2")  # copies are no sources
    assert everything(tmp_path / "detections/2") == [
        *("a.jpg", "a_2.jpg", "b.jpg", "c.jpg", "detections.json", "detections_of.json"),
    ]


@pytest.mark.parametrize("change", ["weights", "classes"])
def test_results_of_another_model_are_not_mixed(fixed, photos, tmp_path, capsys, monkeypatch, change):
    first, second = tmp_path / "first.pth", tmp_path / "second.pth"
    first.write_text("first")
    shutil.copy(first, second)
    args = [photos, "--output", tmp_path / "out", *ALL, "--checkpoint"]
    assert detect.main([str(arg) for arg in (*args, first)]) == 0
    before = content(tmp_path / "out")
    if change == "weights":
        second.write_text("others")
    else:
        fixed.config = replace(fixed.config, class_names=("cat", "fox"))
    refused(capsys, detect, [*args, second], "out: holds results of another model", first, "--overwrite")
    assert content(tmp_path / "out") == before
    (tmp_path / "out/notes.txt").write_text("of the user")
    (tmp_path / "out/yolo/mine.txt").write_text("of the user")
    (tmp_path / "out/a.jpg.123.tmp").write_text("of a run that was killed")
    monkeypatch.chdir(photos)
    args = ["b.jpg", "--output", tmp_path / "out", "--save", "yolo", "--checkpoint", second, "--overwrite"]
    assert detect.main([str(arg) for arg in args]) == 0
    ours = ["b.jpg", NAME, "notes.txt", "yolo/data.yaml", "yolo/labels/b.txt", "yolo/mine.txt"]
    assert everything(tmp_path / "out") == ours
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["yolo"]


def test_a_copied_checkpoint_is_the_same_model(fixed, photos, tmp_path):
    """Its place is part of what is noted, so that a reader knows where the model is."""
    sources = Sources([tmp_path / "a.jpg"], [], {})
    job = describe_job(sources, {"top_k": 200})
    OutputFolder(tmp_path / "out", MODEL, job, sources, ["a.jpg"]).finish(["a.jpg"], is_complete=True)
    OutputFolder(tmp_path / "out", MODEL | {"checkpoint": "/copy.pth"}, job, sources, ["b.jpg"])
    noted = json.loads((tmp_path / "out" / NAME).read_text())
    assert noted == {
        "model": MODEL | {"checkpoint": "/copy.pth"},
        "job": {"sources": "1 picture", "sha256": job["sha256"], "options": {"top_k": 200}},
        "ended": False,
        "files": ["a.jpg", "b.jpg", "detections-0.jsonl"],
    }


def test_files_of_others_are_not_written_over(fixed, photos, tmp_path, capsys):
    for name in ("b.jpg", "detections.json", "yolo"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).write_text("of the user")
        refused(capsys, detect, [photos, "--checkpoint", CHECKPOINT, "--output", folder], folder / name, "not known")
        assert everything(folder) == [name]
    (tmp_path / NAME).write_text('{"model": 1, "files": ["/etc/passwd"]}')
    refused(capsys, detect, [photos, "--checkpoint", CHECKPOINT, "--output", tmp_path], "does not say whose")
    (tmp_path / NAME).write_text(json.dumps({"model": MODEL, "files": ["../precious"]}))
    args = [photos, "--checkpoint", CHECKPOINT, "--output", tmp_path, "--overwrite"]
    refused(capsys, detect, args, "leaves the folder")


def test_output_that_is_a_file(fixed, photos, tmp_path, capsys):
    (tmp_path / "taken").touch()
    refused(capsys, detect, [photos, "--checkpoint", CHECKPOINT, "--output", tmp_path / "taken"], "taken: is a file")


@pytest.mark.parametrize("kind, folder, ending", [("voc", "Annotations", ".xml"), ("yolo", "labels", ".txt")])
def test_names_do_not_depend_on_other_pictures(fixed, photos, tmp_path, kind, folder, ending):
    Image.new("RGB", (40, 30)).save(tmp_path / "elsewhere.png")
    for others in ([], [tmp_path / "elsewhere.png"]):
        args = [photos, *others, "--output", tmp_path / "out", "--save", kind, "--checkpoint", CHECKPOINT]
        assert detect.main([str(arg) for arg in args]) == 0
    written = everything(tmp_path / "out" / kind / folder)
    assert written == [f"{name}{ending}" for name in ("a", "b", "elsewhere")]
