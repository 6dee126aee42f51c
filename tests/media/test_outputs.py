"""What detect.py writes."""

import csv
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import Detections
from ssd.commands import detect
from ssd.data.formats.coco import read_coco
from ssd.data.formats.voc import read_voc
from ssd.data.formats.yolo import read_yolo
from ssd.errors import InputError
from ssd.media.outputs import SAVED_AS, check_output, output_names, record, save_records
from tests.helpers.fixed_detector import CHECKPOINT, is_drawn, run
from tests.helpers.scripts import refused


def test_annotated_copies_and_records(fixed, photos, tmp_path, capsys):
    Image.new("RGB", (60, 20), "red").save(photos / "inside/red.webp")
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--batch-size", 2)
    assert status == 0
    assert fixed.batches == [2, 2, 1]
    assert copies == ["a.jpg", "a_2.jpg", "b.jpg", "c.jpg", "red.jpg"]
    assert records[-1] == {
        "image": str(photos / "inside/red.webp"),
        "annotated": "red.jpg",
        "width": 60,
        "height": 20,
        "detections": [
            {"name": "cat", "score": 0.75, "box": [0, 0, 30, 20]},
            {"name": "dog", "score": 0.5, "box": [30, 0, 60, 20]},
        ],
    }
    with Image.open(tmp_path / "out/red.jpg") as annotated:
        assert is_drawn(annotated, Image.new("RGB", (60, 20), "red"), fixed)
    said = capsys.readouterr()
    assert said.out.startswith(
        f"{CHECKPOINT}: SSD300 with vgg16, 2 classes (cat, dog); no network; 5 pictures\n6 objects in 5 pictures, "
    )
    assert said.out.endswith(f" a second\nannotated copies, detections.json: {tmp_path / 'out'}\n")
    assert "5/5" in said.err


def test_again_into_the_same_folder_within_the_source(fixed, photos):
    for _ in range(2):
        status, records, copies = run(photos / "found", photos, "--recursive")
        assert (status, len(records), len(copies)) == (0, 4, 4)


