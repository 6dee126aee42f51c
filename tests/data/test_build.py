"""Data sets of any format as splits: read, divided, checked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.data.build import check_splits, divide, read_classes, read_published, read_splits
from ssd.errors import InputError
from tests.helpers.annotations import annotated, names, paths
from tests.helpers.voc_folders import make_voc, voc_object


@given(n=st.integers(2, 60), fraction=st.floats(0.01, 0.99), seed=st.integers(0, 5))
@settings(max_examples=30)
def test_division(n, fraction, seed):
    images = [annotated(f"{k:03d}.jpg", (str(k), (0, 0, 1, 1), 0)) for k in range(n)]
    splits = divide(images, fraction, seed)
    assert sorted(splits["train"] + splits["test"]) == images
    assert len(splits["test"]) == min(max(round(n * fraction), 1), n - 1)
    shuffled = [images[k] for k in np.random.default_rng(n).permutation(n)]
    assert divide(shuffled, fraction, seed) == splits


def test_the_seed_divides_in_another_way():
    images = [annotated(str(k)) for k in range(50)]
    assert divide(images, 0.5, 0) != divide(images, 0.5, 1)
    with pytest.raises(InputError, match="1 images cannot be divided"):
        divide(images[:1], 0.5, 0)


def test_a_data_set_without_the_command(tmp_path):
    objects = voc_object("dog", 1, 1, 9, 9) + voc_object("Dog", 1, 1, 9, 9) + voc_object("cat", 5, 5, 5, 5)
    folder = make_voc(tmp_path, {"trainval": ["a", "b"], "test": ["c"]}, objects)
    splits, notes = read_splits("voc", folder)
    assert {split: len(images) for split, images in splits.items()} == {"train": 2, "test": 1}
    assert [note.action for note in notes] == ["dropped"] * 3
    checked, class_names, more_notes = check_splits(splits, notes, workers=1)
    assert class_names == ("Dog",)  # as often as "dog", and first in the alphabet
    assert {split: names(images) for split, images in checked.items()} == {"train": [["Dog"]] * 2, "test": [["Dog"]]}
    assert [note.action for note in more_notes] == ["dropped"] * 3 + ["renamed"] + ["dropped"] * 3
    kept, class_names, _ = check_splits(splits, class_names=("cat", "dog", "Dog"), keep_duplicates=True)
    assert (kept, class_names) == (splits, ("cat", "dog", "Dog"))
    divided, _ = read_splits("voc", folder, train="trainval", test_fraction=0.5)
    assert sorted(paths(divided["train"] + divided["test"])) == paths(splits["train"])
    assert read_published(folder, folder)[0] == {"train": splits["train"] * 2, "test": splits["test"]}


def test_class_names(tmp_path):
    assert read_classes("a, b,traffic light") == ("a", "b", "traffic light")
    (tmp_path / "names.txt").write_text("b\n\n a \n")
    assert read_classes(str(tmp_path / "names.txt")) == ("b", "a")
    for text in ("", ",", "a,a"):
        with pytest.raises(InputError, match="once"):
            read_classes(text)
