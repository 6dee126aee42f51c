"""The readers of all formats, called alike."""

from pathlib import Path

import numpy as np

from ssd.data.formats.coco import find_coco, read_coco
from ssd.data.formats.supervisely import read_supervisely
from ssd.data.formats.voc import has_split_files, read_voc
from ssd.data.formats.yolo import read_yolo, yolo_splits
from ssd.errors import InputError

FORMATS = ("voc", "coco", "yolo", "supervisely")
TRAIN_NAMES = ("train", "trainval", "training")
TEST_NAMES = ("val", "valid", "validation", "test", "testing")  # the last are often published without annotations


def read_annotations(kind, path, split=None, images_folder=None, class_names=None):
    """The images of a data set of one of `FORMATS` and what is on them.

    split: as the format has it, see its reader; without one, all images. images_folder: where the pictures are, if they
    are not where the format has them. class_names: for YOLO, whose files may not say them.
    Returns images (paths), objects and notes, see `ssd.data.formats.records`.
    Raises InputError where the data set or the split is missing, and where no image at all can be used.
    """
    if kind == "yolo":
        return read_yolo(path, split, images_folder, class_names)
    readers = {"voc": read_voc, "coco": read_coco, "supervisely": read_supervisely}
    return readers[kind](path, split, images_folder)


def usual_splits(kind, path, train=None, test=None):
    """The names of the training and the test split, where the user has not named them.

    VOC's own are trainval and test. Raises InputError where none is found.
    """
    if kind == "voc" and (has_split_files(path) or not Path(path).is_dir()):
        return train or "trainval", test or "test"
    if not Path(path).exists():
        raise InputError(f"{path}: no such file or folder")
    if kind == "coco" and not Path(path).is_dir():
        there, train = [], train or path
    else:
        there = _splits(kind, path)
    chosen = [
        name or next((each for each in usual if each in there), None)
        for name, usual in ((train, TRAIN_NAMES), (test, TEST_NAMES))
    ]
    if None in chosen:
        missing, known = "training" if chosen[0] is None else "test", ", ".join(there) or "none"
        raise InputError(
            f"{path}: no {missing} split found (there: {known}); "
            "name both with --train and --test, or divide the images with --test-fraction 0.2"
        )
    return chosen


def _splits(kind, path):
    if kind == "coco":
        return list(find_coco(path))
    if kind == "yolo":
        return yolo_splits(path)
    return sorted(folder.name for folder in Path(path).iterdir() if folder.is_dir())


def divide(images, objects, test_fraction, seed):
    """Two lists of images with their objects: one to train on, and one of `test_fraction` of the images to test with.

    Which is which depends on the seed and the image's place in sorted order alone. Each has at least one image.
    Raises InputError where there are less than two.
    """
    if len(images) < 2:
        raise InputError(f"{len(images)} images cannot be divided: at least two are needed")
    order = sorted(range(len(images)), key=lambda k: str(images[k]))
    n_test = min(max(round(len(images) * test_fraction), 1), len(images) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(images))[:n_test].tolist())
    parts = [[k for place, k in enumerate(order) if (place in chosen) == is_test] for is_test in (False, True)]
    return [([images[k] for k in part], [objects[k] for k in part]) for part in parts]
