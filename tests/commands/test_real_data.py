"""Runs on a real data set in VOC layout, if SSD_REAL_DATA names one."""

import json

import numpy as np

from ssd.commands import data as create_data_lists
from ssd.commands import detect
from ssd.data import PascalVOCDataset, read_data_list
from ssd.data.formats.coco import write_coco
from ssd.data.formats.voc import read_voc, write_voc
from ssd.data.formats.yolo import write_yolo
from tests.helpers.voc_folders import entries


def test_lists_samples_and_detections(real_data, tmp_path, capsys):
    lists = tmp_path / "lists"
    assert create_data_lists.main(["--voc", str(real_data), "--output", str(lists)]) == 0
    printed = capsys.readouterr().out
    n_dropped = sum("dropped" in line for line in printed.splitlines())
    n_listed = n_annotated = 0
    for split, file in (("train", "trainval"), ("test", "test")):
        data = read_data_list(lists, split)
        names = (real_data / "ImageSets" / "Main" / f"{file}.txt").read_text().split()
        assert len(data.paths) == len(names)
        n_annotated += sum((real_data / "Annotations" / f"{n}.xml").read_text().count("<object>") for n in names)
        for entry in entries(data):
            boxes = np.array(entry["boxes"]).reshape(-1, 4)
            assert (boxes >= 0).all()
            assert (boxes[:, 2:] <= entry["size"]).all()
            assert (boxes[:, 2:] > boxes[:, :2]).all()
            n_listed += len(boxes)
    assert n_listed + n_dropped == n_annotated

    dataset = PascalVOCDataset(lists, "train", augment=True)
    for k in range(0, len(dataset), max(1, len(dataset) // 20)):
        image, boxes, labels, _ = dataset[k]
        assert image.shape == (3, 300, 300)
        assert len(boxes) == len(labels)
        assert ((boxes >= 0) & (boxes <= 1)).all()


def test_every_format_gives_the_same_lists(real_data, tmp_path):
    """VOC to each format and back: identical files."""
    assert create_data_lists.main(["--voc", str(real_data), "--output", str(tmp_path / "voc")]) == 0
    pictures = real_data / "JPEGImages"
    class_names = read_data_list(tmp_path / "voc", "train").class_names
    for split, name in (("trainval", "train"), ("test", "val")):
        images, _ = read_voc(real_data, split)
        write_coco(tmp_path / f"coco/{name}.json", images, class_names)
        write_yolo(tmp_path / "yolo", images, class_names, split=name)
        write_voc(tmp_path / "again", images, split=name)
    for kind, folder in (("coco", "coco"), ("yolo", "yolo"), ("voc", "again")):
        args = [f"--{kind}", tmp_path / folder, "--images", pictures, "--output", tmp_path / "lists", "--no-verify"]
        args += ["--train", "train", "--test", "val"] if kind == "voc" else []
        assert create_data_lists.main(list(map(str, args))) == 0
        for path in (tmp_path / "voc").glob("*.json"):
            assert (tmp_path / "lists" / path.name).read_text() == path.read_text(), (kind, path.name)


def test_detections(real_data, checkpoint, tmp_path):
    pictures = sorted(str(path) for path in (real_data / "JPEGImages").iterdir())[:3]
    args = [*pictures, "--checkpoint", str(checkpoint), "--output", str(tmp_path / "out"), "--min-score", "0.05"]
    assert detect.main(args) == 0
    records = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [record["image"] for record in records] == pictures
