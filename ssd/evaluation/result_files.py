"""Detections as files: the VOC devkit's, one for each class, and COCO's results JSON; from any detector.

VOC: `comp4_det_test_<class>.txt`, a line for each detection: image id, score, x_min, y_min, x_max, y_max, in 1-based
inclusive pixels. The image id is the picture's file name without folder and extension.
COCO: a list of {"image_id", "category_id", "bbox": [x_min, y_min, width, height], "score"}. The image id is the
picture's place in the data list, 0 for the first; the category id is the label. `save_truth` writes the objects with
the same ids, so that other tools can score such a list.

Numbers are written with all the digits of a float64, so detections have the same figures when they are read again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from tqdm import tqdm

from ssd.data.columns import DataList
from ssd.data.formats.coco import coco_annotation
from ssd.data.formats.records import Note
from ssd.errors import InputError
from ssd.evaluation.evaluate import DataSetDetections
from ssd.files import check_file, json_list, json_lists, read_json_items, write_texts

VOC_PREFIX = "comp4_det_test_"
COCO_NAME, COCO_TRUTH_NAME = "coco_results.json", "coco_truth.json"
LARGEST = float(np.finfo(np.float32).max)
AT_ONCE = 50_000  # rows that are written

Row = tuple[float, ...]  # place in the data list, label, score, x_min, y_min, x_max, y_max


def save_results(folder: str | Path, found: DataSetDetections, data: DataList) -> None:
    """Write the detections in the pictures of a data list in both formats into a folder, which is made.

    A class without detections gets an empty file. Raises InputError as `check_names` does.
    """
    check_names(data)
    ids, columns = list(_image_ids(data.paths)), found.columns()
    with tqdm(total=2 * len(columns[0]), desc="writing", unit="row", delay=1) as progress:
        files: dict[str, Iterable[str]] = {
            f"{VOC_PREFIX}{name}.txt": _voc_lines(columns, label, ids, progress)
            for label, name in enumerate(data.class_names, start=1)
        }
        entries = (_coco_entry(*row) for row in _rows(columns, progress=progress))
        files[COCO_NAME] = chain(json_list(entries), ["\n"])
        write_texts(folder, files)


def save_truth(folder: str | Path, data: DataList) -> list[Note]:
    """Write the objects of a data list as COCO's ground truth, beside the results.

    Difficult objects become crowds, which COCO's evaluation neither rewards nor punishes either; a note says so.
    """
    n_difficult = data.difficulties.sum()
    data = data.with_difficult_crowds()
    image_ids = np.repeat(np.arange(len(data)), np.diff(data.offsets))
    objects = enumerate(_rows((image_ids, data.labels, data.boxes, data.difficulties)), start=1)
    truth: dict[str, Iterable] = {
        "images": (
            {"id": k, "file_name": PureWindowsPath(path).name, "width": width, "height": height}
            for k, (path, (width, height)) in enumerate(zip(data.paths, data.sizes.tolist(), strict=True))
        ),
        "categories": [{"id": label, "name": name} for name, label in data.label_map.items() if label],
        "annotations": (coco_annotation(number, *row) for number, row in objects),
    }
    write_texts(folder, {COCO_TRUTH_NAME: json_lists(truth)})
    path, what = Path(folder) / COCO_TRUTH_NAME, f"{n_difficult} difficult objects, which COCO does not know"
    return [Note(str(path), what, "became crowds")] if n_difficult else []


def _rows(
    columns: Sequence[np.ndarray], chosen: np.ndarray | slice = slice(None), progress: tqdm | None = None
) -> Iterator[tuple]:
    """Yield the chosen rows as Python's own numbers, which take ten times the memory: few exist at a time."""
    rows = np.arange(len(columns[0]))[chosen]
    for some in np.array_split(rows, 1 + len(rows) // AT_ONCE):
        yield from zip(*(column[some].tolist() for column in columns), strict=True)
        if progress is not None:
            progress.update(len(some))


def check_names(data: DataList) -> None:
    """Raise InputError if result files cannot be written for the classes and pictures of a data list.

    That is: two pictures of the same name, a class name that cannot be part of a file name, or two class names that
    differ only in case, whose files are the same on Windows and macOS.
    """
    _image_ids(data.paths)
    first: dict[str, str] = {}
    for name in data.class_names:
        if set(name) & set('/\\:*?"<>|'):
            raise InputError(f"the class name {name!r} cannot be part of a file name; rename the class")
        other = first.setdefault(name.casefold(), name)
        if other != name:
            raise InputError(f"the classes {other} and {name} differ only in case; rename one")


def load_results(path: str | Path, data: DataList) -> DataSetDetections:
    """Read the detections in the pictures of a data list from a folder of VOC files or from a COCO results JSON.

    Boxes and scores are float64. Of equal scores and labels, the earlier row comes first. A class without a file has no
    detections.
    Raises InputError on a row that names an unknown image or class, has a score or coordinate that is not finite in
    float32, x_max < x_min or y_max < y_min, or another number of columns; the message names the file and the row.
    """
    path = Path(path)
    rows = tqdm((_read_voc if path.is_dir() else _read_coco)(path, data), desc="reading", unit="detection", delay=1)
    numbers: np.ndarray = np.fromiter(rows, np.dtype((np.float64, 7)))  # (D, 7)
    images, labels = numbers[:, :2].T.astype(np.int64)
    scores, boxes = numbers[:, 2], numbers[:, 3:]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])  # see `_check_box`
    order = np.lexsort((labels, -scores, images))
    return DataSetDetections.from_columns(images[order], boxes[order], labels[order], scores[order], len(data))


