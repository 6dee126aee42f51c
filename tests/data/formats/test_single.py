"""One picture's annotation from one file, in each format, is what reading the whole data set gives."""

import pytest

from ssd.data.formats.coco import write_coco
from ssd.data.formats.single import read_single
from ssd.data.formats.voc import write_voc
from ssd.data.formats.yolo import write_yolo
from ssd.errors import InputError
from tests.helpers.annotations import annotated, picture, write

ROWS = [("cat", (2, 3, 20, 25), 0), ("dog", (10, 8, 40, 30), 0)]
CLASSES = ["cat", "dog"]


@pytest.fixture
def image(tmp_path):
    return annotated(picture(tmp_path / "images" / "a.png"), *ROWS)


def objects(annotation, image, class_names=()):
    read, notes = read_single(annotation, image.path, class_names)
    assert notes == []
    return [(each.name, pytest.approx(each.box)) for each in read.objects]


def expected(image):
    return [(each.name, each.box) for each in image.objects]


def test_voc(image, tmp_path):
    write_voc(tmp_path, [image])
    assert objects(tmp_path / "Annotations" / "a.xml", image) == expected(image)


def test_coco_with_other_pictures(image, tmp_path):
    other = annotated(picture(tmp_path / "images" / "b.png"), ("dog", (1, 1, 9, 9), 0))
    write_coco(tmp_path / "all.json", [other, image], CLASSES)
    assert objects(tmp_path / "all.json", image) == expected(image)
    with pytest.raises(InputError, match=r"all.json: names 0 pictures c.png"):
        read_single(tmp_path / "all.json", picture(tmp_path / "c.png"))


def test_yolo_names_come_from_near_files_or_from_the_caller(image, tmp_path):
    write_yolo(tmp_path, [image], CLASSES)
    (label,) = tmp_path.rglob("a.txt")
    assert objects(label, image) == expected(image)
    alone = write(tmp_path / "x" / "y" / "z" / "a.txt", label.read_text())
    assert objects(alone, image, CLASSES) == expected(image)
    with pytest.raises(InputError, match="a.txt: its class numbers have no names"):
        read_single(alone, image.path)


def test_supervisely(image, tmp_path):
    records = [
        {"classTitle": name, "points": {"exterior": [[x0, y0], [x1 - 1, y1 - 1]]}} for name, (x0, y0, x1, y1), _ in ROWS
    ]
    path = write(tmp_path / "a.json", {"objects": records, "size": {"width": 40, "height": 30}})
    assert objects(path, image) == expected(image)


@pytest.mark.parametrize("name, words", [("a.csv", "not an annotation in"), ("none.xml", "no such annotation")])
def test_bad_input(image, tmp_path, name, words):
    write(tmp_path / "a.csv", "")
    with pytest.raises(InputError, match=f"{name}: {words}"):
        read_single(tmp_path / name, image.path)
