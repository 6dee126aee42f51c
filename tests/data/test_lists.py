import json
import os

import numpy as np
import pytest
from PIL import Image

from ssd.data import read_data_list, write_data_lists
from ssd.data.lists import cache_file, label_images
from ssd.errors import InputError
from tests.helpers.annotations import annotated, crowd
from tests.helpers.voc_folders import data_list, entries

ENTRY = {"size": [10, 20], "boxes": [[1, 2, 3, 4.5]], "labels": [1], "difficulties": [0]}
CROWDS = ENTRY | {"crowds": [[0, 0, 10, 5.5], [0, 10, 10, 20]], "crowd_labels": [1, 0]}


def test_unknown_class_is_named():
    images = [annotated("w.jpg", ("dog", (0, 0, 1, 1), 0)), annotated("x.jpg", ("unicorn", (0, 0, 1, 1), 0))]
    with pytest.raises(InputError, match="unknown class unicorn .*x.jpg.*cat, dog"):
        label_images(images, ("cat", "dog"))


def test_data_lists_round_trip(tmp_path):
    names = ("b", "a")
    write_data_lists(tmp_path, train=data_list(["x.jpg"], [ENTRY], names), test=data_list([], [], names))
    train = read_data_list(tmp_path, "TRAIN")
    assert entries(train) == [ENTRY]
    assert train.class_names == ("b", "a")
    assert train.label_map == {"background": 0, "b": 1, "a": 2}
    assert train.paths[0].endswith("x.jpg")
    assert read_data_list(tmp_path, "test").paths == []
    with pytest.raises(InputError, match="VAL_images.json: no such data list; .* with --val-fraction or --val writes"):
        read_data_list(tmp_path, "val")
    label_map = tmp_path / "label_map.json"
    label_map.write_text('\ufeff{"background": 0, "é": 1, "a": 2}', encoding="utf-8")  # as some editors save it
    assert read_data_list(tmp_path, "test").class_names == ("é", "a")


def test_crowds_in_data_lists(tmp_path):
    write_data_lists(tmp_path, train=data_list("xyz", [ENTRY, CROWDS, ENTRY], ("a", "b")))
    written = json.loads((tmp_path / "TRAIN_objects.json").read_text())
    assert written == [ENTRY, CROWDS, ENTRY]
    data = read_data_list(tmp_path, "train")
    assert entries(data) == written
    assert entries(data.subset([1, 0])) == [CROWDS, ENTRY]
    assert data.crowds.tolist() == CROWDS["crowds"] and data.crowd_offsets.tolist() == [0, 0, 2, 2]


def test_crowds_without_labels_are_of_any_class(tmp_path):
    write_data_lists(tmp_path, train=data_list("x", [ENTRY], ("a", "b")))
    entry = ENTRY | {"crowds": CROWDS["crowds"]}
    (tmp_path / "TRAIN_objects.json").write_text(json.dumps([entry]))
    assert read_data_list(tmp_path, "train").crowd_labels.tolist() == [0, 0]


def test_crowds_are_no_objects_of_a_data_list():
    image = annotated("w.jpg", ("dog", (0, 0, 1, 1), 0))
    image.objects.insert(0, crowd("cat", (0, 0, 9, 9)))
    data = label_images([image], ("cat", "dog"))
    assert entries(data) == [
        {"size": [40, 30], "boxes": [[0, 0, 1, 1]], "labels": [2], "difficulties": [0]}
        | {"crowds": [[0, 0, 9, 9]], "crowd_labels": [1]}
    ]


