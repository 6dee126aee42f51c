"""The data lists: what `create_data_lists.py` writes and everything else reads.

One folder holds, for each split, `TRAIN_images.json` (absolute paths) and `TRAIN_objects.json` (for each image its
size, boxes, labels and difficulties, in pixels of the upright picture), and `label_map.json` (class name -> label).
The splits are "train", "test" and, where the data set has one, "val": what training chooses its best model by.
An image with crowds also has "crowds" (their boxes) and "crowd_labels"; without the latter, they are of any class.

The lists of sgrvinod's tutorial are read as well. They have no sizes, and each number of a box is VOC's minus one.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import chain, islice, repeat
from math import isfinite
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ssd.config import create_label_map
from ssd.data.columns import DataList, Row
from ssd.data.formats.records import AnnotatedImage
from ssd.data.images import image_size
from ssd.data.list_cache import cache_key, read_cache, write_cache
from ssd.errors import InputError
from ssd.files import read_json, read_json_items, replacing

SPLITS = ("train", "val", "test")
MOST_PIXELS = 2**31  # of a side


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


def _labelled(image: AnnotatedImage, label_map: dict[str, int]) -> Row:
    objects = [each for each in image.objects if not each.crowd]
    crowds = [each for each in image.objects if each.crowd]
    return (
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
    for split in SPLITS:
        with suppress(OSError):  # one that stays, such as a folder, is not read
            cache_file(folder, split).unlink()
    for split, data in splits.items():
        with replacing(folder / "label_map.json") as file:
            file.write(f"{json.dumps(data.label_map, indent=1)}\n".encode())
        images, objects = list_files(folder, split)
        _write(images, (str(Path(path).absolute()) for path in data.paths))
        _write(objects, map(_entry, data))


def list_files(folder: str | Path, split: str) -> tuple[Path, Path]:
    """The paths of a split's images and objects in a folder of data lists."""
    folder = Path(folder)
    return folder / f"{split.upper()}_images.json", folder / f"{split.upper()}_objects.json"


def cache_file(folder: str | Path, split: str) -> Path:
    """The path of the copy of a split's lists that opens faster, see `ssd.data.list_cache`."""
    return Path(folder) / f"{split.upper()}_cache.npz"


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
    files = (*list_files(folder, split), folder / "label_map.json")
    key, cached = cache_key(files), cache_file(folder, split)
    if key and (data := read_cache(cached, key, _read_class_names(files[-1]))):
        return data
    data = _read_files(*files)
    if key:
        write_cache(cached, key, data)
    return data


def _read_files(images_file, objects_file, label_map_file):
    paths = read_image_paths(images_file)
    items = read_json_items(objects_file, _missing(objects_file))
    first = list(islice(items, 1))
    class_names, are_tutorials = _read_class_names(label_map_file), False
    entries: Iterable[Any] = chain(first, items)
    if any(map(_is_tutorials, first)):
        entries = whole = list(entries)
        are_tutorials = len(whole) == len(paths) and all(map(_is_tutorials, whole))
    if are_tutorials:
        sizes = _picture_sizes(objects_file, tuple(paths))
        entries = ({**entry, "size": size} for entry, size in zip(entries, sizes, strict=True))
    rows = (
        _row(path, entry, len(class_names), f"{objects_file}: entry {k}")
        for k, (path, entry) in enumerate(zip(chain(paths, repeat("")), entries, strict=False))
    )
    data = DataList.from_images(map(_with_edges, rows) if are_tutorials else rows, class_names)
    if len(paths) != len(data):
        raise InputError(
            f"{images_file.parent}: {images_file.name} has {len(paths)} entries, {objects_file.name} has {len(data)}; "
            "write both again with create_data_lists.py"
        )
    return data


def _is_tutorials(entry):
    """Whether an entry is of one of the tutorial's lists, where none has a size."""
    return isinstance(entry, dict) and entry.keys() == {"boxes", "labels", "difficulties"}


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


def _with_edges(row):
    """An image of the tutorial's lists with boxes from edge to edge, without those that are degenerate in VOC."""
    path, size, boxes, labels, difficulties, *crowds = row
    kept = [k for k, (x_min, y_min, x_max, y_max) in enumerate(boxes) if x_min < x_max and y_min < y_max]
    edges = [(max(x_min, 0), max(y_min, 0), x_max + 1, y_max + 1) for x_min, y_min, x_max, y_max in boxes]
    own = ([column[k] for k in kept] for column in (edges, labels, difficulties))
    return path, size, *own, *crowds


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


def _row(path: str, entry: Any, n_classes: int, where: str) -> Row:
    """An entry of `*_objects.json` as an image of a `DataList`. Raises InputError where it is none."""
    try:
        (width, height), boxes, labels = entry["size"], entry["boxes"], entry["labels"]
        difficulties, crowds = entry["difficulties"], entry.get("crowds", [])
        crowd_labels = entry.get("crowd_labels", [0] * len(crowds))
        every_box = [*boxes, *crowds]
        fits = len(boxes) == len(labels) == len(difficulties) and len(crowds) == len(crowd_labels)
        fits = fits and all(0 < label <= n_classes for label in labels)
        fits = fits and all(0 <= label <= n_classes for label in crowd_labels)
        fits = fits and all(len(box) == 4 for box in every_box)
        fits = fits and abs(width) < MOST_PIXELS and abs(height) < MOST_PIXELS
        fits = fits and all(map(isfinite, chain.from_iterable(every_box)))
        if fits:
            labels, crowd_labels = list(map(int, labels)), list(map(int, crowd_labels))
            return path, (int(width), int(height)), boxes, labels, difficulties, crowds, crowd_labels
    except KeyError:
        raise InputError(f"{where} must hold size, boxes, labels and difficulties") from None
    except (TypeError, ValueError, OverflowError):
        pass
    raise InputError(
        f"{where} must hold a size of two finite numbers, boxes of four, and for each box a label from 1 to "
        f"{n_classes} and a difficulty; crowds are boxes too, and their labels may be 0"
    )


def _read(path, kind):
    return read_json(path, kind, _missing(path))


def _missing(path):
    option = " with --val-fraction or --val" if path.name.startswith("VAL_") else ""
    return f"no such data list; create_data_lists.py --output {path.parent}{option} writes it"


def _write(path, items):
    """Write a JSON list. Its items are made one by one."""
    with replacing(path) as file:
        file.write(b"[")
        for k, item in enumerate(items):
            file.write(f"{', ' if k else ''}{json.dumps(item)}".encode())
        file.write(b"]\n")
