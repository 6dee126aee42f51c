"""Detections as files: the VOC devkit's, one for each class, and COCO's results JSON; from any detector.

VOC: `comp4_det_test_<class>.txt`, a line for each detection: image id, score, x_min, y_min, x_max, y_max, in 1-based
inclusive pixels, nine significant digits. The image id is the picture's file name without folder and extension.
COCO: a list of {"image_id", "category_id", "bbox": [x_min, y_min, width, height], "score"}. The image id is the
picture's place in the test list, 0 for the first; the category id is the label. `save_truth` writes the
objects by the same ids, for other tools to score such a list with.
"""

import json
from pathlib import Path, PureWindowsPath

import numpy as np
import torch

from ssd.data.formats.coco import coco_annotation
from ssd.errors import InputError
from ssd.evaluation.matches import class_names

VOC_PREFIX = "comp4_det_test_"
COCO_NAME, COCO_TRUTH_NAME = "coco_results.json", "coco_truth.json"
LARGEST = float(np.finfo(np.float32).max)


def as_saved(det_boxes, det_labels, det_scores) -> tuple[list, list, list]:
    """The detections as the files hold them, so that an evaluation has the very figures that its files give.

    Best first, equal scores in the order of their labels; numbers in float32. A VOC file holds x_min + 1, which is
    too coarse for float32 numbers below 1/8, so minima are rounded to what float32 holds after the 1 is added: they
    move by less than 1e-7 of x_min + 1.

    :param det_boxes, det_labels, det_scores: lists with one tensor per image: (n, 4) pixels, (n,) and (n,)
    :return: the same, changed as said
    """
    saved = [], [], []
    for boxes, labels, scores in zip(det_boxes, det_labels, det_scores, strict=True):
        order = labels.argsort(stable=True)
        order = order[scores[order].float().argsort(descending=True, stable=True)]
        for values, new in zip(
            saved, (_rounded(boxes[order].float()), labels[order], scores[order].float()), strict=True
        ):
            values.append(new)
    return saved


def save_results(folder, det_boxes, det_labels, det_scores, label_map, image_paths) -> None:
    """Write detections, `as_saved`, in both formats into a folder, which is made.

    A class without detections gets an empty file.

    :param det_boxes, det_labels, det_scores: lists with one tensor per image: (n, 4) pixels, (n,) and (n,)
    :param label_map: dict, class name -> label
    :param image_paths: the test list
    :raises InputError: see `check_names`
    """
    check_names(label_map, image_paths)
    ids = list(_image_ids(image_paths))
    paths = {label_map[name]: Path(folder) / f"{VOC_PREFIX}{name}.txt" for name in class_names(label_map)}
    lines, entries = {label: [] for label in paths}, []
    detections = zip(*as_saved(det_boxes, det_labels, det_scores), strict=True)
    for index, image in enumerate(detections):
        for box, label, score in zip(*(values.tolist() for values in image), strict=True):
            lines[label].append(_voc_line(ids[index], score, box))
            entries.append(_coco_entry(index, label, score, box))
    Path(folder).mkdir(parents=True, exist_ok=True)
    for label, path in paths.items():
        path.write_text("".join(lines[label]), encoding="utf-8")
    (Path(folder) / COCO_NAME).write_text("[" + ",\n".join(entries) + "]\n", encoding="utf-8")


def save_truth(folder, data) -> None:
    """Write the objects of a `DataList` as COCO's ground truth beside the results; difficult ones are crowds."""
    images = [
        {"id": k, "file_name": PureWindowsPath(image.path).name, "width": image.size[0], "height": image.size[1]}
        for k, image in enumerate(data)
    ]
    image_ids = np.repeat(np.arange(len(data)), np.diff(data.offsets))
    columns = (image_ids, data.labels, data.boxes, data.difficulties)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    truth = {
        "images": images,
        "categories": [{"id": label, "name": name} for name, label in data.label_map.items() if label],
        "annotations": [coco_annotation(number, *row) for number, row in enumerate(rows, start=1)],
    }
    (Path(folder) / COCO_TRUTH_NAME).write_text(json.dumps(truth) + "\n", encoding="utf-8")


