"""Annotations of every format, read, written, and read back."""

import json
import os
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from ssd.commands import data as create_data_lists
from ssd.data import read_data_list
from ssd.data.build import divide
from ssd.data.formats.coco import find_coco, read_coco, write_coco
from ssd.data.formats.records import Annotated, check_objects, name_objects, read_entry, upright
from ssd.data.formats.supervisely import read_supervisely, write_supervisely
from ssd.data.formats.voc import read_voc, write_voc
from ssd.data.formats.yolo import read_yolo, write_yolo
from ssd.errors import InputError
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import entries, make_voc, voc_object

CLASSES = ("cat", "traffic light", "Bär: #1")


def picture(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "white").save(path)
    return path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def lists(*args, output):
    """The data lists that the script writes."""
    assert create_data_lists.main([*map(str, args), "--output", str(output)]) == 0
    return read_data_list(output, "train"), read_data_list(output, "test")


def entry(size, *rows):
    """What a reader says of one image; rows: name, box, difficult."""
    names, boxes, difficulties = zip(*rows, strict=True) if rows else ((), (), ())
    return {"size": list(size), "boxes": list(boxes), "names": list(names), "difficulties": list(difficulties)}


# -- what is common to all


def test_objects_are_checked_one_by_one():
    rows = [
        Annotated(" dog ", (1, 2, 9.0000001, 8), False, "box A"),
        Annotated(None, (1, 2, 9, 8), False, "box B"),
        Annotated("dog", (1, 2, float("inf"), 8), False, "box C"),
        Annotated("dog", (5, 2, 5, 8), False, "box D"),
        Annotated("dog", (9, 2, 5, 8), False, "box E"),
        Annotated("cat", (-3, 2, 12, 8), True, "box F"),
        Annotated("cat", (1, 2, 10.4, 8), True, "box G"),
        Annotated("cat", (11, 2, 14, 8), True, "box H"),
        Annotated("cat", (-1e30, 0, 1e30, 2**70), True, "box I"),
    ]
    checked, notes = check_objects((10, 8), rows)
    assert checked == entry(
        (10, 8),
        ("dog", [1, 2, 9, 8], 0),
        ("cat", [0, 2, 10, 8], 1),
        ("cat", [1, 2, 10, 8], 1),
        ("cat", [0, 0, 10, 8], 1),
    )
    assert notes == [
        "object 2 with box B has no class name, dropped",
        "object 3 (dog) with box C does not have four finite coordinates, dropped",
        "object 4 (dog) with box D has no area in the picture, dropped",
        "object 5 (dog) with box E has no area in the picture, dropped",
        "object 6 (cat) with box F leaves the picture of 10 x 8 pixels, clipped",
        "object 8 (cat) with box H has no area in the picture, dropped",
        "object 9 (cat) with box I leaves the picture of 10 x 8 pixels, clipped",
    ]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_boxes_turn_with_the_picture(orientation, tmp_path):
    """A red rectangle, on the picture as it is stored, is where Pillow shows it."""
    image = Image.new("RGB", (60, 40), "white")
    image.paste("red", (5, 10, 25, 18))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as stored:
        red = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))[..., 1] == 0  # (height, width)
    rows, columns = np.flatnonzero(red.any(axis=1)), np.flatnonzero(red.any(axis=0))
    seen = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert upright((5, 10, 25, 18), (60, 40), orientation) == seen

    row = Annotated("dog", (5, 10, 25, 18), False, "a box")
    turned, notes = read_entry(tmp_path / "a.png", lambda size: ([row], (60, 40)))
    assert turned == entry((40, 60), ("dog", list(seen), 0))
    assert notes == [
        "annotated as 60 x 40 pixels, but the picture has 40 x 60, for its EXIF orientation turns it, boxes turned"
    ]
    kept, notes = read_entry(tmp_path / "a.png", lambda size: ([row], (61, 40)))
    assert notes == ["annotated as 61 x 40 pixels, but the picture has 40 x 60, boxes kept"]
    assert kept["boxes"] == [[5, 10, 25, 18]]
    upright_row = row._replace(box=seen)
    for size in ((40, 60), (0, 0), None):
        assert read_entry(tmp_path / "a.png", lambda _, size=size: ([upright_row], size)) == (turned, [])


