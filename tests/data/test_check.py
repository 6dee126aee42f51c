"""The checks of a data set."""

import os
from time import sleep

import pytest
from PIL import Image

from ssd.commands import data as create_data_lists
from ssd.data import read_data_list
from ssd.data.check import (
    drop_duplicates,
    drop_repeats,
    drop_undecodable,
    drop_unknown,
    keep_single,
    merge_spellings,
)
from ssd.errors import InputError
from tests.helpers.annotations import annotated, crowd, names
from tests.helpers.voc_folders import entries, make_voc, voc_object


def named(path, *names, boxes=None, size=(40, 30)):
    boxes = boxes or [(0, 0, k + 1, 5) for k in range(len(names))]
    return annotated(path, *((name, box, 0) for name, box in zip(names, boxes, strict=True)), size=size)


def names_of(splits):
    return {split: names(images) for split, images in splits.items()}


# -- pictures


def test_pictures_that_cannot_be_decoded(tmp_path):
    Image.effect_noise((40, 30), 50).save(tmp_path / "good.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "good.jpg").read_bytes()[:400])
    images = [named(tmp_path / name, "a") for name in ("cut.jpg", "good.jpg", "gone.jpg", "good.jpg")]
    images[3] = images[3]._replace(size=(30, 40))
    kept, notes = drop_undecodable({"train": images, "test": images[1:2]}, workers=2)
    assert kept == {"train": [images[1]], "test": [images[1]]}
    assert len(notes) == 3
    for note, start in zip(
        notes, ("cut.jpg: ", "gone.jpg: no such picture", "good.jpg: has 40 x 30 pixels"), strict=True
    ):
        assert start in str(note) and note.action == "left out"
    with pytest.raises(InputError, match="cut.jpg.*no image of the list"):
        drop_undecodable({"train": images[:1]}, workers=1)


def test_interrupted_decoding_does_not_go_on(monkeypatch):
    asked = []

    def decoded(path):
        asked.append(path)
        sleep(0.005)
        return Image.new("RGB", (40, 30))

    def interrupted(items, **options):
        yield next(iter(items))
        raise KeyboardInterrupt

    monkeypatch.setattr("ssd.data.check.load_image", decoded)
    monkeypatch.setattr("ssd.data.check.tqdm", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drop_undecodable({"train": [named(f"{k}.jpg", "dog") for k in range(300)]}, workers=1)
    assert len(asked) < 200


def test_damaged_pictures_are_left_out_unless_not_verified(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a", "b"], "test": ["c"]}, voc_object("dog", 1, 1, 9, 9))
    path = folder / "JPEGImages/b.jpg"
    Image.effect_noise((40, 30), 50).save(path)
    path.write_bytes(path.read_bytes()[:400])
    args = ["--voc", str(folder), "--output", str(tmp_path / "lists"), "--workers", "2"]
    assert create_data_lists.main(args) == 0
    assert read_data_list(tmp_path / "lists", "train").paths == [str(folder / "JPEGImages/a.jpg")]
    text = (tmp_path / "lists/report.txt").read_text()
    assert f"{path}: " in text and "1 left out" in text
    assert f"{path}: " in capsys.readouterr().out
    assert create_data_lists.main([*args, "--no-verify"]) == 0
    assert len(read_data_list(tmp_path / "lists", "train").paths) == 2


# -- names


def test_spellings_are_merged():
    splits = {
        "train": [named("a", "Traffic Light", "dog"), named("b", "trafficlight ", "Dog", "traffic light")],
        "test": [named("c", "traffic light", "dog")],
    }
    merged, notes = merge_spellings(splits)
    assert names_of(merged) == {
        "train": [["traffic light", "dog"], ["traffic light", "dog", "traffic light"]],
        "test": [["traffic light", "dog"]],
    }
    assert sorted(map(str, notes)) == [
        'a: "Traffic Light" (here first, 1 object) differs from "traffic light" only in case or blanks, renamed',
        'b: "Dog" (here first, 1 object) differs from "dog" only in case or blanks, renamed',
        'b: "trafficlight " (here first, 1 object) differs from "traffic light" only in case or blanks, renamed',
    ]
    assert names_of(splits)["test"] == [["traffic light", "dog"]]
    assert names_of(splits)["train"][1][1] == "Dog"  # the argument is left as it was


def test_given_names_are_the_spelling():
    splits = {"train": [named("a", "A", "a", "B", "b", "c")]}
    merged, notes = merge_spellings(splits, ("a", "A", "b", "C"))  # letters, big and small: both are wanted
    assert names_of(merged) == {"train": [["A", "a", "b", "b", "C"]]}
    assert len(notes) == 2
    assert merge_spellings(splits, ("A", "B", "C", "a", "b", "c")) == (splits, [])


def test_unknown_names_are_dropped():
    splits = {"train": [named("x", "a"), named("y", "b", "a", "c")], "test": [named("z", "b")]}
    kept, notes = drop_unknown(splits, ("a",))
    assert names_of(kept) == {"train": [["a"], ["a"]], "test": [[]]}
    assert kept["train"][1].objects[0].box == (0, 0, 2, 5)
    assert list(map(str, notes)) == [
        'y: "b" (here first, 2 objects) is none of the classes, dropped',
        'y: "c" (here first, 1 object) is none of the classes, dropped',
    ]


# -- repeats


def test_duplicates_are_dropped():
    box, other = (1, 2, 3.5, 4), (1, 2, 3.5, 5)
    splits = {"train": [named("x", "a", "b", "a", "a", "a", boxes=[box, box, other, box, box])]}
    kept, notes = drop_duplicates(splits)
    assert names_of(kept) == {"train": [["a", "b", "a"]]}
    assert [each.box for each in kept["train"][0].objects] == [box, box, other]
    assert (
        list(map(str, notes)) == ["x: a with x_min, y_min, x_max, y_max = 1, 2, 3.5, 4 is there already, dropped"] * 2
    )


def test_the_published_sets_keep_their_duplicates(tmp_path):
    names = {"trainval": ["a"], "test": ["b"]}
    folder = make_voc(tmp_path / "voc", names, 2 * voc_object("dog", 1, 1, 9, 9))
    for option, n_objects in (("--voc07", 2), ("--voc", 1)):
        assert create_data_lists.main([option, str(folder), "--output", str(tmp_path / "lists")]) == 0
        assert len(entries(read_data_list(tmp_path / "lists", "test"))[0]["labels"]) == n_objects


def test_images_listed_twice(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    os.symlink(tmp_path / "a.jpg", tmp_path / "link.jpg")
    a, b, c, link = (named(tmp_path / f"{name}.jpg", name) for name in ("a", "b", "c", "link"))
    splits = {"train": [a, b, link], "test": [c, b]}
    kept, notes = drop_repeats(splits)
    assert kept == {"train": [a, b], "test": [c, b]}
    assert list(map(str, notes)) == [
        f"{link.path}: is in the train list already, left out",
        f"{b.path}: is in the train list too, so results on it mean nothing, kept",
    ]


def test_many_notes_are_cut_on_the_terminal(tmp_path, capsys):
    objects = voc_object("dog", 1, 1, 9, 9) + 30 * voc_object("dog", 5, 5, 5, 5)
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, objects)
    assert create_data_lists.main(["--voc", str(folder), "--output", str(tmp_path / "lists")]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert sum("no area" in line for line in printed) == 20
    assert printed[20] == "and 40 more like these in the report: 60 dropped in all"
    assert (tmp_path / "lists/report.txt").read_text().count("no area") == 60


# -- one object in a picture


def test_pictures_with_one_object():
    train = [named("a", "dog"), named("b"), named("c", "dog", "cat"), named("d", "cat")]
    with_crowd = named("e", "dog")
    with_crowd.objects.append(crowd("dog", (0, 0, 9, 9)))
    only_crowd = named("f")._replace(objects=with_crowd.objects[1:])
    kept, notes = keep_single({"train": [*train, with_crowd, only_crowd], "test": train[3:]})
    assert kept == {"train": [train[0], train[3]], "test": train[3:]}
    assert list(map(str, notes)) == ["train list: 4 of 6 images do not have exactly one object, left out"]
    with pytest.raises(InputError, match="no image of the test list has exactly one object; leave out --one-object"):
        keep_single({"train": train, "test": train[1:3]})


def test_the_option_for_one_object(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a", "b", "d"], "test": ["c"]}, voc_object("dog", 1, 1, 9, 9) * 2)
    for name, second in (("a", voc_object("cat", 1, 1, 9, 9)), ("d", voc_object("cat", 5, 5, 1, 1))):  # no area
        annotation = f"<annotation>{voc_object('dog', 1, 1, 9, 9)}{second}</annotation>"
        (folder / f"Annotations/{name}.xml").write_text(annotation)
    args = ["--voc", str(folder), "--output", str(tmp_path / "lists")]
    for option, n_images in (((), 3), (("--one-object",), 1)):
        assert create_data_lists.main([*args, *option]) == 0
        assert len(read_data_list(tmp_path / "lists", "train")) == n_images
    assert "train list: 2 of 3 images do not have exactly one object, left out" in capsys.readouterr().out