def check_names(label_map, image_paths) -> None:
    """What result files need of a data set; it can be told before there are detections.

    :raises InputError: two pictures of the same name, a class name that cannot be part of a file name, or two that
        differ in their case only, whose files are the same on Windows and macOS
    """
    _image_ids(image_paths)
    names = {}
    for name in class_names(label_map):
        if set(name) & set('/\\:*?"<>|'):
            raise InputError(f"The class name {name!r} cannot be part of a file name; rename the class.")
        first = names.setdefault(name.casefold(), name)
        if first != name:
            raise InputError(f"The classes {first} and {name} differ in their case only; rename one.")


def load_results(path, label_map, image_paths) -> tuple[list, list, list]:
    """Read detections from a folder of VOC files or from a COCO results JSON.

    A class without a file has no detections. Numbers are float64, but for those that are the nine-digit form of a
    float32 number, which become that number again.

    :return: det_boxes, det_labels, det_scores: lists with one tensor per image of the test list, best score first
    :raises InputError: a row that names an unknown image or class, has a score or coordinate that is not finite in
        float32, x_max < x_min or y_max < y_min, or another number of columns; names the file and the row
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a folder of {VOC_PREFIX}<class>.txt or a COCO results JSON.")
    read = _read_voc if path.is_dir() else _read_coco
    rows = list(read(path, label_map, image_paths))
    images, labels = (np.array([row[k] for row in rows], dtype=np.int64) for k in (0, 1))
    numbers = np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 5)  # score, x_min, y_min, x_max, y_max
    if path.is_dir():
        numbers = _as_float32_was(numbers)
        numbers[:, 1:3] -= 1
    numbers[:, 3:] = np.maximum(numbers[:, 3:], numbers[:, 1:3])
    order = np.lexsort((labels, -numbers[:, 0], images))  # a stable sort: equal scores of a class keep their order
    per_image = np.bincount(images, minlength=len(image_paths)).tolist()
    columns = (numbers[:, 1:], labels, numbers[:, 0])
    return tuple(list(torch.from_numpy(column[order]).split(per_image)) for column in columns)


def _rounded(boxes):
    minima = (boxes[:, :2] + 1) - 1
    return torch.cat([minima, torch.maximum(boxes[:, 2:], minima)], dim=1)


def _voc_line(image_id, score, box):
    x_min, y_min, x_max, y_max = box
    return f"{image_id} {score:.9g} {x_min + 1:.9g} {y_min + 1:.9g} {x_max:.9g} {y_max:.9g}\n"


def _coco_entry(image, label, score, box):
    """As `json.dumps` would write it, in a fraction of the time: Python's floats are JSON's."""
    x_min, y_min, x_max, y_max = box
    bbox = [x_min, y_min, x_max - x_min, y_max - y_min]
    return f'{{"image_id": {image}, "category_id": {label}, "bbox": {bbox}, "score": {score}}}'


def _image_ids(image_paths):
    """Image id -> place in the test list."""
    ids = {}
    for index, path in enumerate(image_paths):
        image_id = PureWindowsPath(path).stem  # which takes / and \\ alike: the list may come from another system
        first = ids.setdefault(image_id, index)
        if first != index:
            raise InputError(f"{path} and {image_paths[first]} have the same image id {image_id}; rename one.")
    return ids


def _read_voc(folder, label_map, image_paths):
    """Rows (image, label, [score, x_min, y_min, x_max, y_max]) of all files, in 1-based inclusive pixels."""
    ids = _image_ids(image_paths)
    files = sorted(folder.glob(f"{VOC_PREFIX}*.txt"))
    if not files:
        raise InputError(f"{folder} holds no {VOC_PREFIX}<class>.txt; give a folder of VOC result files.")
    for file in files:
        name = file.stem[len(VOC_PREFIX) :]
        if name not in class_names(label_map):
            raise InputError(f"{file}: the data set has no class {name}; remove the file or name the right data set.")
        with open(file, encoding="utf-8-sig", errors="replace") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _voc_row(line.strip(), label_map[name], ids, f"{file}, line {number}")


def _voc_row(line, label, ids, where):
    image_id, *numbers = line.rsplit(maxsplit=5)  # an image id may hold spaces
    if len(numbers) != 5:
        n = len(numbers) + 1
        raise InputError(f"{where}: {n} columns instead of image, score, x_min, y_min, x_max, y_max.")
    numbers = _finite(numbers, where)
    if image_id not in ids:
        raise InputError(f"{where}: the test list has no picture {image_id}.")
    _, x_min, y_min, x_max, y_max = numbers
    _check_box(x_min - 1, y_min - 1, x_max, y_max, where)
    return ids[image_id], label, numbers


def _read_coco(path, label_map, image_paths):
    """Rows (image, label, [score, x_min, y_min, x_max, y_max]) of a COCO results JSON."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}).") from None
    if not isinstance(entries, list):
        raise InputError(f"{path}: holds a {type(entries).__name__} instead of COCO's list of detections.")
    labels = [label_map[name] for name in class_names(label_map)]
    for number, entry in enumerate(entries, start=1):
        yield _coco_row(entry, labels, len(image_paths), f"{path}, detection {number}")