@pytest.mark.parametrize("name, content, message", [
    ("TRAIN_images.json", None, "no such data list"),
    ("TRAIN_images.json", "[", "not JSON"),
    ("TRAIN_images.json", "{}", "holds a dict, a list is expected"),
    ("TRAIN_images.json", '["a", "b"]', "2 entries, TRAIN_objects.json has 1"),
    ("TRAIN_objects.json", "[{}]", "entry 0 must hold size"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "labels": []}]), "each box a label"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "labels": [2]}]), "label from 1 to 1"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "boxes": [[1, 2, 3]]}]), "boxes of four"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "size": [1e300, 20]}]), "a size of two finite numbers"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "size": [20, float("nan")]}]), "a size of two finite numbers"),
    ("TRAIN_objects.json", json.dumps([ENTRY])[:-1], "not JSON"),
    ("TRAIN_objects.json", json.dumps([ENTRY]) + "]", "not JSON"),
    ("TRAIN_objects.json", json.dumps(ENTRY), "holds a dict, a list is expected"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "crowds": [[1, 2, 3]]}]), "crowds are boxes too"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "crowds": [[1, 2, float("nan"), 4]]}]), "crowds are boxes too"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "crowds": 3}]), "crowds are boxes too"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "crowds": [[1, 2, 3, 4]], "crowd_labels": []}]), "labels may be 0"),
    ("TRAIN_objects.json", json.dumps([{**ENTRY, "crowds": [[1, 2, 3, 4]], "crowd_labels": [2]}]), "labels may be 0"),
    ("label_map.json", '{"background": 0, "a": 2}', "labels must be 0"),
    ("label_map.json", '{"background": 1, "a": 0}', "labels must be 0"),
    ("label_map.json", '{"a": 0, "b": 1}', "labels must be 0"),
])  # fmt: skip
def test_bad_data_lists(tmp_path, name, content, message):
    write_data_lists(tmp_path, train=data_list(["x.jpg"], [ENTRY], ("a",)))
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_data_list(tmp_path, "train")


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """The path of the copy of data lists, which has been written because any list counts as a large one."""
    monkeypatch.setattr("ssd.data.list_cache.LEAST_SIZE", 0)
    write_data_lists(tmp_path, train=data_list("xyz", [ENTRY, CROWDS, ENTRY], ("a", "b")))
    assert entries(read_data_list(tmp_path, "train")) == [ENTRY, CROWDS, ENTRY]
    return cache_file(tmp_path, "train")


def change(cached, **arrays):
    """Write other arrays into a copy of data lists."""
    with np.load(cached) as file:
        arrays = {**file, **arrays}
    np.savez(cached, **arrays)


def test_large_lists_are_read_from_their_copy(cached):
    data = read_data_list(cached.parent, "train")
    assert entries(data) == [ENTRY, CROWDS, ENTRY] and [path[-1] for path in data.paths] == ["x", "y", "z"]
    change(cached, difficulties=~data.difficulties)
    assert read_data_list(cached.parent, "train").difficulties.all()  # nothing else was read


def test_a_copy_belongs_to_the_contents_of_the_lists(cached):
    (cached.parent / "TRAIN_objects.json").write_text(json.dumps([CROWDS, ENTRY, ENTRY]))
    assert entries(read_data_list(cached.parent, "train")) == [CROWDS, ENTRY, ENTRY]
    change(cached, difficulties=np.ones(3, bool))  # the new copy
    assert read_data_list(cached.parent, "train").difficulties.all()
    (cached.parent / "label_map.json").write_text('{"background": 0, "b": 1, "a": 2}')
    assert not read_data_list(cached.parent, "train").difficulties.any()
    write_data_lists(cached.parent, test=data_list("x", [ENTRY], ("a",)))
    assert not cached.exists()


@pytest.mark.parametrize("damage", [
    lambda cached: cached.write_bytes(b""),
    lambda cached: cached.write_bytes(cached.read_bytes()[:-99]),
    lambda cached: cached.write_bytes(cached.read_bytes().replace(b"\x40", b"\x41")),  # numbers of boxes
    lambda cached: change(cached, labels=np.array([1, 3, 1])),  # a label without a class
    lambda cached: change(cached, labels=np.array([1.0, 1, 1])),
    lambda cached: change(cached, labels=np.array([1])),
    lambda cached: change(cached, labels=np.array([print] * 3)),  # a pickle, which would run
    lambda cached: change(cached, offsets=np.array([0, 2, 1, 3])),
    lambda cached: change(cached, others=np.array([])),
    lambda cached: np.savez_compressed(cached, **np.load(cached)),  # a few bytes could become any number
])  # fmt: skip
def test_a_damaged_copy_is_made_anew(cached, damage):
    intact = cached.read_bytes()
    damage(cached)
    assert cached.read_bytes() != intact
    assert entries(read_data_list(cached.parent, "train")) == [ENTRY, CROWDS, ENTRY]
    assert len(cached.read_bytes()) == len(intact)


