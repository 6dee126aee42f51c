"""The command that writes data lists: its options, and what it refuses."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ssd.commands import data as create_data_lists
from ssd.config import VOC_CLASSES
from ssd.data import read_data_list
from ssd.data.lists import validation_split
from ssd.visualize import CROWD
from tests.helpers.annotations import lists, picture, write
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import entries, make_voc, voc_object


def test_discovered_classes(tmp_path):
    objects = voc_object("zebra", 2, 3, 20, 25) + voc_object("ant", 1, 1, 40, 30)
    folder = make_voc(tmp_path / "voc", {"trainval": ["a", "b"], "test": ["c"]}, objects)
    assert create_data_lists.main(["--voc", str(folder), "--output", str(tmp_path / "lists")]) == 0
    assert json.loads((tmp_path / "lists/label_map.json").read_text()) == {"background": 0, "ant": 1, "zebra": 2}
    images = json.loads((tmp_path / "lists/TRAIN_images.json").read_text())
    assert images == [str(folder / "JPEGImages/a.jpg"), str(folder / "JPEGImages/b.jpg")]
    assert json.loads((tmp_path / "lists/TEST_objects.json").read_text()) == [
        {"size": [40, 30], "boxes": [[1, 2, 20, 25], [0, 0, 40, 30]], "labels": [2, 1], "difficulties": [0, 0]}
    ]


@pytest.mark.parametrize("source", ["--voc", "--voc07"])
def test_class_called_background(tmp_path, capsys, source):
    names = {"trainval": ["a"], "test": ["b"]}
    folder = make_voc(tmp_path / "voc", names, voc_object("background", 1, 1, 5, 5))
    assert create_data_lists.main([source, str(folder), "--output", str(tmp_path / "lists")]) == 2
    assert "background" in capsys.readouterr().err
    assert not (tmp_path / "lists").exists()


def test_voc07_and_voc12(tmp_path):
    voc07 = make_voc(tmp_path / "VOC2007", {"trainval": ["a"], "test": ["b"]}, voc_object("person", 1, 1, 5, 5))
    voc12 = make_voc(tmp_path / "VOC2012", {"trainval": ["c", "d"]}, voc_object("aeroplane", 1, 1, 5, 5))
    args = ["--voc07", str(voc07), "--voc12", str(voc12), "--output", str(tmp_path / "lists")]
    assert create_data_lists.main(args) == 0
    train, test = (read_data_list(tmp_path / "lists", split) for split in ("train", "test"))
    assert [len(train.paths), len(test.paths)] == [3, 1]
    assert train.class_names == VOC_CLASSES
    assert [entry["labels"] for entry in entries(train)] == [[15], [1], [1]]


@pytest.fixture
def pets(tmp_path):
    """VOC with the classes dog, Cat and unicorn in every image."""
    objects = voc_object("dog", 1, 1, 9, 9) + voc_object("Cat", 1, 1, 9, 9) + voc_object("unicorn", 1, 1, 9, 9)
    return make_voc(tmp_path / "voc", {"trainval": ["a", "b", "c"], "test": ["d"]}, objects)


def test_given_classes(pets, tmp_path, capsys):
    args = ["--voc", pets, "--classes", "dog,cat", "--output", tmp_path / "lists"]
    refused(capsys, create_data_lists, args, "unknown class unicorn", "a.jpg", "classes are dog, cat")
    assert not (tmp_path / "lists").exists()
    train, _ = lists(*args[:-2], "--ignore-unknown", output=tmp_path / "lists")
    assert train.class_names == ("dog", "cat")
    assert [entry["labels"] for entry in entries(train)] == [[1, 2]] * 3
    printed = capsys.readouterr().out
    assert 'a.jpg: "Cat" (here first, 4 objects) differs from "cat" only in case or blanks, renamed' in printed
    assert 'a.jpg: "unicorn" (here first, 4 objects) is none of the classes, dropped' in printed
    (tmp_path / "classes.txt").write_text("unicorn\nCat\n\ndog\n")
    args = ["--voc", pets, "--classes", tmp_path / "classes.txt"]
    assert lists(*args, output=tmp_path / "more")[0].class_names == ("unicorn", "Cat", "dog")


def test_division_of_a_split(pets, tmp_path):
    train, test = lists("--voc", pets, "--test-fraction", 0.3, "--seed", 4, output=tmp_path / "lists")
    assert sorted([*train.paths, *test.paths]) == [str(pets / f"JPEGImages/{name}.jpg") for name in "abcd"]
    args = ("--voc", pets, "--train", "trainval", "--test-fraction", 0.3)
    train, test = lists(*args, output=tmp_path / "lists")
    assert sorted([*train.paths, *test.paths]) == [str(pets / f"JPEGImages/{name}.jpg") for name in "abc"]
    assert len(test.paths) == 1


@pytest.mark.parametrize("options", ["--val val", "--val-fraction 0.3", "--test-fraction 0.3 --val-fraction 0.3"])
def test_validation_list(pets, tmp_path, capsys, options):
    (pets / "ImageSets/Main/val.txt").write_text("c\n")
    (pets / "ImageSets/Main/train.txt").write_text("a\nb\n")
    train, test = lists("--voc", pets, *options.split(), output=tmp_path / "lists")
    val = read_data_list(tmp_path / "lists", "val")
    assert sorted([*train.paths, *val.paths, *test.paths]) == [str(pets / f"JPEGImages/{name}.jpg") for name in "abcd"]
    assert len(val) == 1 and val.class_names == train.class_names
    assert "val: 1 image, 3 objects" in capsys.readouterr().out
    assert (tmp_path / "lists/report.txt").read_text().splitlines()[0].split() == ["train", "val", "test"]


def test_the_validation_list_of_an_earlier_data_set_goes(pets, tmp_path):
    lists("--voc", pets, "--val-fraction", 0.3, output=tmp_path / "lists")
    assert validation_split(tmp_path / "lists") == "val"
    lists("--voc", pets, output=tmp_path / "lists")
    assert validation_split(tmp_path / "lists") == "test"
    names = ("TRAIN_images", "TRAIN_objects", "TEST_images", "TEST_objects", "label_map")
    assert {path.name for path in (tmp_path / "lists").iterdir()} == {"report.txt", *(f"{name}.json" for name in names)}


def test_arguments_that_do_not_go_together(pets, tmp_path, capsys):
    for args, words in (
        ([], ["name a data set"]),
        (["--voc", pets, "--coco", pets], ["--voc and --coco do not go together"]),
        (["--voc", pets, "--voc12", pets], ["--voc and --voc12 do not go together"]),
        (["--voc12", pets], ["--voc12 needs --voc07"]),
        (["--voc07", pets, "--classes", "a"], ["VOC has its own"]),
        (["--voc07", pets, "--test-fraction", "0.5"], ["VOC has its own"]),
        (["--voc", pets, "--test", "test", "--test-fraction", "0.5"], ["--test and --test-fraction"]),
        (["--voc", pets, "--test-fraction", "0"], ["between 0 and 1"]),
        (["--voc", pets, "--val-fraction", "0"], ["between 0 and 1"]),
        (["--voc", pets, "--val", "test", "--val-fraction", "0.5"], ["--val and --val-fraction"]),
        (["--voc", pets, "--val", "test", "--test-fraction", "0.5"], ["need --train"]),
        (["--voc", pets, "--val-fraction", "0.5", "--test-fraction", "0.5"], ["leave no training images"]),
        (["--voc07", pets, "--val", "val"], ["VOC has its own"]),
        (["--voc", pets, "--mirror", "http://x"], ["--mirror goes with --download"]),
        (["--voc", pets, "--ignore-unknown"], ["--ignore-unknown goes with --classes"]),
        (["--voc", pets, "--pictures", "a.txt"], ["a.txt", "picture's"]),
        (["--voc", pets, "--classes", "a,a"], ["--classes a,a", "once"]),
        (["--voc", pets, "--output", pets / "Annotations/a.xml"], ["a.xml: is a file"]),
    ):
        refused(
            capsys, create_data_lists, [*args, *([] if "--output" in args else ["--output", tmp_path / "x"])], *words
        )
    assert not (tmp_path / "x").exists()


def test_output_that_cannot_be_written(pets, tmp_path, capsys):
    """Told before the pictures are decoded."""
    (tmp_path / "file").touch()
    args = ["--voc", pets, "--test-fraction", 0.5]
    for more in (["--output", tmp_path / "file"], ["--output", tmp_path / "file/x"]):
        refused(capsys, create_data_lists, [*args, *more], f"{tmp_path / 'file'}: is a file; name a folder")
    more = ["--output", tmp_path / "new", "--pictures", tmp_path / "file/x.png"]
    refused(capsys, create_data_lists, [*args, *more], f"{tmp_path / 'file'}: is a file; name a folder")
    args = ["--download", tmp_path / "file", "--output", tmp_path / "new"]
    refused(capsys, create_data_lists, args, f"{tmp_path / 'file'}: is a file; name a folder")
    (tmp_path / "folder").mkdir(mode=0o500)
    if os.geteuid():  # root may write everywhere
        args = ["--voc", pets, "--test-fraction", 0.5, "--output", tmp_path / "folder/x"]
        refused(capsys, create_data_lists, args, f"{tmp_path / 'folder'}: cannot be written to")
    assert not (tmp_path / "new").exists()


def test_what_the_system_refuses_is_one_sentence(pets, tmp_path, capsys):
    (tmp_path / "new/report.txt").mkdir(parents=True)
    args = ["--voc", pets, "--test-fraction", 0.5, "--output", tmp_path / "new"]
    refused(capsys, create_data_lists, args, f"{tmp_path / 'new/report.txt'}: cannot be written (Is a directory)")


def test_all_objects_dropped(pets, tmp_path, capsys):
    args = ["--voc", pets, "--test-fraction", 0.5, "--classes", "zebra", "--ignore-unknown", "--output", tmp_path / "x"]
    refused(capsys, create_data_lists, args, "no image has a usable object", "is none of the classes, dropped")
    assert not (tmp_path / "x").exists()


def test_line_breaks_in_names(tmp_path, capsys):
    refused(capsys, create_data_lists, ["--voc", tmp_path / "a\nb\x1b[31m"], "a?b?[31m: no such folder")


def test_lists_hold_absolute_paths(pets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, _ = lists("--voc", "voc", output="x")
    assert train.paths == [str(tmp_path / f"voc/JPEGImages/{name}.jpg") for name in "abc"]


def test_no_split_is_found(tmp_path, capsys):
    picture(tmp_path / "set/a.jpg")
    write(tmp_path / "set/a.xml", "<annotation/>")
    picture(tmp_path / "set/train/b.jpg")
    args = ["--output", tmp_path / "x"]
    refused(capsys, create_data_lists, ["--voc", tmp_path / "set", *args], "no test split", "train", "--test-fraction")
    write(tmp_path / "set/a.json", {})
    refused(capsys, create_data_lists, ["--coco", tmp_path / "set/a.json", *args], "no test split", "--test")
    write(tmp_path / "set/b.json", {})
    refused(capsys, create_data_lists, ["--coco", tmp_path / "set", "--test-fraction", 0.5, *args], "found 2", "b.json")
    for option in ("--supervisely", "--yolo"):
        refused(capsys, create_data_lists, [option, tmp_path / "set", *args], "for --voc or --coco, not for", option)
    for option in ("--coco", "--yolo", "--supervisely"):
        refused(capsys, create_data_lists, [option, tmp_path / "no", *args], "no: no such file or folder")


def test_voc_folder_without_the_split_file(voc_folder, tmp_path, capsys):
    args = ["--voc", voc_folder, "--train-split", "train", "--output", tmp_path]
    refused(capsys, create_data_lists, args, "train.txt", "there: test, trainval")


def test_nothing_that_could_be_divided(tmp_path, capsys):
    """The advice to name splits or to divide the images would not help."""
    for name in ("empty", "labels", "labels/labels"):
        (tmp_path / name).mkdir()
    write(tmp_path / "labels/data.yaml", "names: [cat]\n")
    write(tmp_path / "labels/labels/a.txt", "0 0.5 0.5 0.1 0.1\n")
    for more in ([], ["--test-fraction", 0.5]):
        for source, message in (
            (["--coco", tmp_path / "empty"], "empty: holds no annotations (*.json)"),
            (["--voc", tmp_path / "empty"], "empty: holds no annotations (*.xml)"),
            (["--yolo", tmp_path / "labels"], "labels: holds no pictures; name their folder with --images"),
            (["--voc", tmp_path / "missing"], "missing: no such folder"),
        ):
            refused(capsys, create_data_lists, [*source, *more, "--output", tmp_path / "x"], f"{tmp_path}/{message}")
    refused(capsys, create_data_lists, ["--voc07", tmp_path / "missing"], "missing: no such folder")


def test_no_voc_folder(tmp_path, capsys):
    refused(capsys, create_data_lists, ["--voc", tmp_path / "nowhere", "--output", tmp_path], "nowhere: no such folder")


def test_class_names_that_the_terminal_cannot_show(tmp_path):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, voc_object("犬", 1, 1, 9, 9))
    command = [sys.executable, "-m", "ssd", "data", "--voc", folder, "--output", tmp_path / "lists"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0
    assert b"1 class: ?" in done.stdout


def test_unknown_class(tmp_path, capsys):
    folder = make_voc(tmp_path / "VOC2007", {"trainval": ["a"], "test": ["b"]}, voc_object("unicorn", 1, 1, 9, 9))
    refused(
        capsys, create_data_lists, ["--voc07", folder, "--output", tmp_path / "x"], "unknown class unicorn", "a.jpg"
    )
    assert not (tmp_path / "x").exists()


def test_missing_image_and_annotation(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, voc_object("dog", 1, 1, 9, 9))
    args = ["--voc", folder, "--output", tmp_path / "x"]
    (folder / "JPEGImages/b.jpg").rename(tmp_path / "b.jpg")
    refused(capsys, create_data_lists, args, "b.jpg: no such picture")
    (tmp_path / "b.jpg").rename(folder / "JPEGImages/b.jpg")
    (folder / "Annotations/a.xml").write_text("<annotation>")
    refused(capsys, create_data_lists, args, "a.xml: not XML")
    (folder / "Annotations/a.xml").unlink()
    refused(capsys, create_data_lists, args, "a.xml: no such annotation")


def test_nothing_to_learn(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]})
    refused(capsys, create_data_lists, ["--voc", folder, "--output", tmp_path / "x"], "no image has a usable object")


def test_crowds_are_counted_apart(tmp_path, capsys):
    picture(tmp_path / "a.jpg")
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, side], "iscrowd": k} for k, side in ((0, 9), (1, 20))]
    categories = [{"id": 1, "name": "cat"}]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": boxes, "categories": categories}
    for split in ("train", "test"):
        write(tmp_path / f"{split}.json", content)
    train, _ = lists("--coco", tmp_path, "--pictures", tmp_path / "mosaic.png", output=tmp_path / "lists")
    assert entries(train) == [
        {"size": [40, 30], "boxes": [[0, 0, 10, 9]], "labels": [1], "difficulties": [0]}
        | {"crowds": [[0, 0, 10, 20]], "crowd_labels": [1]}
    ]
    assert "train: 1 image, 1 object, 0 of them difficult, 1 crowd" in capsys.readouterr().out
    with Image.open(tmp_path / "mosaic.png") as mosaic:
        assert (np.asarray(mosaic) == CROWD).all(axis=-1).any()
    content["annotations"] = boxes[1:]
    for split in ("train", "test"):
        write(tmp_path / f"{split}.json", content)
    refused(
        capsys, create_data_lists, ["--coco", tmp_path, "--output", tmp_path / "no"], "no image has a usable object"
    )
