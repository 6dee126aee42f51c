"""What the readers of all formats share."""

import os

import numpy as np
import pytest
from PIL import Image, ImageOps

from ssd.data.formats import records
from ssd.data.formats.records import AnnotatedObject, Note, RawObject, check_objects, read_image, read_images, upright
from tests.helpers.annotations import annotated, picture


def test_objects_are_checked_one_by_one():
    rows = [
        RawObject(" dog ", (1, 2, 9.0000001, 8), False, "box A"),
        RawObject(None, (1, 2, 9, 8), False, "box B"),
        RawObject("dog", (1, 2, float("inf"), 8), False, "box C"),
        RawObject("dog", (5, 2, 5, 8), False, "box D"),
        RawObject("dog", (9, 2, 5, 8), False, "box E"),
        RawObject("cat", (-3, 2, 12, 8), True, "box F"),
        RawObject("cat", (1, 2, 10.4, 8), True, "box G"),
        RawObject("cat", (11, 2, 14, 8), True, "box H"),
        RawObject("cat", (-1e30, 0, 1e30, 2**70), True, "box I"),
    ]
    checked, notes = check_objects("a.xml", (10, 8), rows)
    assert checked == [
        AnnotatedObject("dog", (1, 2, 9, 8)),
        AnnotatedObject("cat", (0, 2, 10, 8), difficult=True),
        AnnotatedObject("cat", (1, 2, 10, 8), difficult=True),
        AnnotatedObject("cat", (0, 0, 10, 8), difficult=True),
    ]
    assert [str(note).removeprefix("a.xml: ") for note in notes] == [
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

    row = RawObject("dog", (5, 10, 25, 18), False, "a box")
    turned, notes = read_image("a.xml", tmp_path / "a.png", lambda size: ([row], (60, 40)))
    assert turned == annotated(tmp_path / "a.png", ("dog", seen, 0), size=(40, 60))
    what = "annotated as 60 x 40 pixels, but the picture has 40 x 60, because its EXIF orientation rotates it"
    assert notes == [Note("a.xml", what, "boxes turned")]
    kept, notes = read_image("a.xml", tmp_path / "a.png", lambda size: ([row], (61, 40)))
    assert notes == [Note("a.xml", "annotated as 61 x 40 pixels, but the picture has 40 x 60", "boxes kept")]
    assert kept.objects == [AnnotatedObject("dog", (5, 10, 25, 18))]
    upright_row = row._replace(box=seen)
    for size in ((40, 60), (0, 0), None):
        assert read_image("a.xml", tmp_path / "a.png", lambda _, size=size: ([upright_row], size)) == (turned, [])


def test_another_size_is_named(tmp_path):
    row = RawObject("dog", (5, 10, 25, 18), False, "a box")
    kept, notes = read_image("a.xml", picture(tmp_path / "a.png"), lambda size: ([row], (30, 40)))
    assert kept == annotated(tmp_path / "a.png", ("dog", (5, 10, 25, 18), 0))
    assert notes == [Note("a.xml", "annotated as 30 x 40 pixels, but the picture has 40 x 30", "boxes kept")]


def test_words_of_notes():
    assert str(Note("a.xml", "object 1 has no area", "dropped")) == "a.xml: object 1 has no area, dropped"
    assert str(Note("a.jpg", "no such picture", "left out")) == "a.jpg: no such picture, left out"
    assert Note("a.xml", "object 1 has no area", "dropped").problem == "a.xml: object 1 has no area"


def by_this_process(size):
    return [RawObject(str(os.getpid()), (0.0, 0.0, 4.0, 4.0), False, "box")], None


def test_many_images_are_read_by_other_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MANY", 3)
    monkeypatch.setattr(records, "BATCH", 2)
    paths = [picture(tmp_path / f"{k}.jpg", (8, 8)) for k in range(4)]
    paths[2].write_bytes(b"no picture")
    images, notes = read_images([(path, path, by_this_process) for path in paths], "pictures")
    assert [image.path for image in images] == [str(paths[k]) for k in (0, 1, 3)]
    assert [note.where for note in notes] == [str(paths[2])]
    assert str(os.getpid()) not in {image.objects[0].name for image in images}
