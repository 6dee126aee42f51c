"""The data lists: what `create_data_lists.py` writes and everything else reads.

One folder holds, for each split, `TRAIN_images.json` (absolute paths) and `TRAIN_objects.json` (for each image its
size, boxes, labels and difficulties, in pixels of the upright picture), and `label_map.json` (class name -> label).
The splits are "train", "test" and, where the data set has one, "val": what training chooses its best model by.
An image with crowds also has "crowds" (their boxes) and "crowd_labels"; without the latter, they are of any class.

The lists of sgrvinod's tutorial are read as well. They have no sizes, and each number of a box is VOC's minus one.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from math import isfinite
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from ssd.config import create_label_map
from ssd.data.formats.records import AnnotatedImage
from ssd.data.images import image_size
from ssd.errors import InputError
from ssd.files import read_json, replacing

SPLITS = ("train", "val", "test")


class ListedImage(NamedTuple):
    """An image of a data list, its n objects, and its c crowds: regions of many objects, not boxed one by one."""

    path: str
    size: tuple[int, int]  # (width, height)
    boxes: np.ndarray  # (n, 4) float64, x_min, y_min, x_max, y_max in pixels of the upright picture
    labels: np.ndarray  # (n,) int64, from 1
    difficulties: np.ndarray  # (n,) bool
    crowds: np.ndarray  # (c, 4) float64, boxes
    crowd_labels: np.ndarray  # (c,) int64, 0 for a crowd of any class


def listed_image(
    path: str,
    size: tuple[int, int],
    boxes: Sequence,
    labels: Sequence[int],
    difficulties: Sequence[bool],
    crowds: Sequence = (),
    crowd_labels: Sequence[int] = (),
) -> ListedImage:
    """A `ListedImage` from plain lists, those of n = 0 included."""
    return ListedImage(
        path,
        size,
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        np.array(difficulties, dtype=bool),
        np.array(crowds, dtype=np.float64).reshape(-1, 4),
        np.array(crowd_labels, dtype=np.int64),
    )


@dataclass(frozen=True, eq=False)
class DataList:
    """The images of one split with their objects, as columns: image k has the objects offsets[k] to offsets[k + 1].

    Crowds have columns of the same kind. `data[k]` is a `ListedImage`, whose arrays are views of the columns.
    """

    paths: list[str]  # n images
    sizes: np.ndarray  # (n, 2) int64, width and height
    offsets: np.ndarray  # (n + 1,) int64
    boxes: np.ndarray  # (m, 4) float64, pixels of the upright picture
    labels: np.ndarray  # (m,) int64, from 1
    difficulties: np.ndarray  # (m,) bool
    crowd_offsets: np.ndarray  # (n + 1,) int64
    crowds: np.ndarray  # (c, 4) float64, pixels of the upright picture
    crowd_labels: np.ndarray  # (c,) int64, 0 for a crowd of any class
    class_names: tuple[str, ...]  # in the order of the labels 1, 2, ...

    @classmethod
    def from_images(cls, images: Iterable[ListedImage], class_names: Iterable[str]) -> "DataList":
        """The columns of some images."""
        images = list(images)
        return cls(
            paths=[image.path for image in images],
            sizes=np.array([image.size for image in images], dtype=np.int64).reshape(-1, 2),
            offsets=np.cumsum([0, *(len(image.labels) for image in images)]),
            boxes=np.concatenate([np.zeros((0, 4)), *(image.boxes for image in images)]),
            labels=np.concatenate([np.zeros(0, np.int64), *(image.labels for image in images)]),
            difficulties=np.concatenate([np.zeros(0, bool), *(image.difficulties for image in images)]),
            crowd_offsets=np.cumsum([0, *(len(image.crowds) for image in images)]),
            crowds=np.concatenate([np.zeros((0, 4)), *(image.crowds for image in images)]),
            crowd_labels=np.concatenate([np.zeros(0, np.int64), *(image.crowd_labels for image in images)]),
            class_names=tuple(class_names),
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, k: int) -> ListedImage:
        width, height = self.sizes[k].tolist()
        own, crowds = (slice(offsets[k], offsets[k + 1]) for offsets in (self.offsets, self.crowd_offsets))
        return ListedImage(
            self.paths[k], (width, height), self.boxes[own], self.labels[own], self.difficulties[own],
            self.crowds[crowds], self.crowd_labels[crowds],
        )  # fmt: skip

    def __iter__(self) -> Iterator[ListedImage]:
        return (self[k] for k in range(len(self)))

    @property
    def label_map(self) -> dict[str, int]:
        """Class name -> label, the background included."""
        return create_label_map(self.class_names)

    @property
    def digest(self) -> str:
        """A text that two lists share if their pictures have the same file names, in whatever folders and order."""
        names = sorted(PureWindowsPath(path).name for path in self.paths)
        return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest()

    def subset(self, indices: Iterable[int]) -> "DataList":
        """The data list of some of the images."""
        return self.from_images((self[k] for k in indices), self.class_names)

    def without_difficult(self) -> "DataList":
        """The data list with each difficult object as a crowd, after the others."""
        return self.from_images(map(_without_difficult, self), self.class_names)

    def with_difficult_crowds(self) -> "DataList":
        """The data list with each crowd as a difficult object, after the others; one of any class as one of each."""
        if not len(self.crowds):
            return self
        labels = range(1, len(self.class_names) + 1)
        return self.from_images((_with_difficult_crowds(image, labels) for image in self), self.class_names)


def _without_difficult(image):
    difficult = image.difficulties
    return image._replace(
        boxes=image.boxes[~difficult],
        labels=image.labels[~difficult],
        difficulties=difficult[~difficult],
        crowds=np.concatenate([image.crowds, image.boxes[difficult]]),
        crowd_labels=np.concatenate([image.crowd_labels, image.labels[difficult]]),
    )


def _with_difficult_crowds(image, every_label):
    labels = [every_label if label == 0 else [label] for label in image.crowd_labels.tolist()]
    boxes = np.repeat(image.crowds, list(map(len, labels)), axis=0)
    return listed_image(
        image.path,
        image.size,
        [*image.boxes, *boxes],
        [*image.labels, *chain.from_iterable(labels)],
        [*image.difficulties, *[True] * len(boxes)],
    )


def label_images(images: Sequence[AnnotatedImage], class_names: Sequence[str]) -> DataList:
    """The data list of annotated images, with labels for class names.

    Raises InputError, with the names and one image, where an object is of none of the classes.
    """
    label_map = create_label_map(class_names)
    unknown = [(each.name, image.path) for image in images for each in image.objects if each.name not in class_names]
    if unknown:
        name, path = unknown[0]
        raise InputError(
            f"unknown class {', '.join(sorted({name for name, _ in unknown}))} ({name} in the annotation of {path}); "
            f"the classes are {', '.join(class_names)}; --ignore-unknown drops objects of others"
        )
    listed = (_labelled(image, label_map) for image in images)
    return DataList.from_images(listed, class_names)


def _labelled(image, label_map):
    objects = [each for each in image.objects if not each.crowd]
    crowds = [each for each in image.objects if each.crowd]
    return listed_image(
        image.path,
        image.size,
        [each.box for each in objects],
        [label_map[each.name] for each in objects],
        [each.difficult for each in objects],
        [each.box for each in crowds],
        [label_map[each.name] for each in crowds],
    )


def write_data_lists(folder: str | Path, **splits: DataList) -> None:
    """Write `label_map.json` and the two files of each split; the splits have the same classes.

    The folder then holds these splits alone: the labels of another one could mean other classes.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for split in set(SPLITS) - set(splits):
        for path in list_files(folder, split):
            path.unlink(missing_ok=True)
    for split, data in splits.items():
        _write(folder / "label_map.json", data.label_map, indent=1)
        images, objects = list_files(folder, split)
        _write(images, [str(Path(path).absolute()) for path in data.paths])
        _write(objects, [_entry(image) for image in data])


