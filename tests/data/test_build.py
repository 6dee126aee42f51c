"""Data sets of any format as splits: read, divided, checked."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.data.build import DataSource, check_splits, divide, read_classes, read_published, read_splits
from ssd.errors import InputError
from tests.helpers.annotations import annotated, names, paths, picture, write
from tests.helpers.voc_folders import make_voc, voc_object


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_division(n, fraction, seed):
    images = [annotated(f"{k:03d}.jpg", (str(k), (0, 0, 1, 1), 0)) for k in range(n)]
    splits = divide(images, {"test": fraction}, seed)
    assert sorted(splits["train"] + splits["test"]) == images
    assert len(splits["test"]) == min(max(round(n * fraction), 1), n - 1)
    shuffled = [images[k] for k in np.random.default_rng(n).permutation(n)]
    assert divide(shuffled, {"test": fraction}, seed) == splits


@given(n=st.integers(3, 60), test=st.floats(0.01, 0.98), share=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_division_in_three(n, test, share, seed):
    images = [annotated(f"{k:03d}.jpg", (str(k), (0, 0, 1, 1), 0)) for k in range(n)]
    splits = divide(images, {"val": (1 - test) * share, "test": test}, seed)
    assert sorted([image for part in splits.values() for image in part]) == images
    assert all(splits[split] for split in ("train", "val", "test"))
    if round(n * test) <= n - 2:
        assert splits["test"] == divide(images, {"test": test}, seed)["test"]


def test_the_seed_divides_in_another_way():
    images = [annotated(str(k)) for k in range(50)]
    assert divide(images, {"test": 0.5}, 0) != divide(images, {"test": 0.5}, 1)
    for fractions in ({"test": 0.5}, {"test": 0.5, "val": 0.1}):
        n = len(fractions)
        with pytest.raises(InputError, match=f"{n} images cannot be divided: at least {n + 1}"):
            divide(images[:n], fractions, 0)


def test_a_data_set_without_the_command(tmp_path):
    objects = voc_object("dog", 1, 1, 9, 9) + voc_object("Dog", 1, 1, 9, 9) + voc_object("cat", 5, 5, 5, 5)
    folder = make_voc(tmp_path, {"trainval": ["a", "b"], "test": ["c"]}, objects)
    splits, notes = read_splits(DataSource("voc", folder))
    assert {split: len(images) for split, images in splits.items()} == {"train": 2, "test": 1}
    assert [note.action for note in notes] == ["dropped"] * 3
    checked, class_names, more_notes = check_splits(splits, notes, workers=1)
    assert class_names == ("Dog",)  # as often as "dog", and first in the alphabet
    assert {split: names(images) for split, images in checked.items()} == {"train": [["Dog"]] * 2, "test": [["Dog"]]}
    assert [note.action for note in more_notes] == ["dropped"] * 3 + ["renamed"] + ["dropped"] * 3
    kept, class_names, _ = check_splits(splits, class_names=("cat", "dog", "Dog"), keep_duplicates=True)
    assert (kept, class_names) == (splits, ("cat", "dog", "Dog"))
    divided, _ = read_splits(DataSource("voc", folder), {"train": "trainval"}, {"test": 0.5})
    assert sorted(paths(divided["train"] + divided["test"])) == paths(splits["train"])
    assert read_published(folder, folder)[0] == {"train": splits["train"] * 2, "test": splits["test"]}
    published, _ = read_published(folder, val_fraction=0.1)
    assert list(published) == ["train", "val", "test"]
    assert sorted(paths(published["train"] + published["val"])) == paths(splits["train"])
    assert published["test"] == splits["test"]


def voc_of_three(folder):
    make_voc(folder, {"train": ["a", "b"], "val": ["c"], "trainval": ["a", "b", "c"], "test": ["d"]})


def folders_of_three(folder):
    for split, name in (("train", "a"), ("train", "b"), ("valid", "c"), ("test", "d")):
        picture(folder / split / f"{name}.jpg")
        write(folder / split / f"{name}.xml", f"<annotation>{voc_object('dog', 1, 1, 9, 9)}</annotation>")


def coco_of_three(folder):
    for split, name in (("train", "ab"), ("val", "c"), ("test", "d")):
        images = [{"id": letter, "file_name": f"{letter}.jpg", "width": 40, "height": 30} for letter in name]
        for image in images:
            picture(folder / split / image["file_name"])
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "dog"}]}
        write(folder / f"annotations/instances_{split}.json", content)


def yolo_of_three(folder):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")):
        picture(folder / f"images/{split}/{name}.jpg")
        write(folder / f"labels/{split}/{name}.txt", "")
    write(folder / "data.yaml", "names: [dog]")


def supervisely_of_three(folder):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c"), ("test", "d")):
        picture(folder / split / f"img/{name}.jpg")
        content = {"size": {"width": 40, "height": 30}, "tags": [], "objects": []}
        write(folder / split / f"ann/{name}.jpg.json", content)


@pytest.mark.parametrize("kind, make, val", [
    ("voc", voc_of_three, "val"), ("voc", folders_of_three, "valid"), ("coco", coco_of_three, "val"),
    ("yolo", yolo_of_three, "val"), ("supervisely", supervisely_of_three, "val"),
])  # fmt: skip
def test_validation_images_of_every_format(kind, make, val, tmp_path):
    """A split that is named as the validation split is neither the training split nor the test split."""
    make(tmp_path)
    splits, _ = read_splits(DataSource(kind, tmp_path), {"val": val})
    letters = {split: [Path(path).stem for path in paths(images)] for split, images in splits.items()}
    assert letters == {"train": ["a", "b"], "val": ["c"], "test": ["d"]}
    assert list(splits) == ["train", "val", "test"]
    divided, _ = read_splits(DataSource(kind, tmp_path), {"train": "train", "test": "test"}, {"val": 0.5})
    assert list(divided) == ["train", "val", "test"] and len(divided["val"]) == 1
    assert sorted(divided["train"] + divided["val"]) == splits["train"] and divided["test"] == splits["test"]


def test_class_names(tmp_path):
    assert read_classes("a, b,traffic light") == ("a", "b", "traffic light")
    (tmp_path / "names.txt").write_text("b\n\n a \n")
    assert read_classes(str(tmp_path / "names.txt")) == ("b", "a")
    for text in ("", ",", "a,a"):
        with pytest.raises(InputError, match="once"):
            read_classes(text)


@pytest.mark.parametrize("fractions", [{}, {"test": 0.5}])
@pytest.mark.parametrize("file, kind", [
    ("a.xml", "voc"), ("annotations/instances_train.json", "coco"), ("meta.json", "coco"), ("data.yaml", "yolo"),
    ("classes.txt", "yolo"), ("labels/train/a.txt", "yolo"), ("train/ann/a.jpg.json", "supervisely"), ("a.csv", "csv"),
])  # fmt: skip
def test_a_data_set_in_another_format(tmp_path, file, kind, fractions):
    write(tmp_path / file, "")
    if kind == "supervisely":
        write(tmp_path / "meta.json", "{}")
    for other in {"voc", "coco", "yolo", "supervisely", "csv"} - {kind}:
        message = f"^{tmp_path}: looks like a data set for --{kind}, not for --{other}$"
        with pytest.raises(InputError, match=message):
            read_splits(DataSource(other, tmp_path), fractions=fractions)
    with pytest.raises(InputError, match="^(?!.*looks like)"):
        read_splits(DataSource(kind, tmp_path), fractions=fractions)
