"""Runs on a real data set in VOC layout, if SSD_REAL_DATA names one."""

import json

import numpy as np

import create_data_lists
import detect
from ssd.data import PascalVOCDataset, read_data_list


def test_lists_samples_and_detections(real_data, tmp_path, capsys):
    lists = tmp_path / "lists"
    assert create_data_lists.main(["--voc", str(real_data), "--output", str(lists)]) == 0
    printed = capsys.readouterr().out
    n_dropped = sum("dropped" in line for line in printed.splitlines())
    n_listed = n_annotated = 0
    for split, file in (("train", "trainval"), ("test", "test")):
        data = read_data_list(lists, split)
        names = (real_data / "ImageSets" / "Main" / f"{file}.txt").read_text().split()
        assert len(data.images) == len(names)
        n_annotated += sum((real_data / "Annotations" / f"{n}.xml").read_text().count("<object>") for n in names)
        for entry in data.objects:
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


def test_detections(real_data, checkpoint, tmp_path):
    pictures = sorted(str(path) for path in (real_data / "JPEGImages").iterdir())[:3]
    args = [*pictures, "--checkpoint", str(checkpoint), "--output", str(tmp_path / "out"), "--min-score", "0.05"]
    assert detect.main(args) == 0
    records = json.loads((tmp_path / "out" / "detections.json").read_text())
    assert [record["image"] for record in records] == pictures
