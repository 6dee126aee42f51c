"""Reading annotations in Pascal VOC's format."""

from xml.etree import ElementTree

import pytest

from ssd.data.formats.records import AnnotatedObject, Note, check_objects
from ssd.data.formats.supervisely import read_supervisely
from ssd.data.formats.voc import raw_objects, read_split, read_voc
from ssd.errors import InputError
from tests.helpers.annotations import annotated, lists, names, paths, picture, write
from tests.helpers.voc_folders import entries, make_voc, voc_object

ANNOTATION = """
<annotation>
  <object><name>dog</name><difficult>1</difficult>
    <bndbox><xmin>1</xmin><ymin>1</ymin><xmax>100</xmax><ymax>50</ymax></bndbox></object>
  <object><name> cat </name>
    <bndbox><xmin>0</xmin><ymin>11.5</ymin><xmax>20</xmax><ymax>60</ymax></bndbox></object>
  <object><name>cat</name><difficult>0</difficult>
    <bndbox><xmin>30</xmin><ymin>30</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>90</xmin><ymin>40</ymin><xmax>130</xmax><ymax>50</ymax></bndbox></object>
  <object><name>dog</name><difficult>0</difficult>
    <bndbox><xmin>101</xmin><ymin>1</ymin><xmax>130</xmax><ymax>50</ymax></bndbox></object>
</annotation>"""


def parse_annotation(root, size):
    """The objects, and the sentences of the notes."""
    objects, notes = check_objects("a.xml", size, raw_objects(root))
    return objects, [str(note).removeprefix("a.xml: ") for note in notes]


def annotation(objects):
    return ElementTree.fromstring(f"<annotation>{objects}</annotation>")


# -- one annotation, and split files


def test_parse_annotation():
    objects, notes = parse_annotation(ElementTree.fromstring(ANNOTATION), (100, 60))
    assert objects == [
        AnnotatedObject("dog", (0, 0, 100, 50), difficult=True),
        AnnotatedObject("cat", (0, 10.5, 20, 60)),
        AnnotatedObject("dog", (89, 39, 100, 50)),
    ]
    assert notes == [
        "object 3 (cat) with xmin, ymin, xmax, ymax = 30, 30, 30, 40 has no area in the picture, dropped",
        "object 4 (dog) with xmin, ymin, xmax, ymax = 90, 40, 130, 50 leaves the picture of 100 x 60 pixels, clipped",
        "object 5 (dog) with xmin, ymin, xmax, ymax = 101, 1, 130, 50 has no area in the picture, dropped",
    ]


def test_annotation_without_objects():
    assert parse_annotation(annotation(""), (10, 10)) == ([], [])


@pytest.mark.parametrize("objects, message", [
    (voc_object(" ", 1, 1, 5, 9), "object 1 with xmin, ymin, xmax, ymax = 1, 1, 5, 9 has no class name"),
    (voc_object("dog", 1, 1, "x", 9), "ymax = 1, 1, x, 9 does not have four finite coordinates"),
    (voc_object("dog", 1, 1, "nan", 9), "1, 1, nan, 9 does not have"),
    ("<object><name>dog</name></object>", "nothing, nothing does not have"),
])  # fmt: skip
def test_bad_annotations(objects, message):
    kept, notes = parse_annotation(annotation(objects), (10, 10))
    assert kept == []
    assert len(notes) == 1
    assert message in notes[0] and notes[0].endswith(", dropped")


def test_split_file_with_a_second_column(tmp_path):
    make_voc(tmp_path, {})
    (tmp_path / "ImageSets/Main/train.txt").write_text("a  1\nb -1\n\n")
    assert read_split(tmp_path, "train") == ["a", "b"]


def test_split_file_of_names_with_blanks(tmp_path):
    make_voc(tmp_path, {})
    text = "\ufeffa cat 1\nb 2\nüb er -1\nc\t0\nd\n"
    (tmp_path / "ImageSets/Main/train.txt").write_text(text, encoding="utf-8")
    assert read_split(tmp_path, "train") == ["a cat", "b 2", "üb er", "c", "d"]


