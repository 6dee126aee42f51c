"""Damaged, odd and hostile annotations, each through create_data_lists.py: named, and nothing else happens."""

import json
import os
import re

import pytest
from PIL import Image

from ssd.commands import data as create_data_lists
from ssd.data import read_data_list
from ssd.errors import InputError
from tests.helpers.scripts import refused
from tests.helpers.voc_folders import entries, make_voc, voc_object

PICTURES = "\ntrain: JPEGImages\nval: JPEGImages"
GOOD = voc_object("dog", 1, 1, 9, 9)
BOMB = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(
        f'<!ENTITY {b} "{"&" + a + ";" * 1}{("&" + a + ";") * 9}">'
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "]><annotation><object><name>&j;</name></object></annotation>"
)
YAML_BOMB = "".join(f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
YAML_BOMB = f"a: &a [x, x]\n{YAML_BOMB}names: *i{PICTURES}"


def run(tmp_path, *args):
    """Runs the script; what it wrote: the training list and the report."""
    lists = tmp_path / "lists"
    assert create_data_lists.main([*map(str, args), "--output", str(lists)]) == 0
    return read_data_list(lists, "train"), (lists / "report.txt").read_text()


@pytest.fixture
def voc(tmp_path):
    return make_voc(tmp_path / "voc", {"trainval": ["good", "bad"], "test": ["other"]}, GOOD)


def stems(data):
    return [re.sub(r".*/|\.\w+$", "", image) for image in data.paths]


def annotation(*objects, size=""):
    return f"<annotation>{size}{''.join(objects)}</annotation>"


# -- XML files


@pytest.mark.parametrize("content, message", [
    ("", "not XML"),
    ("<annotation><object>", "not XML"),
    ("dog 1 1 9 9", "not XML"),
    (b"\0" * 100, "not XML"),
    (b"\xff\xd8\xff\xe0 a JPEG", "not XML"),
    ("<html><body>404</body></html>", "whose first element is <annotation>, not <html>"),
    ('<?xml version="1.0" encoding="nonsense"?><annotation/>', "not XML"),
    ('<?xml version="1.0" encoding="utf-16"?><annotation/>', "not XML"),
    ("<annotation><name>ü</name></annotation>".encode("latin-1"), "not XML"),
    ("<annotation><object><name>&dog;</name></object></annotation>", "not XML"),
    (BOMB, "declares a document type"),
    ('<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>', "declares a document type"),
    ('<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><annotation/>', "declares a document type"),
    (f'<!DOCTYPE a [<!ENTITY a "{"x" * 10000}">]><annotation>{"&a;" * 10000}</annotation>', "declares a document type"),
])  # fmt: skip
def test_annotations_that_cannot_be_read(voc, tmp_path, content, message):
    path = voc / "Annotations/bad.xml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    data, report = run(tmp_path, "--voc", voc)
    assert stems(data) == ["good"]
    line = next(line for line in report.splitlines() if f"{path}: " in line)
    assert message in line and line.endswith(", left out")


def remove(path):
    path.unlink()


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def replace_by_pipe(path):
    path.unlink()
    os.mkfifo(path)


def replace_by_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def forbid(path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path.chmod(0)


@pytest.mark.parametrize("part", ["Annotations/bad.xml", "JPEGImages/bad.jpg"])
@pytest.mark.parametrize("damage", [remove, replace_by_folder, replace_by_pipe, replace_by_loop, forbid])
def test_files_that_are_none(voc, tmp_path, part, damage):
    if part.startswith("JPEG") and damage is replace_by_pipe:
        pytest.skip("opening pictures has tests of its own")
    damage(voc / part)
    data, report = run(tmp_path, "--voc", voc)
    assert stems(data) == ["good"]
    assert re.search(rf"{part}: .*, left out", report)


@pytest.mark.parametrize("objects, kept, message", [
    (voc_object("dog", 1, 1, "nan", 9), 0, "1, 1, nan, 9 does not have four finite"),
    (voc_object("dog", "-inf", 1, "inf", 9), 0, "-inf, 1, inf, 9 does not have four finite"),
    (voc_object("dog", 1, 1, "1e400", 9), 0, "1e400, 9 does not have four finite"),
    (voc_object("dog", 1, 1, "9" * 400, 9), 0, "does not have four finite"),
    (voc_object("dog", 1, 1, "five", 9), 0, "five, 9 does not have four finite"),
    (voc_object("dog", 1, 1, "", 9), 0, "1, 1, nothing, 9 does not have four finite"),
    ("<object><name>dog</name></object>", 0, "does not have four finite"),
    ("<object/>", 0, "object 1 with .* has no class name"),
    (voc_object("", 1, 1, 9, 9), 0, "has no class name"),
    (voc_object(" \t\n ", 1, 1, 9, 9), 0, "has no class name"),
    (voc_object("dog", 1, 1, 2**63, 2**65), 1, "leaves the picture of 40 x 30 pixels, clipped"),
    (voc_object("dog", -(2**70), -5, 9, 9), 1, "leaves the picture of 40 x 30 pixels, clipped"),
    (voc_object("dog", 9, 1, 2, 9), 0, "has no area in the picture"),
    (voc_object("dog", 5, 5, 5, 9), 0, "has no area in the picture"),
    (voc_object("dog", 0, 0, 0, 0), 0, "has no area in the picture"),
    (voc_object("dog", 50, 1, 60, 9), 0, "has no area in the picture"),
    (GOOD + GOOD, 1, "dog with x_min, y_min, x_max, y_max = 0, 0, 9, 9 is there already, dropped"),
    (voc_object("DOG", 1, 1, 9, 9), 1, '"DOG" .here first, 1 object. differs from "dog" only in case or blanks'),
    ("<size><width>30</width><height>40</height></size>" + GOOD, 1, "annotated as 30 x 40 .* 40 x 30, boxes kept"),
])  # fmt: skip
def test_odd_objects(voc, tmp_path, objects, kept, message):
    (voc / "Annotations/bad.xml").write_text(annotation(objects))
    data, report = run(tmp_path, "--voc", voc)
    assert stems(data) == ["good", "bad"]
    assert [len(entry["boxes"]) for entry in entries(data)] == [1, kept]
    assert data.class_names == ("dog",)
    assert re.search(rf"/bad\.(xml|jpg): .*{message}", report)
    assert all(0 <= a < b <= 40 for box in entries(data)[-1]["boxes"] for a, b in (box[::2], box[1::2]))


@pytest.mark.parametrize("objects", [
    "",
    "<size><width>0</width><height>0</height></size>",
    "<size><width>many</width></size>",
    "<object><name>dog</name><difficult>Unspecified</difficult>" + GOOD.partition("</difficult>")[2],
    "<part><object>" * 3000 + "</object></part>" * 3000,
])  # fmt: skip
def test_odd_annotations_that_do_no_harm(voc, tmp_path, objects):
    (voc / "Annotations/bad.xml").write_text(annotation(objects))
    data, _ = run(tmp_path, "--voc", voc)
    assert stems(data) == ["good", "bad"]
    assert sum(entries(data)[1]["difficulties"]) == 0


def test_names_with_control_characters(voc, tmp_path, capsys):
    (voc / "Annotations/bad.xml").write_text(annotation(voc_object("a\nb&#9;\u202ec", 1, 1, 9, 9)))
    data, report = run(tmp_path, "--voc", voc)
    assert data.class_names == ("a\nb\t\u202ec", "dog")
    assert "a?b??c" in report and "2 classes: a?b??c, dog" in capsys.readouterr().out


# -- split files


@pytest.mark.parametrize("name, message", [
    ("../../secret", "leaves the folder"),
    ("/etc/passwd", "leaves the folder"),
    ("..\\..\\secret", "leaves the folder"),
    ("sub/../../x/secret", "leaves the folder"),
    ("bad\0", "is no file name"),
    ("x" * 5000, ": "),
    ("gone", "gone.jpg: no such picture"),
    ("good", "good.jpg: is in the train list already"),
])  # fmt: skip
def test_names_in_split_files(voc, tmp_path, name, message):
    (tmp_path / "secret.xml").write_text(annotation(GOOD))
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.jpg")
    (voc / "ImageSets/Main/trainval.txt").write_text(f"good\n{name}\n")
    data, report = run(tmp_path, "--voc", voc)
    assert stems(data) == ["good"]
    assert any(message in line and line.endswith(", left out") for line in report.splitlines())


def test_a_list_of_which_nothing_is_left(voc, tmp_path, capsys):
    (voc / "ImageSets/Main/trainval.txt").write_text("gone\nlost\n")
    refused(
        capsys, create_data_lists, ["--voc", voc, "--output", tmp_path / "x"], "gone.jpg: no such", "(and 1 like it)"
    )
    assert not (tmp_path / "x").exists()


def test_links_that_loop(voc, tmp_path):
    (voc / "JPEGImages/loop").symlink_to(voc)
    (voc / "Annotations/loop").symlink_to(voc / "Annotations")
    assert stems(run(tmp_path, "--voc", voc)[0]) == ["good", "bad"]
    assert stems(run(tmp_path, "--voc", voc, "--test-fraction", 0.4)[0]) in (
        [a, b] for a, b in (("bad", "good"), ("bad", "other"), ("good", "other"))
    )


# -- COCO

COCO = {
    "images": [
        {"id": k, "file_name": f"{name}.jpg", "width": 40, "height": 30} for k, name in enumerate(("good", "bad"))
    ],
    "annotations": [{"id": k, "image_id": k, "category_id": 1, "bbox": [0, 0, 9, 9]} for k in range(2)],
    "categories": [{"id": 1, "name": "dog"}],
}


@pytest.fixture
def coco(voc):
    """A folder of pictures with train.json, which a test may change, and test.json."""
    for name in ("train", "test"):
        (voc / f"JPEGImages/{name}.json").write_text(json.dumps(COCO))
    return voc / "JPEGImages"


@pytest.mark.parametrize("content, message", [
    ("", "not JSON"),
    ("{", "not JSON"),
    ('{"images": [' + "[" * 100_000, "not JSON"),
    (b"\xff\xfe\0", "not UTF-8 text"),
    ("[1, 2]", "holds a list, a dict is expected"),
    ("3", "holds a int, a dict is expected"),
    ("{}", "not in COCO's format, which has a list of objects under 'images'"),
    (COCO | {"images": {}}, "under 'images'"),
    (COCO | {"annotations": [[0, 0, 9, 9]]}, "under 'annotations'"),
    (COCO | {"categories": ["dog"]}, "under 'categories'"),
    (COCO | {"images": []}, "it names no images"),
    (COCO | {"images": [{"id": 1, "file_name": "gone.jpg"}]}, "none of its first pictures ('gone.jpg') is in one of"),
    (COCO | {"annotations": []}, None),
    ('{"images": ' + "9" * 5000 + "}", "not JSON"),
])  # fmt: skip
def test_coco_files_of_the_wrong_shape(coco, tmp_path, capsys, content, message):
    path = coco / "train.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    args = ["--coco", coco, "--output", tmp_path / "x"]
    if message:
        refused(capsys, create_data_lists, args, "train.json: ", message)
        assert not (tmp_path / "x").exists()
    else:
        assert create_data_lists.main(list(map(str, args))) == 0


@pytest.mark.parametrize("file_name, message", [
    ("../../secret.jpg", "leaves the folder"),
    ("/etc/passwd", "leaves the folder"),
    ("..\\..\\secret.jpg", "leaves the folder"),
    ("bad.jpg\0.png", "is no file name"),
    ("\ud800.jpg", "is no file name"),
    ("", "is no file name"),
    (".", "is no file name"),
    (None, "is no file name"),
    (7, "is no file name"),
    (["bad.jpg"], "is no file name"),
    ("x" * 5000, "cannot be read"),
    ("train.json", "train.json: not a picture"),
    ("gone.jpg", "gone.jpg: no such picture"),
])  # fmt: skip
def test_file_names_of_coco(coco, tmp_path, file_name, message):
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.jpg")
    images = [COCO["images"][0], {"id": 1, "file_name": file_name}]
    (coco / "train.json").write_text(json.dumps(COCO | {"images": images}))
    data, report = run(tmp_path, "--coco", coco)
    assert stems(data) == ["good"]
    lines = [line for line in report.splitlines() if line.endswith((", left out", ", dropped"))]
    assert len(lines) == 1 and lines[0].endswith("left out") and (message in lines[0] or file_name == "x" * 5000)


def test_images_of_the_same_id(coco, tmp_path):
    images = [COCO["images"][0], COCO["images"][1] | {"id": 0}]
    (coco / "train.json").write_text(json.dumps(COCO | {"images": images}))
    data, report = run(tmp_path, "--coco", coco)
    assert stems(data) == ["good"]
    assert "image 0: another image has this id, left out" in report
    assert report.count("belongs to no image in the file, dropped") == 1


def test_nothing_to_learn(coco, tmp_path, capsys):
    """The reason is told, as no report is written."""
    for name in ("train", "test"):
        (coco / f"{name}.json").write_text(json.dumps(COCO | {"categories": []}))
    args = ["--coco", coco, "--output", tmp_path / "x"]
    sentence = "no image has a usable object"
    refused(capsys, create_data_lists, args, sentence, "first of 6 notes", "good.jpg: object 1 with")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("change, kept, message", [
    ({"bbox": [0, 0, 9]}, 0, "does not have four finite"),
    ({"bbox": [0, 0, 9, None]}, 0, "does not have four finite"),
    ({"bbox": "0 0 9 9"}, 0, "does not have four finite"),
    ({"bbox": {"x": 0}}, 0, "does not have four finite"),
    ({"bbox": None}, 0, "does not have four finite"),
    ({"bbox": [0, 0, float("nan"), 9]}, 0, "does not have four finite"),
    ({"bbox": [0, 0, float("inf"), 9]}, 0, "does not have four finite"),
    ({"bbox": [0, 0, 10**400, 9]}, 0, "does not have four finite"),
    ({"bbox": [1e308, 0, 1e308, 9]}, 0, "does not have four finite"),
    ({"bbox": [0, 0, 2**70, 2**70]}, 1, "leaves the picture"),
    ({"bbox": [0, 0, 0, 9]}, 0, "has no area"),
    ({"bbox": [9, 9, -5, -5]}, 0, "has no area"),
    ({"bbox": ["0", "1", "9", "8"]}, 1, None),
    ({"category_id": 5}, 0, "category_id = 5 .* has no class name"),
    ({"category_id": [1]}, 0, "has no class name"),
    ({"category_id": None}, 0, "has no class name"),
    ({"image_id": 5}, 0, "belongs to no image in the file, dropped"),
    ({"image_id": {"a": 1}}, 0, "belongs to no image in the file, dropped"),
    ({"iscrowd": [1]}, 1, None),
])  # fmt: skip
def test_odd_annotations_of_coco(coco, tmp_path, change, kept, message):
    annotations = [COCO["annotations"][0], COCO["annotations"][1] | change]
    (coco / "train.json").write_text(json.dumps(COCO | {"annotations": annotations}))
    data, report = run(tmp_path, "--coco", coco)
    assert [len(entry["boxes"]) for entry in entries(data)] == [1, kept]
    assert re.search(f"train.json: .*{message}", report) if message else "Nothing was dropped or repaired" not in report


# -- YOLO


@pytest.fixture
def yolo(voc):
    """Pictures with labels and a data.yaml, which a test may change."""
    for name in ("good", "bad", "other"):
        (voc / f"JPEGImages/{name}.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (voc / "data.yaml").write_text("train: JPEGImages\nval: JPEGImages\nnames: [dog]\n")
    return voc


@pytest.mark.parametrize("content, message", [
    ("", "holds a NoneType"),
    ("[dog]", "holds a list"),
    ("names: [dog", "not YAML"),
    ("\t", "not YAML"),
    ("names: !!python/object/apply:os.system ['touch SECRET']", "not YAML"),
    (YAML_BOMB, "a class is called [["),
    ("names: " + "[" * 5_000, "not YAML"),
    ("x" * 1_100_000, "too long for a description"),
    (PICTURES, "no names of classes"),
    (f"names: dog{PICTURES}", "names in data.yaml are 'dog'"),
    (f"names: [yes, no]{PICTURES}", "a class is called True in data.yaml; put its name in quotes"),
    (f"names: [[dog]]{PICTURES}", "a class is called ['dog']"),
    ("names: [dog]\ntrain: /\nval: /", "'train' is not a folder of pictures"),
    ("names: [dog]\ntrain: ../../..\nval: JPEGImages", "'train' is not a folder of pictures"),
    ("names: [dog]\ntrain: {a: b}\nval: JPEGImages", "'train' is not a folder of pictures"),
    ("names: [dog]\ntrain: 5\nval: JPEGImages", "'train' is not a folder of pictures"),
    ("names: [dog]\ntrain: gone\nval: JPEGImages", "'train' is not a folder of pictures"),
])  # fmt: skip
def test_damaged_yaml(yolo, tmp_path, capsys, monkeypatch, content, message):
    monkeypatch.chdir(tmp_path)
    (yolo / "data.yaml").write_text(content)
    refused(capsys, create_data_lists, ["--yolo", yolo, "--output", tmp_path / "x"], message)
    assert not (tmp_path / "x").exists() and not (tmp_path / "SECRET").exists()


@pytest.mark.parametrize("line, kept, message", [
    ("0 0.5 0.5 0.5", 0, "does not have four finite"),
    ("0", 0, "does not have four finite"),
    ("0 0.5 0.5 0.5 nan", 0, "does not have four finite"),
    ("0 inf 0.5 0.5 0.5", 0, "does not have four finite"),
    ("0 0.1 0.1 0.5 0.1 nan 0.4", 0, "does not have four finite"),
    ("dog 0.5 0.5 0.5 0.5", 0, "the line 'dog 0.5 .*has no class name"),
    ("7 0.5 0.5 0.5 0.5", 0, "has no class name"),
    ("-1 0.5 0.5 0.5 0.5", 0, "has no class name"),
    ("0.5 0.5 0.5 0.5 0.5", 0, "has no class name"),
    ("0 320 240 100 80", 0, "has no area in the picture"),
    ("0 0.5 0.5 -0.5 0.5", 0, "has no area in the picture"),
    ("0 0.9 0.5 0.9 0.5", 1, "leaves the picture"),
    ("0 1e300 0.5 1e308 0.5", 0, "does not have four finite"),
    ("0 0.9500005 0.5 0.1 0.5", 1, None),  # six digits: not worth a word
])  # fmt: skip
def test_odd_labels(yolo, tmp_path, line, kept, message):
    (yolo / "JPEGImages/bad.txt").write_text(line)
    data, report = run(tmp_path, "--yolo", yolo)
    assert stems(data) == ["bad", "good", "other"]
    assert [len(entry["boxes"]) for entry in entries(data)] == [kept, 1, 1]
    assert re.search(f"bad.txt: .*{message}", report) if message else "bad.txt" not in report


@pytest.mark.parametrize("damage, message", [
    (lambda path: path.write_bytes(b"\xff\xfe\0"), "bad.txt: not UTF-8 text"),
    (replace_by_folder, "bad.txt: a folder, not a file"),
    (replace_by_pipe, "bad.txt: a pipe or device, not a file"),
    (replace_by_loop, "bad.txt: a link that leads to no file"),
    (forbid, "bad.txt: cannot be read"),
])  # fmt: skip
def test_label_files_that_cannot_be_read(yolo, tmp_path, damage, message):
    damage(yolo / "JPEGImages/bad.txt")
    data, report = run(tmp_path, "--yolo", yolo)
    assert stems(data) == ["good", "other"]
    assert re.search(f"{message}.*, left out", report)


def test_lists_of_pictures_that_leave_the_folder(yolo, tmp_path):
    Image.new("RGB", (40, 30)).save(tmp_path / "secret.jpg")
    names = ("./JPEGImages/good.jpg", "../secret.jpg", "/etc/passwd", "JPEGImages/gone.jpg", "x" * 5000)
    (yolo / "list.txt").write_text("\n".join(names))
    (yolo / "data.yaml").write_text("train: list.txt\nval: JPEGImages\nnames: [dog]\n")
    data, report = run(tmp_path, "--yolo", yolo)
    assert stems(data) == ["good"]
    assert report.count("leaves the folder") == 2 and "gone.jpg: no such picture, left out" in report


def test_yaml_without_its_library(yolo, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    args = ["--yolo", yolo, "--output", tmp_path / "x"]
    refused(capsys, create_data_lists, args, 'PyYAML is needed for data.yaml (extra "yolo"): pip install PyYAML')


# -- Supervisely

DOG = {"classTitle": "dog", "geometryType": "rectangle", "points": {"exterior": [[0, 0], [8, 8]], "interior": []}}


@pytest.fixture
def supervisely(tmp_path):
    for split in ("train", "test"):
        for part in ("ann", "img"):
            (tmp_path / "project" / split / part).mkdir(parents=True)
        for name in ("good", "bad"):
            Image.new("RGB", (40, 30)).save(tmp_path / f"project/{split}/img/{name}.jpg")
            (tmp_path / f"project/{split}/ann/{name}.jpg.json").write_text(json.dumps({"objects": [DOG]}))
    return tmp_path / "project"


@pytest.mark.parametrize("content, message", [
    ("", "not JSON"),
    ("[]", "holds a list, a dict is expected"),
    ("{}", "not in Supervisely's format, which has a list of objects"),
    ({"objects": {}}, "not in Supervisely's format"),
    ({"objects": ["dog"]}, "not in Supervisely's format"),
    ("[" * 100_000, "not JSON"),
])  # fmt: skip
def test_damaged_supervisely(supervisely, tmp_path, content, message):
    path = supervisely / "train/ann/bad.jpg.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    data, report = run(tmp_path, "--supervisely", supervisely)
    assert stems(data) == ["good"]
    assert re.search(f"bad.jpg.json: {message}.*, left out", report)


@pytest.mark.parametrize("change, kept", [
    ({"points": None}, 0),
    ({"points": {"exterior": 5}}, 0),
    ({"points": {"exterior": [5, 6]}}, 0),
    ({"points": {"exterior": [[1, 2, 3], [4, 5, 6]]}}, 0),
    ({"points": {"exterior": []}}, 0),
    ({"points": {"exterior": [[0, 0], [float("nan"), 8]]}}, 0),
    ({"points": {"exterior": [[0, 0], ["a", 8]]}}, 0),
    ({"points": {"exterior": [[8, 8], [8, 8]]}}, 1),  # a pixel
    ({"classTitle": None}, 0),
    ({"tags": 5}, 1),
    ({"tags": [5, {"name": ["difficult"]}]}, 1),
])  # fmt: skip
def test_odd_objects_of_supervisely(supervisely, tmp_path, change, kept):
    content = {"objects": [DOG | change], "size": "large", "tags": 5}
    (supervisely / "train/ann/bad.jpg.json").write_text(json.dumps(content))
    data, report = run(tmp_path, "--supervisely", supervisely)
    assert stems(data) == ["bad", "good"]
    assert [len(entry["boxes"]) for entry in entries(data)] == [kept, 1]
    assert entries(data)[0]["difficulties"] == [0] * kept
    assert ("bad.jpg.json: object 1" in report) == (kept == 0)


def test_annotation_without_picture_and_picture_without_annotation(supervisely, tmp_path):
    (supervisely / "train/img/bad.jpg").rename(supervisely / "train/img/new.jpg")
    data, report = run(tmp_path, "--supervisely", supervisely)
    assert stems(data) == ["good"]
    assert re.search("bad.jpg.json: no picture of this name in .*, left out", report)
    assert re.search("new.jpg: has no annotation, left out", report)


# -- data lists that were changed by hand


@pytest.mark.parametrize(
    "boxes", [[[0, 0, float("nan"), 9]], [[0, 0, float("inf"), 9]], [[0, 0, "9", 9]], [[0, 0, 10**400, 9]]]
)
def test_lists_without_numbers(voc, tmp_path, boxes):
    run(tmp_path, "--voc", voc)
    path = tmp_path / "lists/TRAIN_objects.json"
    entries = json.loads(path.read_text())
    entries[1]["boxes"] = boxes
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match="TRAIN_objects.json: entry 1 must hold"):
        read_data_list(tmp_path / "lists", "train")


def test_lists_nested_too_deep(voc, tmp_path):
    run(tmp_path, "--voc", voc)
    (tmp_path / "lists/TRAIN_objects.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="TRAIN_objects.json: not JSON"):
        read_data_list(tmp_path / "lists", "train")
