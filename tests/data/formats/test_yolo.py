"""Reading annotations in YOLO's format."""

import pytest

from ssd.data.formats.records import Note
from ssd.data.formats.yolo import read_yolo
from tests.helpers.annotations import annotated, lists, names, picture, write
from tests.helpers.voc_folders import entries


def test_yolo(tmp_path):
    picture(tmp_path / "train/images/a.jpg")
    picture(tmp_path / "train/images/b.jpg")
    text = "1 0.5 0.5 0.5 0.2\n0 0.25 0.5 0.1 0.2 0.93\n\n0 0.1 0.1 0.5 0.1 0.5 0.4\n"
    write(tmp_path / "train/labels/a.txt", text)
    write(tmp_path / "train/labels/lost.txt", text)
    write(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, 2]\n")
    images, notes = read_yolo(tmp_path / "data.yaml", "train")
    rows = ("2", (10, 12, 30, 18), 0), ("cat", (8, 12, 12, 18), 0), ("cat", (4, 3, 20, 12), 0)
    assert images == [annotated(tmp_path / "train/images/a.jpg", *rows), annotated(tmp_path / "train/images/b.jpg")]
    assert notes == [
        Note(str(tmp_path / "train/images/b.jpg"), "has no label file", "taken as without objects"),
        Note(str(tmp_path / "train/labels/lost.txt"), "no picture of this name", "left out"),
    ]
    assert read_yolo(tmp_path)[0] == images


@pytest.mark.parametrize("yaml, pictures, split", [
    ("path: .\ntrain: images/train\nnames: {0: cat}", "images/train/a.jpg", "train"),  # Ultralytics
    ("path: /somewhere/else\ntrain: [images/train]\nnames: {0: cat}", "images/train/a.jpg", "train"),
    ("path: inner\ntrain: images\nnames: {0: cat}", "inner/images/a.jpg", "train"),
    ("train: list.txt\nnames: ['cat']", "images/train/a.jpg", "train"),
    ("names: ['cat']", "images/some/a.jpg", "images/some"),
    ("names: ['cat']", "images/train/a.jpg", "train"),
    (None, "a.jpg", "."),  # labelImg: classes.txt
])  # fmt: skip
def test_layouts_of_yolo(yaml, pictures, split, tmp_path):
    image = picture(tmp_path / pictures)
    label = tmp_path / pictures.replace("images", "labels").replace(".jpg", ".txt")
    write(label, "0 0.5 0.5 0.5 0.2\n")
    write(tmp_path / "list.txt", "./images/train/a.jpg\n")
    write(tmp_path / ("data.yaml" if yaml else "classes.txt"), yaml or "cat\n")
    for part in (split, None):
        assert read_yolo(tmp_path, part)[0] == [annotated(image, ("cat", (10, 12, 30, 18), 0))]


def test_labels_beside_pictures_in_a_folder_images(tmp_path):
    """As labelImg leaves them; those in labels/ come first."""
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.jpg")
        write(tmp_path / f"images/{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "labels/b.txt", "1 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "classes.txt", "cat\ndog\n")
    images, notes = read_yolo(tmp_path, "images")
    assert names(images) == [["cat"], ["dog"]] and notes == []


def test_classes_of_yolo_on_the_command_line(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "images" / f"{name}.jpg")
        write(tmp_path / "labels" / f"{name}.txt", "1 0.5 0.5 0.5 0.2\n")
    args = ("--yolo", tmp_path, "--test-fraction", 0.5, "--classes", "zebra, ant")
    train, test = lists(*args, output=tmp_path / "lists")
    assert train.class_names == test.class_names == ("zebra", "ant")
    assert [entry["labels"] for entry in entries(train) + entries(test)] == [[2], [2]]


def test_yolo_with_keypoints(tmp_path):
    picture(tmp_path / "images/a.jpg")
    write(tmp_path / "labels/a.txt", "0 0.5 0.5 0.5 0.2 0.9 0.9 1 0.1 0.1 2\n")
    write(tmp_path / "data.yaml", "kpt_shape: [2, 3]\nnames: [cat]\n")
    assert read_yolo(tmp_path)[0] == [annotated(tmp_path / "images/a.jpg", ("cat", (10, 12, 30, 18), 0))]