def test_unreadable_encodings(tmp_path):
    make_voc(tmp_path, {"train": ["a"]})
    for encoding in ("nonsense", "utf-32"):
        (tmp_path / "Annotations/a.xml").write_text(f'<?xml version="1.0" encoding="{encoding}"?><annotation/>')
        with pytest.raises(InputError, match=r"a\.xml: not XML"):
            read_voc(tmp_path, "train")
    (tmp_path / "ImageSets/Main/train.txt").write_bytes("ü".encode("latin-1"))
    with pytest.raises(InputError, match=r"train\.txt: not UTF-8"):
        read_split(tmp_path, "train")


# -- as other tools write it


def test_labelimg_writes_xml_beside_the_picture(tmp_path):
    picture(tmp_path / "a.PNG")
    write(tmp_path / "a.xml", f"<annotation><filename>a.PNG</filename>{voc_object('dog', 1, 2, 20.5, 30)}</annotation>")
    picture(tmp_path / "sub/b.jpeg")
    write(tmp_path / "sub/b.xml", "<annotation/>")
    picture(tmp_path / "c.jpg")
    images, notes = read_voc(tmp_path)
    assert images == [
        annotated(tmp_path / "a.PNG", ("dog", (0, 1, 20.5, 30), 0)),
        annotated(tmp_path / "sub/b.jpeg"),
    ]
    assert notes == [Note(str(tmp_path / "c.jpg"), "has no annotation", "left out")]


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
    images, notes = read_voc(tmp_path, "default")
    assert images == [annotated(tmp_path / "JPEGImages/sub/a.png", ("dog", (0.5, 0, 9.25, 9), 0))]
    assert notes == []


def test_the_nearest_picture_of_a_name_is_taken(tmp_path):
    """Names repeat in the folders of two splits, whose annotations are apart from the pictures."""
    for split, size in (("train", (40, 30)), ("test", (50, 30))):
        picture(tmp_path / split / "images/1.jpg", size)
        write(tmp_path / split / "annotations/1.xml", "<annotation/>")
        picture(tmp_path / "pictures" / split / "2.jpg", size)
        write(tmp_path / "labels" / split / "2.xml", "<annotation><filename>2.jpg</filename></annotation>")
    images, notes = read_voc(tmp_path)
    assert notes == []
    assert paths(images) == [
        str(tmp_path / name)
        for name in ("pictures/test/2.jpg", "pictures/train/2.jpg", "test/images/1.jpg", "train/images/1.jpg")
    ]


def test_a_picture_belongs_to_the_nearest_of_its_annotations(tmp_path):
    """1.jpg is missing in test: its annotation must not get the training picture of that name."""
    picture(tmp_path / "train/1.jpg")
    for split in ("test", "train"):
        write(tmp_path / split / "1.xml", f"<annotation>{voc_object(split, 1, 1, 9, 9)}</annotation>")
        write(tmp_path / split / "ann/1.json", {"objects": []})
    images, notes = read_voc(tmp_path)
    assert (paths(images), names(images)) == ([str(tmp_path / "train/1.jpg")], [["train"]])
    assert notes == [Note(str(tmp_path / "test/1.xml"), f"no picture of this name in {tmp_path}", "left out")]
    assert read_supervisely(tmp_path)[1] == [
        Note(str(tmp_path / "test/ann/1.json"), f"no picture of this name in {tmp_path}", "left out")
    ]


def test_a_split_file_names_a_picture_in_its_folder(tmp_path):
    folder = make_voc(tmp_path / "voc", {"train": ["a", "b"]})
    (folder / "JPEGImages/sub").mkdir()
    (folder / "JPEGImages/b.jpg").rename(folder / "JPEGImages/sub/b.jpg")
    images, notes = read_voc(folder, "train")
    assert paths(images) == [str(folder / "JPEGImages/a.jpg")]
    assert list(map(str, notes)) == [f"{folder / 'JPEGImages/b.jpg'}: no such picture, left out"]
