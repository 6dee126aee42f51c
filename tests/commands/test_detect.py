"""`ssd300 detect` as a user runs it: its options, and that bad sources give one sentence and exit status 2."""

import json
import os

import pytest
from PIL import Image

from ssd.commands import detect
from ssd.pretrained import load_trained
from tests.helpers.scripts import refused


def test_options_of_detection(checkpoint, voc_folder, tmp_path):
    picture = min((voc_folder / "JPEGImages").iterdir())
    args = [str(picture), "--checkpoint", str(checkpoint), "--output", str(tmp_path), "--min-score", "0.05"]

    def found(*options):
        assert detect.main([*args, *options]) == 0
        return json.loads((tmp_path / "detections.json").read_text())[0]["detections"]

    assert len(found()) == 200
    assert found("--top-k", "3") == found()[:3]
    assert found("--max-overlap", "0.9") != found()


def test_folder_of_pictures_with_a_bad_one(checkpoint, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (30, 40)).save(pictures / "good.png")
    Image.new("L", (30, 40)).save(pictures / "good.JPG", format="JPEG")
    (pictures / "bad.png").write_text("no picture")
    (pictures / "notes.txt").write_text("not meant as one")
    refused(capsys, detect, [pictures, "--checkpoint", checkpoint, "--output", tmp_path / "out"], "bad.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("detections-0.jsonl", "detections.json", "detections_of.json", "good.jpg", "good_2.jpg"),
    ]


def test_bad_sources(checkpoint, tmp_path, capsys):
    args = ["--checkpoint", checkpoint, "--output", tmp_path / "out"]
    refused(capsys, detect, [tmp_path / "nothing.jpg", *args], "nothing.jpg: no such picture or folder")
    (tmp_path / "empty").mkdir()
    refused(capsys, detect, [tmp_path / "empty", *args], "no pictures in this folder")
    (tmp_path / "list.json").write_text("[1]")
    refused(capsys, detect, [tmp_path / "list.json", *args], "list.json: must hold the paths")
    Image.new("RGB", (9, 9)).save(tmp_path / "empty" / "a.jpg")
    args = ["--checkpoint", checkpoint, "--output", tmp_path / "empty"]
    refused(capsys, detect, [tmp_path / "empty", *args], "annotated copies would replace them")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_pictures_are_never_written_over(checkpoint, tmp_path, capsys, link):
    for folder in ("pictures", "elsewhere", "out"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures/a.jpg")
    before = (tmp_path / "pictures/a.jpg").read_bytes()
    for linked in ("out/a.jpg", "elsewhere/a.jpg"):
        link(tmp_path / "pictures/a.jpg", tmp_path / linked)
    os.symlink(tmp_path / "pictures", tmp_path / "alias")
    for source, output in (
        ("pictures", "out"),
        ("pictures", "alias"),
        ("alias", "pictures"),
        ("elsewhere", "elsewhere"),
    ):
        args = [tmp_path / source, "--checkpoint", checkpoint, "--output", tmp_path / output]
        refused(capsys, detect, args, output, "would replace them")
    assert (tmp_path / "pictures/a.jpg").read_bytes() == before


def test_a_threshold_for_each_class(checkpoint, voc_folder, tmp_path, capsys):
    picture, file = min((voc_folder / "JPEGImages").iterdir()), tmp_path / "thresholds.json"
    args = [str(picture), "--checkpoint", str(checkpoint), "--output", str(tmp_path), "--min-score", "0.05"]

    def found(*options):
        assert detect.main([*args, "--top-k", "10000", *options]) == 0
        return json.loads((tmp_path / "detections.json").read_text())[0]["detections"]

    every = found()
    middle = sorted(each["score"] for each in every if each["name"] == "star")[5]
    file.write_text(json.dumps({"star": middle, "circle": 1}))
    expected = [each for each in every if each["score"] > {"star": middle, "circle": 1}.get(each["name"], 0.05)]
    assert {each["name"] for each in expected} > {"star"} and found("--thresholds", str(file)) == expected
    stars = found("--thresholds", str(file), "--classes", "star")
    assert stars == [each for each in expected if each["name"] == "star"]
    file.write_text('{"cow": 0.5}')
    refused(capsys, detect, [*args, "--thresholds", file], f"{file}: unknown class cow; the classes are circle, square")


def test_two_at_the_same_time_get_folders_of_their_own(checkpoint, voc_folder, tmp_path, monkeypatch):
    def load(*args, **options):
        (tmp_path / "detections/1").mkdir(parents=True)  # of the other, which has loaded its model already
        return load_trained(*args, **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "load_trained", load)
    assert detect.main([str(min((voc_folder / "JPEGImages").iterdir())), "--checkpoint", str(checkpoint)]) == 0
    assert (tmp_path / "detections/2/detections.json").exists()
    assert not list((tmp_path / "detections/1").iterdir())


def test_some_classes(checkpoint, voc_folder, tmp_path, capsys):
    picture = min((voc_folder / "JPEGImages").iterdir())
    args = [str(picture), "--checkpoint", str(checkpoint), "--output", str(tmp_path), "--min-score", "0.05"]
    args += ["--save", "json,coco,yolo", "--classes"]

    def found(names, *more):
        assert detect.main([*args, names, *more]) == 0
        return json.loads((tmp_path / "detections.json").read_text())[0]["detections"]

    assert {each["name"] for each in found("star, circle")} == {"star", "circle"}
    assert capsys.readouterr().out.startswith(f"{checkpoint}: SSD300 with vgg16, 2 classes (circle, star); PyTorch, ")
    assert len(found("triangle", "--top-k", "3")) == 3  # of those, however many others score more
    categories = json.loads((tmp_path / "coco.json").read_text())["categories"]
    assert categories[3] == {"id": 4, "name": "triangle"}  # the model's ids
    assert (tmp_path / f"yolo/labels/{picture.stem}.txt").read_text()[:2] == "3 "
    refused(capsys, detect, [*args, "star,unicorn"], "unknown class unicorn; the classes are circle, square")