def test_another_size_is_named(tmp_path):
    row = Annotated("dog", (5, 10, 25, 18), False, "a box")
    kept, notes = read_entry(picture(tmp_path / "a.png"), lambda size: ([row], (30, 40)))
    assert kept == entry((40, 30), ("dog", [5, 10, 25, 18], 0))
    assert notes == ["annotated as 30 x 40 pixels, but the picture has 40 x 30, boxes kept"]


# -- Pascal VOC's XML as other tools write it


def test_labelimg_writes_xml_beside_the_picture(tmp_path):
    picture(tmp_path / "a.PNG")
    write(tmp_path / "a.xml", f"<annotation><filename>a.PNG</filename>{voc_object('dog', 1, 2, 20.5, 30)}</annotation>")
    picture(tmp_path / "sub/b.jpeg")
    write(tmp_path / "sub/b.xml", "<annotation/>")
    picture(tmp_path / "c.jpg")
    images, objects, notes = read_voc(tmp_path)
    assert images == [str(tmp_path / "a.PNG"), str(tmp_path / "sub/b.jpeg")]
    assert objects == [entry((40, 30), ("dog", [0, 1, 20.5, 30], 0)), entry((40, 30))]
    assert notes == [f"{tmp_path / 'c.jpg'}: has no annotation, left out"]


def test_roboflow_has_a_folder_for_each_split(tmp_path):
    for k, split in enumerate(("train", "valid"), start=1):
        picture(tmp_path / split / "a.jpg")
        write(tmp_path / split / "a.xml", f"<annotation>{voc_object('dog', 1, 1, k, 9) * 2}</annotation>")
    train, test = lists("--voc", tmp_path, "--train", "valid", "--test", "train", output=tmp_path / "lists")
    assert train.paths == [str(tmp_path / "valid/a.jpg")]
    assert entries(train)[0]["boxes"] == [[0, 0, 2, 9]]  # the second is a duplicate
    assert entries(test)[0]["boxes"] == []  # one pixel wide in VOC's terms
    train, test = lists("--voc", tmp_path, "--train", "valid", output=tmp_path / "lists")
    assert (train.paths, test.paths) == ([str(tmp_path / "valid/a.jpg")],) * 2


def test_cvat_has_split_files_and_pictures_of_any_ending(tmp_path):
    picture(tmp_path / "JPEGImages/sub/a.png")
    write(tmp_path / "ImageSets/Main/default.txt", "sub/a\n")
    write(tmp_path / "Annotations/sub/a.xml", f"<annotation>{voc_object('dog', 1.5, 1, 9.25, 9)}</annotation>")
    images, objects, notes = read_voc(tmp_path, "default")
    assert (images, notes) == ([str(tmp_path / "JPEGImages/sub/a.png")], [])
    assert objects == [entry((40, 30), ("dog", [0.5, 0, 9.25, 9], 0))]


def test_the_nearest_picture_of_a_name_is_taken(tmp_path):
    """Names repeat in the folders of two splits, whose annotations are apart from the pictures."""
    for split, size in (("train", (40, 30)), ("test", (50, 30))):
        picture(tmp_path / split / "images/1.jpg", size)
        write(tmp_path / split / "annotations/1.xml", "<annotation/>")
        picture(tmp_path / "pictures" / split / "2.jpg", size)
        write(tmp_path / "labels" / split / "2.xml", "<annotation><filename>2.jpg</filename></annotation>")
    images, _, notes = read_voc(tmp_path)
    assert notes == []
    assert images == [
        str(tmp_path / name)
        for name in ("pictures/test/2.jpg", "pictures/train/2.jpg", "test/images/1.jpg", "train/images/1.jpg")
    ]


