"""From a data set in any format to the images of its splits, read, divided and checked."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ssd.data.check import (
    Splits,
    drop_duplicates,
    drop_repeats,
    drop_undecodable,
    drop_unknown,
    keep_single,
    merge_spellings,
)
from ssd.data.formats.coco import find_coco, read_coco
from ssd.data.formats.csv import read_csv
from ssd.data.formats.records import AnnotatedImage, Note
from ssd.data.formats.supervisely import read_supervisely
from ssd.data.formats.voc import has_split_files, read_voc, split_file
from ssd.data.formats.yolo import NAME_FILES, read_yolo, yolo_splits
from ssd.data.images import picture_endings
from ssd.data.lists import SPLITS
from ssd.errors import InputError
from ssd.files import find_files, read_text

FORMATS = ("voc", "coco", "yolo", "supervisely", "csv")
SIGNS = {".xml": "voc", ".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".csv": "csv"}
TRAIN_NAMES = ("train", "trainval", "training")
TEST_NAMES = ("val", "valid", "validation", "test", "testing")  # test sets are often published without annotations


# Reading


@dataclass(frozen=True)
class DataSource:
    """A data set in one of `FORMATS`.

    images_folder: where the pictures are, if not in the format's own place. class_names: for YOLO, whose files may not
    name them.
    """

    kind: str
    path: str | Path
    images_folder: str | Path | None = None
    class_names: Sequence[str] | None = None

    def read(self, split: str | None = None) -> tuple[list[AnnotatedImage], list[Note]]:
        """The annotated images of a split, or of all, and notes, see `ssd.data.formats.records`.

        split: what the format calls it, see its reader. Raises InputError where it is missing or has no usable image.
        """
        if self.kind == "yolo":
            return read_yolo(self.path, split, self.images_folder, self.class_names)
        readers = {"voc": read_voc, "coco": read_coco, "supervisely": read_supervisely, "csv": read_csv}
        return readers[self.kind](self.path, split, self.images_folder)


def read_splits(
    source: DataSource,
    names: Mapping[str, str] | None = None,
    fractions: Mapping[str, float] | None = None,
    seed: int = 0,
) -> tuple[Splits, list[Note]]:
    """The "train" and "test" images of a data set, those of "val" where it is named or has a fraction, and notes.

    names: split -> what the format calls it. Training and test split have usual names (see `usual_splits`).
    fractions: "test", "val" -> share of the training split, see `divide`. With one for "test", all images are divided
    if no training split is named.
    Raises InputError on what cannot be read; it says so where the data set looks like one in another format.
    """
    names, fractions = dict(names or {}), fractions or {}
    splits, notes = {}, []
    try:
        if "test" not in fractions:
            names |= usual_splits(source, **names)
        for split in {"train": None, **names}:
            splits[split], more_notes = source.read(names.get(split))
            notes += more_notes
    except (InputError, NotADirectoryError):
        if (others := looks_like(source.path)) and source.kind not in others:
            options = " or ".join(f"--{kind}" for kind in others)
            raise InputError(f"{source.path}: looks like a data set for {options}, not for --{source.kind}") from None
        raise
    return in_order(splits | divide(splits["train"], fractions, seed)), notes


def looks_like(path: str | Path) -> list[str]:
    """The `FORMATS` that a data set shows signs of: the names of its files."""
    files = [Path(path)] if os.path.isfile(path) else find_files(path, {*SIGNS, ".txt", ".names", ".labels"})
    found = {_sign(file) for file in files}
    if "supervisely" in found:
        found -= {"coco"}  # its other JSON files
    return [kind for kind in FORMATS if kind in found]


def _sign(file: Path) -> str | None:
    if file.parent.name == "ann":
        return "supervisely"
    if file.name in NAME_FILES or (file.suffix == ".txt" and "labels" in file.parts[-3:-1]):
        return "yolo"
    return SIGNS.get(file.suffix.lower())


def read_published(
    voc07: str | Path, voc12: str | Path | None = None, val_fraction: float | None = None, seed: int = 0
) -> tuple[Splits, list[Note]]:
    """VOC2007's trainval, with VOC2012's where it is given, as "train" and VOC2007's test as "test"; and notes.

    val_fraction: share of "train" that becomes "val", see `divide`.
    """
    train, notes = read_voc(voc07, "trainval")
    if voc12:
        more, more_notes = read_voc(voc12, "trainval")
        train, notes = train + more, notes + more_notes
    test, more_notes = read_voc(voc07, "test")
    parts = divide(train, {} if val_fraction is None else {"val": val_fraction}, seed)
    return in_order(parts | {"test": test}), notes + more_notes


def in_order(splits: Splits) -> Splits:
    """The splits in the order of `SPLITS`."""
    return {split: splits[split] for split in SPLITS if split in splits}


def read_classes(names: str) -> tuple[str, ...]:
    """Class names from "a,b,c" or from the lines of a file. Raises InputError on none, and on one given twice."""
    text = read_text(names) if os.path.isfile(names) else names.replace(",", "\n")
    classes = tuple(name.strip() for name in text.splitlines() if name.strip())
    if not classes or len(set(classes)) < len(classes):
        raise InputError(f"--classes {names}: give each name once, as a,b,c or as a file with one name a line")
    return classes


# Splits


def usual_splits(
    source: DataSource, train: str | None = None, test: str | None = None, val: str | None = None
) -> dict[str, str]:
    """The names of the "train" and the "test" split, found in the data set where they are None.

    val: name of a third split, which is then neither of them. VOC's own are trainval and test; beside a third split,
    train and test. Raises InputError where a split is not found.
    """
    kind, path = source.kind, Path(source.path)
    if kind == "voc" and (has_split_files(path) or not path.is_dir()):
        usual = "train" if val and split_file(path, "train").exists() else "trainval"
        return {"train": train or usual, "test": test or "test"}
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if kind in ("coco", "csv") and path.is_file():
        train = train or str(path)
    there = _split_names(kind, path)
    train = train or next((name for name in TRAIN_NAMES if name in there and name != val), None)
    test = test or next((name for name in TEST_NAMES if name in there and name != val), None)
    if train is None or test is None:
        _check_content(source)
        missing, known = "training" if train is None else "test", ", ".join(there) or "none"
        raise InputError(
            f"{path}: no {missing} split found (there: {known}); "
            "name both with --train and --test, or divide the images with --test-fraction 0.2"
        )
    return {"train": train, "test": test}


def _check_content(source: DataSource) -> None:
    """Raises InputError where a folder holds nothing that could be divided into splits."""
    ending = {"voc": ".xml", "csv": ".csv"}.get(source.kind, ".json")
    endings, what = {ending}, f"annotations (*{ending})"
    if source.kind == "yolo":
        endings, what = picture_endings(), "pictures; name their folder with --images"
    if Path(source.path).is_dir() and not source.images_folder and not find_files(source.path, endings):
        raise InputError(f"{source.path}: holds no {what}")


def _split_names(kind: str, path: Path) -> list[str]:
    if kind == "csv":
        return [file.name for file in find_files(path, {".csv"}, recursive=False)]
    if kind == "coco":
        return list(find_coco(path))
    if kind == "yolo":
        return yolo_splits(path)
    return sorted(folder.name for folder in path.iterdir() if folder.is_dir())


def divide(images: Sequence[AnnotatedImage], fractions: Mapping[str, float], seed: int) -> Splits:
    """The images as "train" and the splits that have a fraction, each with that share of them and at least one.

    The division depends only on the seed and on the images' sorted paths, and the test split not on whether there is a
    validation split. Without fractions, all is "train". Raises InputError if there are fewer images than splits.
    """
    if not fractions:
        return {"train": list(images)}
    if len(images) <= len(fractions):
        raise InputError(f"{len(images)} images cannot be divided: at least {len(fractions) + 1} are needed")
    images = sorted(images, key=lambda image: image.path)
    rest = np.random.default_rng(seed).permutation(len(images)).tolist()
    parts = {}
    for k, split in enumerate(sorted(fractions), start=1):  # "test" before "val"
        others = len(fractions) - k + 1  # splits that still need an image
        n = min(max(round(len(images) * fractions[split]), 1), len(rest) - others)
        parts[split], rest = rest[:n], rest[n:]
    parts["train"] = rest
    return {split: [images[k] for k in sorted(part)] for split, part in parts.items()}


# Checking


def check_splits(
    splits: Splits,
    notes: Sequence[Note] = (),
    class_names: Sequence[str] | None = None,
    ignore_unknown: bool = False,
    keep_duplicates: bool = False,
    one_object: bool = False,
    workers: int = 0,
) -> tuple[Splits, tuple[str, ...], list[Note]]:
    """The splits without what cannot be used, the names of their classes, and the notes with more of them.

    class_names: the classes in order; without them, the names of all objects, sorted. ignore_unknown: drop the objects
    of other classes. keep_duplicates: keep objects that repeat another one of their image. one_object: keep only the
    images with exactly one object. workers: threads that decode the pictures; with 0 the pictures are not decoded.
    Raises InputError where a split has no image left or the data set no object.
    """
    notes = list(notes)
    steps: list[Callable[[Splits], tuple[Splits, list[Note]]]] = []
    steps += [partial(drop_undecodable, workers=workers)] if workers else []
    steps += [drop_repeats, partial(merge_spellings, class_names=class_names)]
    steps += [partial(drop_unknown, class_names=class_names or ())] if ignore_unknown else []
    steps += [] if keep_duplicates else [drop_duplicates]
    steps += [keep_single] if one_object else []
    for step in steps:
        splits, more_notes = step(splits)
        notes += more_notes
    objects = [each for images in splits.values() for image in images for each in image.objects]
    if all(each.crowd for each in objects):
        first = f"; the first of {len(notes)} notes: {notes[0]}" if notes else ""
        raise InputError(f"no image has a usable object{first}")
    return splits, tuple(class_names or sorted({each.name for each in objects})), notes
