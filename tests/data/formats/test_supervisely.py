"""Reading annotations in Supervisely's format."""

from ssd.data.formats.supervisely import read_supervisely
from tests.helpers.annotations import annotated, lists, picture, write
from tests.helpers.voc_folders import entries


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
    images, notes = read_supervisely(tmp_path, "train")
    rows = ("dog", (0, 1, 10, 30), 1), ("dog", (0, 1, 10, 30), 0), ("dog", (2, 1, 10, 9), 0)
    assert images == [annotated(tmp_path / "train/img/a.jpg", *rows, n_dropped=1)]
    assert len(notes) == 1
    assert "a.jpg.json: object 4 (dog) with 'bitmap' None does not have four" in str(notes[0])
    train, test = lists("--supervisely", tmp_path, output=tmp_path / "lists")
    assert test.paths == [str(tmp_path / "val/img/a.jpg")]
    assert entries(train)[0]["labels"] == [1, 1]  # two are equal