def test_a_picture_belongs_to_the_nearest_of_its_annotations(tmp_path):
    """1.jpg is missing in test: its annotation must not get the training picture of that name."""
    picture(tmp_path / "train/1.jpg")
    for split in ("test", "train"):
        write(tmp_path / split / "1.xml", f"<annotation>{voc_object(split, 1, 1, 9, 9)}</annotation>")
        write(tmp_path / split / "ann/1.json", supervisely())
    images, objects, notes = read_voc(tmp_path)
    assert (images, objects[0]["names"]) == ([str(tmp_path / "train/1.jpg")], ["train"])
    assert notes == [f"{tmp_path / 'test/1.xml'}: no picture of this name in {tmp_path}, left out"]
    assert read_supervisely(tmp_path)[2] == [
        f"{tmp_path / 'test/ann/1.json'}: no picture of this name in {tmp_path}, left out"
    ]


def test_a_split_file_names_a_picture_in_its_folder(tmp_path):
    folder = make_voc(tmp_path / "voc", {"train": ["a", "b"]})
    (folder / "JPEGImages/sub").mkdir()
    (folder / "JPEGImages/b.jpg").rename(folder / "JPEGImages/sub/b.jpg")
    images, _, notes = read_voc(folder, "train")
    assert images == [str(folder / "JPEGImages/a.jpg")]
    assert notes == [f"{folder / 'JPEGImages/b.jpg'}: no such picture, left out"]


# -- COCO


