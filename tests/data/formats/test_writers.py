"""Annotations written in each format, and read back."""

import json
from functools import partial
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.data.formats.coco import read_coco, write_coco
from ssd.data.formats.records import AnnotatedImage, AnnotatedObject
from ssd.data.formats.voc import read_voc, voc_annotation, write_voc
from ssd.data.formats.yolo import read_yolo, write_yolo
from ssd.errors import InputError
from tests.helpers.annotations import annotated, crowd, picture

CLASSES = ("cat", "traffic light", "Bär: #1")
SIZES = ((40, 30), (7, 900))


@st.composite
def boxes(draw, size):
    """Boxes in millionths of a pixel, wider and higher than one pixel."""
    low = [draw(st.integers(0, (side - 2) * 10**6)) / 10**6 for side in size]
    high = [
        draw(st.integers(round((a + 1.5) * 10**6), side * 10**6)) / 10**6 for a, side in zip(low, size, strict=True)
    ]
    return (*low, *high)


def objects(size):
    fields = st.sampled_from(CLASSES), boxes(size), st.booleans(), st.sampled_from([None, 0.5]), st.just(False)
    objects = st.builds(AnnotatedObject, *fields, crowd=st.just(False))
    crowds = objects.map(lambda each: each._replace(difficult=False, crowd=True))
    return st.lists(objects | crowds, max_size=4)