def list_files(folder: str | Path, split: str) -> tuple[Path, Path]:
    """The paths of a split's images and objects in a folder of data lists."""
    folder = Path(folder)
    return folder / f"{split.upper()}_images.json", folder / f"{split.upper()}_objects.json"


def _entry(image):
    crowds = {"crowds": image.crowds.tolist(), "crowd_labels": image.crowd_labels.tolist()}
    return {
        "size": list(image.size),
        "boxes": image.boxes.tolist(),
        "labels": image.labels.tolist(),
        "difficulties": image.difficulties.astype(int).tolist(),
    } | (crowds if len(image.crowds) else {})


def read_data_list(folder: str | Path, split: str) -> DataList:
    """Read one split ("train", "val" or "test", in any case) of a folder of data lists.

    Raises InputError on a missing file, and on contents that are not data lists.
    """
    folder = Path(folder)
    if split.lower() not in SPLITS:
        raise ValueError(f"split is {split!r}, must be one of {', '.join(SPLITS)}")
    images_file, objects_file = list_files(folder, split)
    paths = read_image_paths(images_file)
    entries = _read(objects_file, list)
    class_names = _read_class_names(folder / "label_map.json")
    if len(paths) != len(entries):
        raise InputError(
            f"{folder}: {images_file.name} has {len(paths)} entries, {objects_file.name} has {len(entries)}; "
            "write both again with create_data_lists.py"
        )
    if tutorials := _are_tutorials(entries):
        for entry, size in zip(entries, _picture_sizes(objects_file, tuple(paths)), strict=True):
            entry["size"] = size
    images = [
        _read_entry(path, entry, len(class_names), f"{objects_file}: entry {k}")
        for k, (path, entry) in enumerate(zip(paths, entries, strict=True))
    ]
    return DataList.from_images(map(_with_edges, images) if tutorials else images, class_names)


