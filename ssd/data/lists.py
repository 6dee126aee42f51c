"""The data lists: what `create_data_lists.py` writes and everything else reads.

One folder with, for each split, `TRAIN_images.json` (absolute paths) and `TRAIN_objects.json` (for each image its
size, boxes, labels and difficulties, in pixels of the upright picture), and `label_map.json` (name -> label).
"""

import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from ssd.config import create_label_map
from ssd.data.formats.paths import read_json
from ssd.errors import InputError
from ssd.files import replacing

SPLITS = ("train", "test")


@dataclass(frozen=True)
class DataList:
    """The pictures of one split.

    images: paths. objects: for each image {"size": [width, height], "boxes": [[x_min, y_min, x_max, y_max], ...],
    "labels": [...], "difficulties": [...]}. class_names: in the order of the labels 1, 2, ...
    """

    images: list[str]
    objects: list[dict]
    class_names: tuple[str, ...]

    @property
    def label_map(self):
        """Class name -> label, the background included."""
        return create_label_map(self.class_names)


def write_data_lists(folder, class_names, **splits):
    """Write `label_map.json` and the two files of each split. splits: name -> (images, objects) as in `DataList`."""
    folder, label_map = Path(folder), create_label_map(class_names)
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "label_map.json", label_map, indent=1)
    for split, (images, objects) in splits.items():
        _write(folder / f"{split.upper()}_images.json", [str(Path(image).absolute()) for image in images])
        _write(folder / f"{split.upper()}_objects.json", objects)


def read_data_list(folder, split):
    """Read one split ("train" or "test", in any case) of a folder of data lists.

    Raises InputError on a missing file, and on contents that are not data lists.
    """
    folder, name = Path(folder), split.upper()
    if name.lower() not in SPLITS:
        raise ValueError(f"split is {split!r}, must be one of {', '.join(SPLITS)}")
    images = read_images(folder / f"{name}_images.json")
    objects = _read(folder / f"{name}_objects.json", list)
    label_map = _read(folder / "label_map.json", dict)
    if sorted(label_map.values(), key=str) != sorted(range(len(label_map)), key=str) or label_map.get("background", 1):
        raise InputError(f"{folder / 'label_map.json'}: labels must be 0 (background) to {len(label_map) - 1}")
    if len(images) != len(objects):
        raise InputError(
            f"{folder}: {name}_images.json has {len(images)} entries, {name}_objects.json has {len(objects)}; "
            "write both anew with create_data_lists.py"
        )
    for k, entry in enumerate(objects):
        _check(entry, len(label_map), f"{folder / f'{name}_objects.json'}: entry {k}")
    return DataList(images, objects, tuple(sorted(label_map, key=label_map.get))[1:])


def read_images(path):
    """The paths in a `*_images.json`. Raises InputError where the file is missing or is none."""
    images = _read(Path(path), list)
    if not all(isinstance(image, str) for image in images):
        raise InputError(f"{path}: must hold the paths of images")
    return images


def _check(entry, n_classes, where):
    try:
        lengths = {len(entry[key]) for key in ("boxes", "labels", "difficulties")}
        boxes_are_boxes = len(entry["size"]) == 2 and all(len(box) == 4 for box in entry["boxes"])
        labels_fit = all(0 < label < n_classes for label in entry["labels"])
        numbers = [value for box in (entry["size"], *entry["boxes"]) for value in box]
        are_finite = all(map(isfinite, numbers))
    except (KeyError, TypeError, OverflowError):
        raise InputError(f"{where} must hold size, boxes, labels and difficulties") from None
    if len(lengths) != 1 or not boxes_are_boxes or not labels_fit or not are_finite:
        raise InputError(
            f"{where} must hold a size of two finite numbers, boxes of four, one label from 1 to {n_classes - 1} and "
            "one difficulty a box"
        )


def _read(path, kind):
    missing = f"no such data list; create_data_lists.py --output {path.parent} writes it"
    return read_json(path, kind, missing)


def _write(path, content, indent=None):
    with replacing(path) as file:
        file.write(f"{json.dumps(content, indent=indent)}\n".encode())