def coco(*annotations, images=({"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},)):
    categories = [{"id": 0, "name": "animals"}, {"id": 18, "name": "dog", "supercategory": "animals"}]
    return {"info": {}, "images": list(images), "categories": categories, "annotations": list(annotations)}


def coco_object(bbox, category=18, image=7, **more):
    return {"id": 1, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0, **more}


def test_coco(tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(
        coco_object([0, 1.5, 10, 20]),
        coco_object([0, 0, 40, 30], iscrowd=1, segmentation={"counts": [], "size": [30, 40]}),
        coco_object([1, 1, 2, 2], ignore=1),
    )
    images, objects, notes = read_coco(write(tmp_path / "train.json", content))
    assert (images, notes) == ([str(tmp_path / "a.jpg")], [])
    rows = ("dog", [0, 1.5, 10, 21.5], 0), ("dog", [0, 0, 40, 30], 1), ("dog", [1, 1, 3, 3], 1)
    assert objects == [entry((40, 30), *rows)]


def test_annotations_of_other_tasks_are_passed_over(tmp_path):
    """As in COCO's own folder."""
    picture(tmp_path / "val2017/a.jpg")
    for task in ("captions", "instances", "person_keypoints"):
        write(tmp_path / f"annotations/{task}_val2017.json", coco(coco_object([0, 0, 10, 20])))
    assert find_coco(tmp_path) == {"val": [tmp_path / "annotations/instances_val2017.json"]}
    assert read_coco(tmp_path, "val")[0] == [str(tmp_path / "val2017/a.jpg")]


@pytest.mark.parametrize("image, category", [(7.0, 18.0), ("7", "18"), (7, "18")])
def test_ids_of_mixed_kinds(image, category, tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(coco_object([0, 0, 10, 20], category, image))
    assert read_coco(write(tmp_path / "a.json", content))[1] == [entry((40, 30), ("dog", [0, 0, 10, 20], 0))]


def test_long_ids_are_kept_apart(tmp_path):
    """Neighbours beyond 2^53 are the same float."""
    records = [{"id": 2**60 + k, "file_name": picture(tmp_path / f"{k}.jpg").name} for k in range(2)]
    content = coco(coco_object([0, 0, 10, 20], image=2**60 + 1), images=records)
    objects = read_coco(write(tmp_path / "a.json", content))[1]
    assert [each["names"] for each in objects] == [[], ["dog"]]


def test_numbers_as_class_names_of_coco(tmp_path):
    picture(tmp_path / "a.jpg")
    content = coco(coco_object([0, 0, 10, 20])) | {"categories": [{"id": 18, "name": 5}]}
    assert read_coco(write(tmp_path / "a.json", content))[1] == [entry((40, 30), ("5", [0, 0, 10, 20], 0))]


@pytest.mark.parametrize("annotations, pictures", [
    ("annotations/instances_{}2017.json", "{}2017/a.jpg"),  # COCO
    ("{}/_annotations.coco.json", "{}/a.jpg"),  # Roboflow
    ("annotations/instances_{}.json", "images/{}/a.jpg"),  # CVAT
    ("{}.json", "images/a.jpg"),
])  # fmt: skip
def test_layouts_of_coco(annotations, pictures, tmp_path):
    for split in ("train", "val"):
        write(tmp_path / annotations.format(split), coco(coco_object([0, 1, 10, 20])))
        picture(tmp_path / pictures.format(split))
    train, test = lists("--coco", tmp_path, output=tmp_path / "lists")
    assert train.paths == [str(tmp_path / pictures.format("train"))]
    assert test.paths == [str(tmp_path / pictures.format("val"))]
    assert train.class_names == ("dog",)
    files = [annotations.format(split) for split in ("train", "val")]
    args = ("--coco", tmp_path, "--train", files[0], "--test", tmp_path / files[1])
    again = lists(*args, output=tmp_path / "again")
    assert [entries(data) for data in again] == [entries(train), entries(test)]
    assert [data.paths for data in again] == [train.paths, test.paths]
    args = ("--coco", tmp_path / files[0], "--test", tmp_path / files[1])
    again = lists(*args, output=tmp_path / "again")
    assert [entries(data) for data in again] == [entries(train), entries(test)]
    assert [data.paths for data in again] == [train.paths, test.paths]


# -- YOLO


def test_yolo(tmp_path):
    picture(tmp_path / "train/images/a.jpg")
    picture(tmp_path / "train/images/b.jpg")
    text = "1 0.5 0.5 0.5 0.2\n0 0.25 0.5 0.1 0.2 0.93\n\n0 0.1 0.1 0.5 0.1 0.5 0.4\n"
    write(tmp_path / "train/labels/a.txt", text)
    write(tmp_path / "train/labels/lost.txt", text)
    write(tmp_path / "data.yaml", "train: ../train/images\nval: ../valid/images\nnc: 2\nnames: [cat, 2]\n")
    images, objects, notes = read_yolo(tmp_path / "data.yaml", "train")
    assert images == [str(tmp_path / "train/images/a.jpg"), str(tmp_path / "train/images/b.jpg")]
    rows = ("2", [10, 12, 30, 18], 0), ("cat", [8, 12, 12, 18], 0), ("cat", [4, 3, 20, 12], 0)
    assert objects == [entry((40, 30), *rows), entry((40, 30))]
    labels = tmp_path / "train/labels"
    assert notes == [
        f"{tmp_path / 'train/images/b.jpg'}: has no label file, taken as without objects",
        f"{labels / 'lost.txt'}: no picture of this name, left out",
    ]
    assert read_yolo(tmp_path)[:2] == (images, objects)


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
        images, objects, _ = read_yolo(tmp_path, part)
        assert images == [str(image)]
        assert objects == [entry((40, 30), ("cat", [10, 12, 30, 18], 0))]


def test_labels_beside_pictures_in_a_folder_images(tmp_path):
    """As labelImg leaves them; those in labels/ come first."""
    for name in ("a", "b"):
        picture(tmp_path / f"images/{name}.jpg")
        write(tmp_path / f"images/{name}.txt", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "labels/b.txt", "1 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "classes.txt", "cat\ndog\n")
    _, objects, notes = read_yolo(tmp_path, "images")
    assert [each["names"] for each in objects] == [["cat"], ["dog"]] and notes == []


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
    assert read_yolo(tmp_path)[1] == [entry((40, 30), ("cat", [10, 12, 30, 18], 0))]


# -- Supervisely


def supervisely(*objects):
    return {"size": {"width": 40, "height": 30}, "tags": [], "objects": list(objects)}


def supervisely_object(exterior, tags=(), kind="rectangle", name="dog"):
    points = {"exterior": exterior, "interior": []}
    return {"classTitle": name, "geometryType": kind, "points": points, "tags": list(tags)}


def test_supervisely(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / split / "img/a.jpg")
    objects = [
        supervisely_object([[0, 1], [9, 29]], [{"name": "difficult"}]),
        supervisely_object([[9, 29], [0, 1]]),
        supervisely_object([[3, 1], [9, 5], [2, 8]], kind="polygon"),
        {"classTitle": "dog", "geometryType": "bitmap", "bitmap": {"data": "", "origin": [1, 2]}},
    ]
    write(tmp_path / "train/ann/a.jpg.json", supervisely(*objects))
    write(tmp_path / "val/ann/a.json", supervisely())
    write(tmp_path / "meta.json", {"classes": []})
    images, read, notes = read_supervisely(tmp_path, "train")
    assert images == [str(tmp_path / "train/img/a.jpg")]
    rows = ("dog", [0, 1, 10, 30], 1), ("dog", [0, 1, 10, 30], 0), ("dog", [2, 1, 10, 9], 0)
    assert read == [entry((40, 30), *rows)]
    assert len(notes) == 1
    assert "a.jpg.json: object 4 (dog) with 'bitmap' None does not have four" in notes[0]
    train, test = lists("--supervisely", tmp_path, output=tmp_path / "lists")
    assert test.paths == [str(tmp_path / "val/img/a.jpg")]
    assert entries(train)[0]["labels"] == [1, 1]  # two are equal


# -- round trips


@st.composite
def boxes(draw, size):
    """Boxes in millionths of a pixel, wider and higher than one pixel."""
    low = [draw(st.integers(0, (side - 2) * 10**6)) / 10**6 for side in size]
    high = [
        draw(st.integers(round((a + 1.5) * 10**6), side * 10**6)) / 10**6 for a, side in zip(low, size, strict=True)
    ]
    return low + high


@st.composite
def data_sets(draw):
    """Objects on two pictures of these sizes."""
    entries = []
    for size in ((40, 30), (7, 900)):
        rows = draw(st.lists(st.tuples(st.sampled_from(CLASSES), boxes(size), st.integers(0, 1)), max_size=4))
        entries.append(entry(size, *rows))
    return entries


@pytest.fixture(scope="module")
def two_pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return [str(picture(folder / "a b.jpg", (40, 30))), str(picture(folder / "sub/ü.png", (7, 900)))], folder


@given(objects=data_sets(), split=st.sampled_from([None, "train"]), with_scores=st.booleans())
@settings(max_examples=40)
@pytest.mark.parametrize("kind", ["voc", "coco", "yolo", "supervisely"])
def test_what_is_written_is_read(kind, objects, split, with_scores, two_pictures, tmp_path_factory):
    images, pictures = two_pictures
    folder = tmp_path_factory.mktemp(kind)
    scores = [[0.5] * len(entry["boxes"]) for entry in objects] if with_scores else None
    if kind == "coco":
        assert write_coco(folder / "a.json", images, objects, CLASSES, scores=scores) == []
        read = read_coco(folder / "a.json", images_folder=pictures)
    elif kind == "voc":
        assert write_voc(folder, images, objects, split=split, scores=scores) == []
        read = read_voc(folder, split, pictures)
    elif kind == "supervisely":
        assert write_supervisely(folder, images, objects, CLASSES, split or "x", scores=scores) == []
        read = read_supervisely(folder, split, pictures)
    else:
        difficult = any(1 in entry["difficulties"] for entry in objects)
        assert len(write_yolo(folder, images, objects, CLASSES, split=split, scores=scores)) == difficult
        read = read_yolo(folder, split, pictures)
        objects = [entry | {"difficulties": [0] * len(entry["boxes"])} for entry in objects]
    assert read == (images, objects, [])


def test_formats_as_others_read_them(two_pictures, tmp_path):
    """Categories and indices follow the order of the classes; numbers keep each format's convention."""
    images, _ = two_pictures
    objects = [entry((40, 30), ("traffic light", [0, 1, 10, 21.5], 1)), entry((7, 900))]
    write_coco(tmp_path / "a.json", images, objects, CLASSES, scores=[[0.25], []])
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"][1] == {"id": 2, "file_name": "sub/ü.png", "width": 7, "height": 900}
    assert content["categories"][1] == {"id": 2, "name": "traffic light"}
    assert content["annotations"] == [
        {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 1, 10, 20.5], "area": 205.0, "iscrowd": 1, "score": 0.25}
    ]
    notes = write_yolo(tmp_path, images, objects, CLASSES, split="train")
    assert "1 difficult objects" in notes[0]
    assert (tmp_path / "labels/train/a b.txt").read_text() == "1 0.125 0.375 0.25 0.6833333333333333\n"
    assert (tmp_path / "labels/train/sub/ü.txt").read_text() == ""
    names = '  0: "cat"\n  1: "traffic light"\n  2: "B\\u00e4r: #1"\n'
    assert (tmp_path / "data.yaml").read_text() == f"train: images/train\nnames:\n{names}"
    write_supervisely(tmp_path, images, objects, CLASSES, "train", scores=[[0.25], []])
    content = json.loads((tmp_path / "train/ann/a b.jpg.json").read_text())
    assert content["objects"][0]["points"] == {"exterior": [[0, 1], [9, 20.5]], "interior": []}
    assert content["objects"][0]["tags"] == [{"name": "difficult"}, {"name": "confidence", "value": 0.25}]
    assert [c["title"] for c in json.loads((tmp_path / "meta.json").read_text())["classes"]] == list(CLASSES)
    write_voc(tmp_path, images, objects, split="train", scores=[[0.25], []])
    assert (tmp_path / "ImageSets/Main/train.txt").read_text() == "a b\nsub/ü\n"
    element = ElementTree.parse(tmp_path / "Annotations/a b.xml").find("object")
    corners = [element.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["1", "2", "10", "21.5"]
    assert (element.findtext("difficult"), element.findtext("score")) == ("1", "0.25")


def test_voc_says_what_it_cannot_hold(two_pictures, tmp_path):
    images, folder = two_pictures
    objects = [entry((40, 30), ("cat", [5, 5, 6, 9], 0), ("cat", [5, 5, 9, 9], 0)), entry((7, 900))]
    notes = write_voc(tmp_path, images, objects, scores=[[0.1, 0.2], []])
    assert notes == [
        "a b.jpg: cat at [5, 5, 6, 9] is not wider and higher than a pixel and inside the picture, dropped"
    ]
    assert read_voc(tmp_path, images_folder=folder)[1][0] == entry((40, 30), ("cat", [5, 5, 9, 9], 0))
    assert ElementTree.parse(tmp_path / "Annotations/a b.xml").findtext("object/score") == "0.2"


def test_names_that_xml_cannot_hold(tmp_path):
    images, objects = [str(picture(tmp_path / "a\x1bb.png"))], [entry((40, 30), ("c\x01t", [0, 0, 9, 9], 0))]
    write_voc(tmp_path / "voc", images, objects)
    assert read_voc(tmp_path / "voc", images_folder=tmp_path) == (
        images, [entry((40, 30), ("c?t", [0, 0, 9, 9], 0))], [],
    )  # fmt: skip


def test_nothing_to_write(tmp_path):
    for writer in (write_voc, write_yolo, write_supervisely):
        assert writer(tmp_path, [], [], CLASSES) == []
    write_coco(tmp_path / "a.json", [], [], CLASSES)
    assert json.loads((tmp_path / "a.json").read_text())["images"] == []


def test_pictures_that_would_share_an_annotation(tmp_path):
    images = [tmp_path / "a.jpg", tmp_path / "A.png"]
    for writer in (write_voc, write_yolo):
        with pytest.raises(InputError, match=r"a\.jpg and .*A\.png would both have the annotation A\."):
            writer(tmp_path, images, [entry((1, 1))] * 2, CLASSES)
    assert write_supervisely(tmp_path, images, [entry((1, 1))] * 2, CLASSES) == []


def test_names_and_labels_are_inverse(data_folder):
    data = read_data_list(data_folder, "train")
    named = name_objects(entries(data), data.class_names)
    assert named[0]["names"] == [data.class_names[label - 1] for label in entries(data)[0]["labels"]]
    assert {"labels", "names"} & set(named[0]) == {"names"}


# -- splits and classes


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_division(n, fraction, seed):
    images = [f"{k:03d}.jpg" for k in range(n)]
    train, test = divide(images, list(range(n)), fraction, seed)
    assert sorted(train[0] + test[0]) == images
    assert len(test[0]) == min(max(round(n * fraction), 1), n - 1)
    assert [images[k] for k in train[1] + test[1]] == train[0] + test[0]
    shuffled = np.random.default_rng(n).permutation(n)
    again = divide([images[k] for k in shuffled], shuffled.tolist(), fraction, seed)
    assert [part[0] for part in again] == [train[0], test[0]]


def test_the_seed_divides_in_another_way():
    images = [str(k) for k in range(50)]
    assert divide(images, images, 0.5, 0) != divide(images, images, 0.5, 1)
    with pytest.raises(InputError, match="1 images cannot be divided"):
        divide(["a"], ["a"], 0.5, 0)


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
    assert sorted(train.paths + test.paths) == [str(pets / f"JPEGImages/{name}.jpg") for name in "abcd"]
    args = ("--voc", pets, "--train", "trainval", "--test-fraction", 0.3)
    train, test = lists(*args, output=tmp_path / "lists")
    assert sorted(train.paths + test.paths) == [str(pets / f"JPEGImages/{name}.jpg") for name in "abc"]
    assert len(test.paths) == 1


def test_arguments_that_do_not_go_together(pets, tmp_path, capsys):
    for args, words in (
        ([], ["name a data set"]),
        (["--voc", pets, "--coco", pets], ["--voc and --coco do not go together"]),
        (["--voc", pets, "--voc12", pets], ["--voc and --voc12 do not go together"]),
        (["--voc12", pets], ["--voc12 wants --voc07"]),
        (["--voc07", pets, "--classes", "a"], ["VOC has its own"]),
        (["--voc07", pets, "--test-fraction", "0.5"], ["VOC has its own"]),
        (["--voc", pets, "--test", "test", "--test-fraction", "0.5"], ["--test and --test-fraction"]),
        (["--voc", pets, "--test-fraction", "0"], ["between 0 and 1"]),
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
    refused(capsys, create_data_lists, args, f"error: {tmp_path / 'new/report.txt'}: Is a directory")


def test_all_objects_dropped(pets, tmp_path, capsys):
    args = ["--voc", pets, "--test-fraction", 0.5, "--classes", "zebra", "--ignore-unknown", "--output", tmp_path / "x"]
    refused(capsys, create_data_lists, args, "no image has an object", "is none of the classes, dropped")
    assert not (tmp_path / "x").exists()


def test_line_breaks_in_names(tmp_path, capsys):
    refused(capsys, create_data_lists, ["--voc", tmp_path / "a\nb\x1b[31m"], "a?b?[31m/ImageSets")


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
    write(tmp_path / "set/a.json", coco())
    refused(capsys, create_data_lists, ["--coco", tmp_path / "set/a.json", *args], "no test split", "--test")
    write(tmp_path / "set/b.json", coco())
    refused(capsys, create_data_lists, ["--coco", tmp_path / "set", "--test-fraction", 0.5, *args], "2 files", "b.json")
    refused(capsys, create_data_lists, ["--supervisely", tmp_path / "set", *args], "no test split")
    refused(capsys, create_data_lists, ["--yolo", tmp_path / "set", *args], "no test split")
    for option in ("--coco", "--yolo", "--supervisely"):
        refused(capsys, create_data_lists, [option, tmp_path / "no", *args], "no: no such file or folder")