def test_lists_in_a_folder_that_cannot_be_written_to(cached, monkeypatch):
    cached.unlink()
    monkeypatch.setattr("ssd.files.os.replace", refuse)
    assert entries(read_data_list(cached.parent, "train")) == [ENTRY, CROWDS, ENTRY]
    assert sorted(path.suffix for path in cached.parent.iterdir()) == [".json"] * 3


@pytest.mark.parametrize("make", [os.mkdir, getattr(os, "mkfifo", os.mkdir)])
def test_no_copy_replaces_what_is_no_file(cached, make):
    cached.unlink()
    make(cached)
    data = read_data_list(cached.parent, "train")  # which does not wait for a reader of the pipe
    assert entries(data) == [ENTRY, CROWDS, ENTRY] and not cached.is_file()
    write_data_lists(cached.parent, train=data)


def refuse(*_):
    raise PermissionError(13, "Permission denied")


def test_a_small_list_has_no_copy(tmp_path):
    write_data_lists(tmp_path, train=data_list("x", [ENTRY], ("a",)))
    read_data_list(tmp_path, "train")
    assert not cache_file(tmp_path, "train").exists()


def tutorials_lists(folder, *entries):
    """Data lists as the tutorial writes them, of pictures with 10 x 20 pixels."""
    for k in range(len(entries)):
        Image.new("RGB", (10, 20)).save(folder / f"{k}.png")
    contents = {
        "TRAIN_images": [str(folder / f"{k}.png") for k in range(len(entries))],
        "TRAIN_objects": entries,
        "label_map": {"a": 1, "b": 2, "background": 0},
    }
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content))


def test_the_tutorials_lists(tmp_path, capsys):
    """VOC's 1-based box 2 3 10 20 is 1 2 9 19 there and 1 2 10 20 here; one without width in VOC is dropped."""
    objects = {"boxes": [[1, 2, 9, 19], [3, 3, 3, 8], [-1, 0, 0, 5]], "labels": [2, 1, 1], "difficulties": [1, 0, 0]}
    tutorials_lists(tmp_path, objects, {"boxes": [], "labels": [], "difficulties": []})
    data = read_data_list(tmp_path, "train")
    assert entries(data) == [
        {"size": [10, 20], "boxes": [[1, 2, 10, 20], [0, 0, 1, 6]], "labels": [2, 1], "difficulties": [1, 0]},
        {"size": [10, 20], "boxes": [], "labels": [], "difficulties": []},
    ]
    said = f"{tmp_path / 'TRAIN_objects.json'}: a list of the tutorial; the sizes are read from the pictures"
    assert said in capsys.readouterr().err
    assert entries(read_data_list(tmp_path, "train")) == entries(data)
    assert "tutorial" not in capsys.readouterr().err  # it was said


def test_one_process_of_several_says_so(tmp_path, capsys, monkeypatch):
    tutorials_lists(tmp_path, {"boxes": [[1, 2, 9, 19]], "labels": [2], "difficulties": [1]})
    monkeypatch.setenv("RANK", "1")  # as torchrun does
    assert entries(read_data_list(tmp_path, "train"))[0]["boxes"] == [[1, 2, 10, 20]]
    assert capsys.readouterr().err == ""


def test_damaged_lists_of_the_tutorial(tmp_path):
    tutorials_lists(tmp_path, {"boxes": [[1, 2, 3]], "labels": [1], "difficulties": [0]})
    with pytest.raises(InputError, match="entry 0 must hold a size of two finite numbers, boxes of four"):
        read_data_list(tmp_path, "train")
    (tmp_path / "TRAIN_objects.json").write_text('[{"boxes": [], "labels": []}]')
    with pytest.raises(InputError, match="entry 0 must hold size, boxes, labels and difficulties"):
        read_data_list(tmp_path, "train")


def test_the_tutorials_lists_without_a_picture(tmp_path):
    tutorials_lists(tmp_path, {"boxes": [[1, 2, 3, 4]], "labels": [1], "difficulties": [0]})
    (tmp_path / "0.png").unlink()
    with pytest.raises(InputError, match=r"0\.png: no such picture"):
        read_data_list(tmp_path, "train")