def test_csv(fixed, photos, tmp_path):
    status = detect.main([str(photos), "--checkpoint", CHECKPOINT, "--output", str(tmp_path / "out"), "--save", "csv"])
    assert status == 0
    with open(tmp_path / "out/detections.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not (tmp_path / "out/detections.json").exists()
    expected = {"frame": "", "time": "", "width": "40", "height": "30", "name": "cat", "score": "0.75"}
    expected |= {"x_min": "0.0", "y_min": "0.0", "x_max": "20.0", "y_max": "30.0"}
    assert rows == [{"image": str(photos / name)} | expected for name in ("a.PNG", "b.jpg")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_file_name_that_is_no_unicode(fixed, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.new("RGB", (4, 4)).save(os.fsdecode(name))
    status, records, copies = run(tmp_path / "out", tmp_path, "--save", "json,csv,voc,coco,yolo")
    assert status == 0
    assert os.fsencode(records[0]["image"]) == name
    assert name in (tmp_path / "out/detections.csv").read_bytes()


def test_annotations_are_read_back(fixed, photos, tmp_path):
    pytest.importorskip("yaml")
    Image.new("RGB", (60, 20), "red").save(photos / "red.png")
    status, records, copies = run(tmp_path / "out", photos, "--save", "json,voc,coco,yolo")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".jpg") == [
        "coco.json", "detections.json", "detections_of.json", "voc", "yolo",
    ]  # fmt: skip
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.PNG", "b.jpg", "red.png"]
    assert [found["score"] for found in coco["annotations"]] == [0.75, 0.75, 0.75, 0.5]
    assert coco["annotations"][-1]["bbox"] == [30, 0, 30, 20]
    last = (tmp_path / "out/yolo/labels/red.txt").read_text().splitlines()[-1]
    assert list(map(float, last.split())) == [1, 0.75, 0.5, 0.5, 1, 0.5]
    for read, path in ((read_voc, "voc"), (read_coco, "coco.json"), (read_yolo, "yolo")):
        images, notes = read(tmp_path / "out" / path, images_folder=photos)
        assert notes == []
        assert [Path(image.path).name for image in images] == [Path(entry["image"]).name for entry in records]
        for entry, image in zip(records, images, strict=True):
            assert image.size == (entry["width"], entry["height"])
            assert [each.name for each in image.objects] == [each["name"] for each in entry["detections"]]
            boxes = [each.box for each in image.objects]
            np.testing.assert_allclose(boxes, [each["box"] for each in entry["detections"]], atol=1e-5)


def test_json_lines(fixed, photos, tmp_path):
    status, records, copies = run(tmp_path / "out", photos, "--save", "jsonl,json")
    assert status == 0
    with open(tmp_path / "out/detections.jsonl", encoding="utf-8") as lines:
        assert [json.loads(line) for line in lines] == records
    assert len(records) == 2
    assert copies == ["a.jpg", "b.jpg"]  # the journal has gone


def test_nothing_to_save(tmp_path):
    assert save_records(tmp_path, [], SAVED_AS, ("cat",)) == []
    assert (tmp_path / "detections.json").read_text() == "[]\n"
    assert (tmp_path / "detections.jsonl").read_text() == ""
    assert (tmp_path / "detections.csv").read_text().splitlines() == [
        "image,frame,time,width,height,name,score,x_min,y_min,x_max,y_max"
    ]
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"] == []


def test_labels_without_a_class_are_no_categories(tmp_path):
    found = {"name": "dog", "score": 0.5, "box": [0, 0, 4, 4]}
    records = [{"image": "a.png", "annotated": "a.jpg", "width": 9, "height": 9, "detections": [found]}]
    assert save_records(tmp_path, records, ["coco", "yolo"], ("cat", "", "dog", "")) == []
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]  # the labels
    assert coco["annotations"][0]["category_id"] == 3
    assert (tmp_path / "yolo/labels/a.txt").read_text().startswith("1 ")
    assert (tmp_path / "yolo/data.yaml").read_text() == 'names:\n  0: "cat"\n  1: "dog"\n'


def test_bad_formats(fixed, photos, tmp_path, capsys):
    args = [photos, "--output", tmp_path / "out"]
    refused(
        capsys, detect, [*args, "--save", "json,xml"], "--save", "'xml' is none of json, jsonl, csv, voc, coco, yolo"
    )
    refused(capsys, detect, [*args, "--save", ""], "--save")
    shutil.copy(photos / "b.jpg", photos / "A.jpg")
    for kind in ("voc", "yolo"):
        refused(capsys, detect, [*args, "--save", kind], "A.jpg", "a.PNG", "would both have the annotation")
    refused(capsys, detect, [photos / "film.mp4", photos / "**", *args[1:]], "film.mp4: no such picture or folder")
    (photos / "film.mp4").write_bytes(b"")
    refused(
        capsys,
        detect,
        [photos / "film.mp4", *args, "--save", "json,yolo,coco"],
        "--save coco,yolo is for files",
    )
    assert not (tmp_path / "out").exists()


def test_names_of_annotated_copies():
    paths = [Path(name) for name in ("x/a.png", "y/A.jpg", "z/a_2.png", "z/a.gif", "z/b.gif")]
    assert list(output_names(paths).values()) == ["a.jpg", "A_2.jpg", "a_2_2.jpg", "a_3.jpg", "b.jpg"]
    videos = [Path("x/a.avi"), Path("x/a.mov")]
    assert list(output_names(paths[:1], videos).values()) == ["a.jpg", "a.mp4", "a_2.mp4"]
    assert output_names([]) == {}


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_in_the_output_folder_are_replaced_and_not_followed(fixed, photos, tmp_path, link):
    assert run(tmp_path / "out", photos, "--save", "json,csv")[0] == 0
    for name in ("b.jpg", "detections.json", "detections.csv"):
        (tmp_path / f"precious {name}").write_text("precious")
        (tmp_path / "out" / name).unlink()
        link(tmp_path / f"precious {name}", tmp_path / "out" / name)
    assert run(tmp_path / "out", photos, "--save", "json,csv")[0] == 0
    for name in ("b.jpg", "detections.json", "detections.csv"):
        assert (tmp_path / f"precious {name}").read_text() == "precious"
        assert not (tmp_path / "out" / name).is_symlink()


def test_nothing_is_written_elsewhere(fixed, photos, tmp_path):
    def everything():
        return {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

    before = everything()
    run(tmp_path / "out", photos, "--recursive", "--save", "json,csv,coco")
    assert {
        path: content for path, content in everything().items() if tmp_path / "out" not in (path, *path.parents)
    } == before


def test_output_where_the_originals_are(photos):
    check_output(photos / "found", {photos / "b.jpg": "b.jpg", Path("lost\0.jpg"): "lost.jpg"})
    with pytest.raises(InputError, match="would replace them"):
        check_output(photos, {photos / "b.jpg": "x.jpg"})


def test_a_full_disk_leaves_the_old_copy(fixed, photos, tmp_path, capsys, small_files):
    assert run(tmp_path / "out", photos)[0] == 0
    old = (tmp_path / "out/b.jpg").read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "b.jpg", quality=95)
    args = [photos / "b.jpg", "--checkpoint", CHECKPOINT, "--output", tmp_path / "out"]
    small_files(20_000)
    refused(capsys, detect, args, tmp_path / "out/b.jpg", "cannot be written (File too large)")
    assert (tmp_path / "out/b.jpg").read_bytes() == old
    assert not list((tmp_path / "out").glob("*.tmp"))
    small_files(10**9)
    assert run(tmp_path / "out", *args[:1])[0] == 0
    with Image.open(tmp_path / "out/b.jpg") as copy:
        assert copy.size == (400, 300)


def test_digits(photos):
    boxes = torch.tensor([[0.1, 1 / 3, 20.123456, 100 / 3]])
    found = Detections(boxes, torch.tensor([1]), torch.tensor([0.1]), ["cat"])
    with Image.open(photos / "b.jpg") as image:
        kept = record(photos / "b.jpg", "b.jpg", image.size, found)["detections"]
    assert json.dumps(kept) == '[{"name": "cat", "score": 0.1, "box": [0.1, 0.333, 20.123, 33.333]}]'
    assert np.float32(kept[0]["score"]) == np.float32(0.1)


def test_detections_alone(fixed, photos, tmp_path):
    assert run(tmp_path / "out", photos, "--save", "json,voc", "--no-pictures")[0] == 0
    assert sorted(path.name for path in (tmp_path / "out").rglob("*") if path.is_file()) == [
        *("a.xml", "b.xml", "detections.json", "detections_of.json"),
    ]
    assert run(tmp_path / "more", photos, "--no-pictures")[1][0]["annotated"] is None
