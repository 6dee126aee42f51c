"""From a data set in any format to the images of its splits, read, divided and checked."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ssd.data.check import Splits, drop_duplicates, drop_repeats, drop_undecodable, drop_unknown, merge_spellings
from ssd.data.formats.coco import find_coco, read_coco
from ssd.data.formats.records import AnnotatedImage, Note
from ssd.data.formats.supervisely import read_supervisely
from ssd.data.formats.voc import has_split_files, read_voc
from ssd.data.formats.yolo import read_yolo, yolo_splits
from ssd.errors import InputError
from ssd.files import read_text

FORMATS = ("voc", "coco", "yolo", "supervisely")
TRAIN_NAMES = ("train", "trainval", "training")
TEST_NAMES = ("val", "valid", "validation", "test", "testing")  # test sets are often published without annotations


# Reading


def read_annotations(
    kind: str,
    path: str | Path,
    split: str | None = None,
    images_folder: str | Path | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a data set in one of `FORMATS`, and notes, see `ssd.data.formats.records`.

    split: what the format calls it, see its reader; without it, all images. images_folder: where the pictures are, if
    not in the format's own place. class_names: for YOLO, whose files may not name them.
    Raises InputError where the data set or the split is missing, or none of the images can be used.
    """
    if kind == "yolo":
        return read_yolo(path, split, images_folder, class_names)
    readers = {"voc": read_voc, "coco": read_coco, "supervisely": read_supervisely}
    return readers[kind](path, split, images_folder)


def read_splits(
    kind: str,
    path: str | Path,
    train: str | None = None,
    test: str | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
    images_folder: str | Path | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[Splits, list[Note]]:
    """The "train" and "test" images of a data set, and notes.

    train, test: names of the splits, by default the usual ones. test_fraction: test with this share of the training
    split, or of all images where `train` is None, see `divide`. The rest: see `read_annotations`.
    """
    if test_fraction is not None:
        images, notes = read_annotations(kind, path, train, images_folder, class_names)
        return divide(images, test_fraction, seed), notes
    splits, notes = {}, []
    for split, name in zip(("train", "test"), usual_splits(kind, path, train, test), strict=True):
        splits[split], more_notes = read_annotations(kind, path, name, images_folder, class_names)
        notes += more_notes
    return splits, notes


def read_published(voc07: str | Path, voc12: str | Path | None = None) -> tuple[Splits, list[Note]]:
    """VOC2007's trainval, with VOC2012's where it is given, as "train" and VOC2007's test as "test"; and notes."""
    train, notes = read_voc(voc07, "trainval")
    if voc12:
        more, more_notes = read_voc(voc12, "trainval")
        train, notes = train + more, notes + more_notes
    test, more_notes = read_voc(voc07, "test")
    return {"train": train, "test": test}, notes + more_notes


def read_classes(names: str) -> tuple[str, ...]:
    """Class names from "a,b,c" or from the lines of a file. Raises InputError on none, and on one given twice."""
    text = read_text(names) if os.path.isfile(names) else names.replace(",", "\n")
    classes = tuple(name.strip() for name in text.splitlines() if name.strip())
    if not classes or len(set(classes)) < len(classes):
        raise InputError(f"--classes {names}: give each name once, as a,b,c or as a file with one name a line")
    return classes


# Splits


def usual_splits(kind: str, path: str | Path, train: str | None = None, test: str | None = None) -> tuple[str, str]:
    """The names of the training and the test split, found in the data set where they are None.

    VOC's own are trainval and test. Raises InputError where a split is not found.
    """
    if kind == "voc" and (has_split_files(path) or not Path(path).is_dir()):
        return train or "trainval", test or "test"
    if not Path(path).exists():
        raise InputError(f"{path}: no such file or folder")
    if kind == "coco" and not Path(path).is_dir():
        there, train = [], train or str(path)
    else:
        there = _splits(kind, path)
    train = train or next((name for name in TRAIN_NAMES if name in there), None)
    test = test or next((name for name in TEST_NAMES if name in there), None)
    if train is None or test is None:
        missing, known = "training" if train is None else "test", ", ".join(there) or "none"
        raise InputError(
            f"{path}: no {missing} split found (there: {known}); "
            "name both with --train and --test, or divide the images with --test-fraction 0.2"
        )
    return train, test


def _splits(kind: str, path: str | Path) -> list[str]:
    if kind == "coco":
        return list(find_coco(path))
    if kind == "yolo":
        return yolo_splits(path)
    return sorted(folder.name for folder in Path(path).iterdir() if folder.is_dir())


def divide(images: Sequence[AnnotatedImage], test_fraction: float, seed: int) -> Splits:
    """The images as "train" and "test", where "test" has `test_fraction` of them. Both have at least one.

    The division depends only on the seed and on the images' sorted paths. Raises InputError on less than two images.
    """
    if len(images) < 2:
        raise InputError(f"{len(images)} images cannot be divided: at least two are needed")
    images = sorted(images, key=lambda image: image.path)
    n_test = min(max(round(len(images) * test_fraction), 1), len(images) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(images))[:n_test].tolist())
    return {
        "train": [image for k, image in enumerate(images) if k not in chosen],
        "test": [image for k, image in enumerate(images) if k in chosen],
    }


# Checking


def check_splits(
    splits: Splits,
    notes: Sequence[Note] = (),
    class_names: Sequence[str] | None = None,
    ignore_unknown: bool = False,
    keep_duplicates: bool = False,
    workers: int = 0,
) -> tuple[Splits, tuple[str, ...], list[Note]]:
    """The splits without what cannot be used, the names of their classes, and the notes with more of them.

    class_names: the classes in order; without them, the names of all objects, sorted. ignore_unknown: drop the objects
    of other classes. keep_duplicates: keep objects that repeat another one of their image. workers: threads that
    decode the pictures; with 0 the pictures are not decoded.
    Raises InputError where a split has no image left or the data set no object.
    """
    notes = list(notes)
    steps: list[Callable[[Splits], tuple[Splits, list[Note]]]] = []
    steps += [partial(drop_undecodable, workers=workers)] if workers else []
    steps += [drop_repeats, partial(merge_spellings, class_names=class_names)]
    steps += [partial(drop_unknown, class_names=class_names or ())] if ignore_unknown else []
    steps += [] if keep_duplicates else [drop_duplicates]
    for step in steps:
        splits, more_notes = step(splits)
        notes += more_notes
    names = {each.name for images in splits.values() for image in images for each in image.objects}
    if not names:
        first = f"; the first of {len(notes)} notes: {notes[0]}" if notes else ""
        raise InputError(f"no image has an object that can be learnt from{first}")
    return splits, tuple(class_names or sorted(names)), notes