def _are_tutorials(entries):
    """Whether these are the entries of one of the tutorial's lists, where none has a size."""
    keys = {"boxes", "labels", "difficulties"}
    return bool(entries) and all(isinstance(entry, dict) and entry.keys() == keys for entry in entries)


@cache
def _picture_sizes(objects_file, paths):
    """The sizes of the pictures of one of the tutorial's lists. Says once what becomes of the list."""
    others = os.environ.get("RANK", "0") != "0"  # of the processes that torchrun started
    if not others:
        print(
            f"{objects_file}: a list of the tutorial; the sizes are read from the pictures, and 1 is added to x_max "
            "and y_max, which name the last pixels there",
            file=sys.stderr,
        )
    return [image_size(path) for path in tqdm(paths, desc="sizes", unit="image", disable=others or None)]


def _with_edges(image):
    """An image of the tutorial's lists with boxes from edge to edge, without those that are degenerate in VOC."""
    boxes = np.maximum(image.boxes, 0) + (0, 0, 1, 1)
    kept = (image.boxes[:, 2:] > image.boxes[:, :2]).all(axis=1)
    return image._replace(boxes=boxes[kept], labels=image.labels[kept], difficulties=image.difficulties[kept])


def validation_split(folder: str | Path) -> str:
    """The split by which training chooses its best model: "val" if the folder of data lists has it, else "test"."""
    return "val" if any(path.exists() for path in list_files(folder, "val")) else "test"


def read_image_paths(path: str | Path) -> list[str]:
    """The paths in a `*_images.json`. Raises InputError on a missing file, and on other contents."""
    paths = _read(Path(path), list)
    if not all(isinstance(each, str) for each in paths):
        raise InputError(f"{path}: must hold the paths of images")
    return paths


def _read_class_names(path):
    label_map = _read(path, dict)
    labels = label_map.values()
    whole = all(isinstance(label, int) for label in labels)
    if not whole or sorted(labels) != list(range(len(labels))) or label_map.get("background") != 0:
        raise InputError(f"{path}: labels must be 0 (background) to {len(label_map) - 1}")
    return sorted(label_map, key=label_map.__getitem__)[1:]


def _read_entry(path, entry, n_classes, where):
    """The `ListedImage` of an entry of `*_objects.json`. Raises InputError where the entry is none."""
    try:
        (width, height), boxes, labels = entry["size"], entry["boxes"], entry["labels"]
        difficulties, crowds = entry["difficulties"], entry.get("crowds", [])
        crowd_labels = entry.get("crowd_labels", [0] * len(crowds))
        every_box = [*boxes, *crowds]
        fits = len(boxes) == len(labels) == len(difficulties) and len(crowds) == len(crowd_labels)
        fits = fits and all(0 < label <= n_classes for label in labels)
        fits = fits and all(0 <= label <= n_classes for label in crowd_labels)
        fits = fits and all(len(box) == 4 for box in every_box)
        fits = fits and all(map(isfinite, (width, height, *(value for box in every_box for value in box))))
    except KeyError:
        raise InputError(f"{where} must hold size, boxes, labels and difficulties") from None
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits:
        raise InputError(
            f"{where} must hold a size of two finite numbers, boxes of four, and for each box a label from 1 to "
            f"{n_classes} and a difficulty; crowds are boxes too, and their labels may be 0"
        )
    return listed_image(path, (width, height), boxes, labels, difficulties, crowds, crowd_labels)


def _read(path, kind):
    option = " with --val-fraction or --val" if path.name.startswith("VAL_") else ""
    missing = f"no such data list; create_data_lists.py --output {path.parent}{option} writes it"
    return read_json(path, kind, missing)


def _write(path, content, indent=None):
    with replacing(path) as file:
        file.write(f"{json.dumps(content, indent=indent)}\n".encode())