def _voc_lines(columns: Sequence[np.ndarray], label: int, image_ids: Sequence[str], progress: tqdm) -> Iterator[str]:
    for place, (x_min, y_min, x_max, y_max), _, score in _rows(columns, columns[2] == label, progress):
        values = (score, x_min + 1, y_min + 1, x_max, y_max)
        yield " ".join([image_ids[place], *(f"{value:.17g}" for value in values)]) + "\n"


def _coco_entry(place: int, box: list[float], label: int, score: float) -> dict[str, Any]:
    x_min, y_min, x_max, y_max = box
    bbox = [x_min, y_min, x_max - x_min, y_max - y_min]
    return {"image_id": place, "category_id": label, "bbox": bbox, "score": score}


def _image_ids(image_paths: Sequence[str]) -> dict[str, int]:
    """Image id -> place in the data list."""
    ids: dict[str, int] = {}
    for place, path in enumerate(image_paths):
        image_id = PureWindowsPath(path).stem  # takes both / and \\: the list may come from another system
        first = ids.setdefault(image_id, place)
        if first != place:
            raise InputError(f"{path} and {image_paths[first]} have the same image id {image_id}; rename one")
    return ids


def _read_voc(folder: Path, data: DataList) -> Iterator[Row]:
    ids = _image_ids(data.paths)
    files = sorted(folder.glob(f"{VOC_PREFIX}*.txt"))
    if not files:
        raise InputError(f"{folder}: holds no {VOC_PREFIX}<class>.txt; give a folder of VOC result files")
    for file in files:
        name = file.stem.removeprefix(VOC_PREFIX)
        if name not in data.class_names:
            raise InputError(f"{file}: the data set has no class {name}; remove the file, or name the right data set")
        check_file(file)
        with open(file, encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _voc_row(line.strip(), data.label_map[name], ids, f"{file}, line {number}")


def _voc_row(line: str, label: int, ids: Mapping[str, int], where: str) -> Row:
    image_id, *columns = line.rsplit(maxsplit=5)  # an image id may hold spaces
    if len(columns) != 5:
        n = len(columns) + 1
        raise InputError(f"{where}: has {n} columns, but must have image, score, x_min, y_min, x_max, y_max")
    score, x_min, y_min, x_max, y_max = _finite(columns, where)
    if image_id not in ids:
        raise InputError(f"{where}: the list has no picture {image_id}")
    box = [x_min - 1, y_min - 1, x_max, y_max]
    _check_box(box, where)
    return ids[image_id], label, score, *box


def _read_coco(path: Path, data: DataList) -> Iterator[Row]:
    missing = f"no such file; give a folder of {VOC_PREFIX}<class>.txt or a COCO results JSON"
    for number, entry in enumerate(read_json_items(path, missing), start=1):
        yield _coco_row(entry, data, f"{path}, detection {number}")


def _coco_row(entry: Any, data: DataList, where: str) -> Row:
    try:
        image, label, bbox, score = (entry[key] for key in ("image_id", "category_id", "bbox", "score"))
        x_min, y_min, width, height = bbox
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: needs image_id, category_id, score and a bbox of four numbers") from None
    if type(image) is not int or image not in range(len(data)):
        raise InputError(f"{where}: the list has no picture {image!r}; ids are its places, 0 to {len(data) - 1}")
    if type(label) is not int or label not in range(1, len(data.class_names) + 1):
        raise InputError(f"{where}: the label map has no label {label!r}")
    score, x_min, y_min, width, height = _finite([score, x_min, y_min, width, height], where)
    numbers = _finite([score, x_min, y_min, x_min + width, y_min + height], where)
    _check_box(numbers[1:], where)
    return image, label, *numbers


def _finite(values: Sequence[str | float], where: str) -> list[float]:
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise InputError(f"{where}: {values} are not all numbers") from None
    except OverflowError:  # an integer of hundreds of digits
        numbers = [np.inf]
    if not all(abs(number) <= LARGEST for number in numbers):
        raise InputError(f"{where}: {values} are not all finite numbers of float32")
    return numbers


def _check_box(box: Sequence[float], where: str) -> None:
    x_min, y_min, x_max, y_max = box
    # Where other programs round to some digits, the two sides of an empty box can pass each other by less than this.
    slack = 1e-8 * (1 + max(abs(x_min), abs(y_min)))
    if x_max < x_min - slack or y_max < y_min - slack:
        raise InputError(
            f"{where}: the box ends before it begins ({x_min:g}, {y_min:g} to {x_max:g}, {y_max:g} in 0-based pixels)"
        )