@pytest.fixture(scope="module")
def two_pictures(tmp_path_factory):
    """Their paths, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("pictures")
    files = (folder / "a b.jpg", folder / "sub/ü.png")
    return [str(picture(path, size)) for path, size in zip(files, SIZES, strict=True)], folder


@given(both=st.tuples(*map(objects, SIZES)), split=st.sampled_from([None, "train"]))
@settings(max_examples=40)
@pytest.mark.parametrize("kind", ["voc", "coco", "yolo"])
def test_what_is_written_is_read(kind, both, split, two_pictures, tmp_path_factory):
    files, pictures = two_pictures
    folder = tmp_path_factory.mktemp(kind)
    images = list(map(AnnotatedImage, files, SIZES, both))
    every_object = [each for found in both for each in found]
    crowds, difficult = any(each.crowd for each in every_object), any(each.difficult for each in every_object)
    if kind == "coco":
        assert len(write_coco(folder / "a.json", images, CLASSES)) == difficult
        read = read_coco(folder / "a.json", images_folder=pictures)
    elif kind == "voc":
        assert len(write_voc(folder, images, split=split)) == crowds
        read = read_voc(folder, split, pictures)
    else:
        assert len(write_yolo(folder, images, CLASSES, split=split)) == crowds + difficult
        read = read_yolo(folder, split, pictures)
        both = [[each._replace(difficult=False) for each in found] for found in both]
    if kind != "coco":
        both = [[each for each in found if not each.crowd] for found in both]
    both = [[each._replace(score=None) for each in found] for found in both]  # no reader keeps scores
    assert read == (list(map(AnnotatedImage, files, SIZES, both)), [])


def test_formats_as_others_read_them(two_pictures, tmp_path):
    """Categories and indices follow the order of the classes; numbers keep each format's convention."""
    light = AnnotatedObject("traffic light", (0, 1, 10, 21.5), difficult=True)
    scored = [
        AnnotatedImage(path, size, found)
        for path, size, found in zip(two_pictures[0], SIZES, ([light._replace(score=0.25)], []), strict=True)
    ]
    notes = write_coco(tmp_path / "a.json", scored, CLASSES)
    assert [note.action for note in notes] == ['marked "ignore"'] and "1 difficult objects" in str(notes[0])
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["images"][1] == {"id": 2, "file_name": "sub/ü.png", "width": 7, "height": 900}
    assert content["categories"][1] == {"id": 2, "name": "traffic light"}
    written = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 1, 10, 20.5], "area": 205.0, "iscrowd": 0}
    assert content["annotations"] == [written | {"ignore": 1, "score": 0.25}]
    crowds = [AnnotatedImage("a.png", SIZES[0], [crowd("traffic light", (0, 1, 10, 21.5))])]
    assert write_coco(tmp_path / "a.json", crowds, CLASSES) == []
    assert json.loads((tmp_path / "a.json").read_text())["annotations"] == [written | {"iscrowd": 1}]
    for notes in (write_voc(tmp_path / "crowds", crowds), write_yolo(tmp_path / "crowds", crowds, CLASSES)):
        assert [note.action for note in notes] == ["dropped"] and "1 crowds, which" in str(notes[0])
    notes = write_yolo(tmp_path, [scored[0]._replace(objects=[light]), scored[1]], CLASSES, split="train")
    assert "1 difficult objects" in str(notes[0])
    assert (tmp_path / "labels/train/a b.txt").read_text() == "1 0.125 0.375 0.25 0.6833333333333333\n"
    assert (tmp_path / "labels/train/sub/ü.txt").read_text() == ""
    class_lines = '  0: "cat"\n  1: "traffic light"\n  2: "B\\u00e4r: #1"\n'
    assert (tmp_path / "data.yaml").read_text() == f"train: images/train\nnames:\n{class_lines}"
    write_voc(tmp_path, scored, split="train")
    assert (tmp_path / "ImageSets/Main/train.txt").read_text() == "a b\nsub/ü\n"
    element = ElementTree.parse(tmp_path / "Annotations/a b.xml").find("object")
    corners = [element.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    assert corners == ["1", "2", "10", "21.5"]
    assert (element.findtext("difficult"), element.findtext("score")) == ("1", "0.25")


def test_voc_annotation():
    """VOC counts from one and includes the last pixel."""
    objects = [
        AnnotatedObject("star", (0, 0, 100, 50)),
        AnnotatedObject("circle", (9.6, 20.4, 11.7, 40.2), difficult=True, truncated=True),
    ]
    root = voc_annotation("a.jpg", (100, 50), objects)
    assert [root.findtext(path) for path in ("filename", "size/width", "size/height", "size/depth")] == [
        *("a.jpg", "100", "50", "3"),
    ]
    rows = [[element.findtext(f"bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")] for element in root[2:]]
    assert rows == [["1", "1", "100", "50"], ["10.6", "21.4", "11.7", "40.2"]]
    flags = [[element.findtext(tag) for tag in ("name", "truncated", "difficult")] for element in root[2:]]
    assert flags == [["star", "0", "0"], ["circle", "1", "1"]]


@pytest.mark.parametrize("box", [(5, 5, 6, 9), (5, 5, 9, 5), (-3, 0, 9, 9), (0, 0, 11, 9), (6, 6, 5, 9)])
def test_a_box_that_voc_cannot_hold_is_refused(box):
    with pytest.raises(InputError, match=r"a\.jpg: the box .* of star"):
        voc_annotation("a.jpg", (10, 10), [AnnotatedObject("star", box)])


def test_voc_says_what_it_cannot_hold(tmp_path):
    path = picture(tmp_path / "pictures/a b.jpg")
    lost = AnnotatedObject("cat", (5, 5, 6, 9), score=0.1)
    kept = AnnotatedObject("cat", (5, 5, 9, 9), score=0.2)
    notes = write_voc(tmp_path, [AnnotatedImage(str(path), (40, 30), [lost, kept])])
    assert list(map(str, notes)) == [
        "a b.jpg: cat at (5, 5, 6, 9) is not wider and higher than a pixel and inside the picture, dropped"
    ]
    images, _ = read_voc(tmp_path, images_folder=tmp_path / "pictures")
    assert images == [annotated(path, ("cat", (5, 5, 9, 9), 0))]
    assert ElementTree.parse(tmp_path / "Annotations/a b.xml").findtext("object/score") == "0.2"


def test_names_that_xml_cannot_hold(tmp_path):
    path = picture(tmp_path / "a\x1bb.png")
    write_voc(tmp_path / "voc", [annotated(path, ("c\x01t", (0, 0, 9, 9), 0))])
    assert read_voc(tmp_path / "voc", images_folder=tmp_path) == ([annotated(path, ("c?t", (0, 0, 9, 9), 0))], [])


def test_nothing_to_write(tmp_path):
    assert write_voc(tmp_path, []) == []
    assert write_yolo(tmp_path, [], CLASSES) == []
    write_coco(tmp_path / "a.json", [], CLASSES)
    assert json.loads((tmp_path / "a.json").read_text())["images"] == []


def test_pictures_that_would_share_an_annotation(tmp_path):
    images = [annotated(tmp_path / "a.jpg"), annotated(tmp_path / "A.png")]
    for write in (write_voc, partial(write_yolo, class_names=CLASSES)):
        with pytest.raises(InputError, match=r"a\.jpg and .*A\.png would both have the annotation A\."):
            write(tmp_path, images)


def test_labels_without_a_class(tmp_path):
    """As in the config of COCO's model: category ids stay the labels, YOLO counts the classes that there are."""
    images = [annotated("a.png", ("dog", (0, 0, 4, 4), 0))]
    write_coco(tmp_path / "a.json", images, ("cat", "", "dog"))
    content = json.loads((tmp_path / "a.json").read_text())
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]
    assert content["annotations"][0]["category_id"] == 3
    write_yolo(tmp_path, images, ("cat", "", "dog"))
    assert (tmp_path / "labels/a.txt").read_text().startswith("1 ")
    assert (tmp_path / "data.yaml").read_text() == 'names:\n  0: "cat"\n  1: "dog"\n'