def _coco_row(entry, labels, n_images, where):
    try:
        image, label, bbox, score = (entry[key] for key in ("image_id", "category_id", "bbox", "score"))
        x_min, y_min, width, height = bbox
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where}: needs image_id, category_id, score and a bbox of four numbers.") from None
    if type(image) is not int or image not in range(n_images):
        raise InputError(f"{where}: the test list has no picture {image!r}; ids are its places, 0 to {n_images - 1}.")
    if type(label) is not int or label not in labels:
        raise InputError(f"{where}: the label map has no label {label!r}.")
    score, x_min, y_min, width, height = _finite([score, x_min, y_min, width, height], where)
    numbers = _finite([score, x_min, y_min, x_min + width, y_min + height], where)
    _check_box(*numbers[1:], where)
    return image, label, numbers


def _finite(numbers, where):
    try:
        values = [float(number) for number in numbers]
    except (TypeError, ValueError):
        raise InputError(f"{where}: {numbers} are not all numbers.") from None
    except OverflowError:  # an integer of hundreds of digits
        values = [float("inf")]
    if not all(abs(value) <= LARGEST for value in values):
        raise InputError(f"{where}: {numbers} are not all finite numbers of float32.")
    return values


def _check_box(x_min, y_min, x_max, y_max, where):
    # Rounding to nine digits can move the two sides of an empty box past each other, by less than this.
    slack = 1e-8 * (1 + max(abs(x_min), abs(y_min)))
    if x_max < x_min - slack or y_max < y_min - slack:
        box = f"{x_min:g}, {y_min:g} to {x_max:g}, {y_max:g}"
        raise InputError(f"{where}: the box ends before it begins ({box} in 0-based pixels).")


def _as_float32_was(numbers):
    """Numbers read from text; those that are the nine-digit form of a float32 number become that number again."""
    with np.errstate(over="ignore"):  # beyond float32 the nearest is infinite, and not taken
        nearest = numbers.astype(np.float32).astype(np.float64)
    digit = 10.0 ** (np.floor(np.log10(np.abs(numbers), where=numbers != 0, out=np.zeros_like(numbers))) - 8)
    nine_digits = np.abs(numbers / digit - np.rint(numbers / digit)) < 1e-5
    return np.where(nine_digits & (np.abs(nearest - numbers) <= 0.5001 * digit), nearest, numbers)
