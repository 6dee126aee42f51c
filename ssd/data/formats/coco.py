"""Annotations in the format of COCO: one JSON file with images, annotations and categories."""

import json
import os
import re
from collections import defaultdict
from functools import partial
from pathlib import Path
from reprlib import repr as short

from ssd.data.formats.paths import find_files, inside, read_json, relative_names, write_text
from ssd.data.formats.records import Annotated, as_number, as_size, read_images
from ssd.errors import InputError

SPLIT_WORD = re.compile(r"(?<![a-z])(train|val|test)(id|idation)?(?![a-z])")
TRIED = 20  # pictures looked for in each folder where they might be


# Reading


def read_coco(path, split=None, images_folder=None):
    """The images of a JSON file of COCO's format and what is on them.

    path, split: see `coco_file`. images_folder: what file names are relative to; without it, the usual places near the
    JSON are tried. Crowd regions, and objects to "ignore", which converters from VOC write, become difficult.
    Returns images (paths), objects and notes, see `ssd.data.formats.records`.
    Raises InputError where the file is not of this format, and where no image at all can be used.
    """
    path = coco_file(path, split)
    content = read_json(path, dict, missing="no such file of annotations")
    records, annotations, categories = (_list(content, key, path) for key in ("images", "annotations", "categories"))
    names = {_key(category, "id"): _name(category) for category in categories}
    by_image, notes = defaultdict(list), []
    for record in annotations:
        by_image[_key(record, "image_id")].append(_annotated(record, names))
    images_folder = Path(images_folder or _images_folder(path, records))
    items, seen = [], set()
    for record in records:
        key = _key(record, "id")
        annotated = by_image.pop(key, [])
        try:
            image = inside(images_folder, record.get("file_name"))
            if key in seen:
                raise InputError("another image has this id")
        except InputError as error:
            notes.append(f"{path}: image {short(record.get('id'))}: {error}, left out")
            continue
        seen.add(key)
        items.append((f"{path}: {record['file_name']}", image, partial(_content, annotated, record)))
    notes += [f"{path}: {each.told} is on no image of the file, dropped" for rest in by_image.values() for each in rest]
    return read_images(items, path.stem, notes)


def _content(annotated, record, size):
    return annotated, as_size(record.get("width"), record.get("height"))


def _list(content, key, path):
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: not of COCO's format, which has a list of objects under {key!r}")
    return records


def _key(record, name):
    """An id as a key, of any type that JSON has; 7, 7.0 and "7", which tools mix up, are the same."""
    value = record.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _name(category):
    name = category.get("name")
    return str(name) if type(name) in (int, float) else name


def _annotated(record, names):
    bbox, number = record.get("bbox"), short(record.get("id"))
    numbers = [as_number(value) for value in bbox] if isinstance(bbox, list) else []
    x_min, y_min, width, height = numbers if len(numbers) == 4 else [float("nan")] * 4
    difficult = record.get("iscrowd") in (1, True) or record.get("ignore") in (1, True)
    name = names.get(_key(record, "category_id"))
    told = f"bbox = {short(bbox)}, category_id = {short(record.get('category_id'))} (annotation {number})"
    return Annotated(name, (x_min, y_min, x_min + width, y_min + height), difficult, told)


def _images_folder(path, records):
    """The first folder near the annotations that holds one of the first pictures."""
    split = re.sub(r"^(instances|annotations|person_keypoints)_|^_annotations\.coco$", "", path.stem)
    near = [base / part for base in (path.parent, path.parent.parent) for part in ("", "images", "data", "img")]
    folders = [folder / part for folder in near for part in dict.fromkeys(("", split))]
    names = [record.get("file_name") for record in records[:TRIED]]
    for folder in folders:
        if any(_holds(folder, name) for name in names):
            return folder
    places = ", ".join(dict.fromkeys(str(folder) for folder in folders))
    raise InputError(
        f"{path}: none of its first pictures ({short(names[0]) if names else 'it names no images'}) is in one of "
        f"{places}; name their folder with --images"
    )


def _holds(folder, name):
    try:
        return os.path.isfile(inside(folder, name))
    except InputError:
        return False


def coco_file(path, split=None):
    """The file of annotations of a split.

    path: a JSON file, or a folder. split: a JSON file in the folder or anywhere, or "train", "val" or "test" for the
    one that `find_coco` finds; without it, the file itself or the only one in the folder.
    Raises InputError where there is none, or more than one.
    """
    path = Path(path)
    if split is None and not path.is_dir():
        return path
    if split is not None:
        named = [base / split for base in (path, path.parent, Path()) if (base / split).is_file()]
        if named:
            return named[0]
    found = find_coco(path)
    files = [file for each in found.values() for file in each] if split is None else found.get(split, [])
    if len(files) != 1:
        known = ", ".join(str(file) for each in found.values() for file in each) or "no JSON file"
        what = f"{len(files) or 'no'} files of annotations" + (f" for {split!r}" if split else "")
        raise InputError(f"{path}: has {what}, one is needed (there: {known}); name it with --train or --test")
    return files[0]


def find_coco(folder):
    """The JSON files of annotations in a folder, by what they are of: "train", "val", "test", or else their stem.

    Looks for FOLDER/SPLIT/_annotations.coco.json (Roboflow), and in FOLDER/annotations and FOLDER for other JSON files,
    "instances_" before those of other tasks.
    """
    folder = Path(folder)
    files = [file for file in find_files(folder, {".json"}) if file.name.startswith("_annotations")]
    files = files or sorted((folder / "annotations").glob("*.json")) or sorted(folder.glob("*.json"))
    files = [file for file in files if file.name.startswith("instances_")] or files
    found = {}
    for file in files:
        word = SPLIT_WORD.search(file.relative_to(folder).as_posix())
        found.setdefault(word.group(1) if word else file.stem, []).append(file)
    return found


# Writing


def write_coco(path, images, objects, class_names, scores=None):
    """Write a JSON file of COCO's format (https://cocodataset.org/#format-data).

    images, objects, scores, and the notes returned (none: the format holds everything): see `ssd.data.formats.records`.
    Categories count from 1 in the order of class_names, so that ids are labels. Images count from 1. A difficult object
    is a crowd, which COCO's evaluation too neither rewards nor punishes. A score becomes the "score" that results have.
    """
    ids = {name: number for number, name in enumerate(class_names, start=1)}
    scores = scores or [None] * len(images)
    annotations = []
    for image_id, (entry, image_scores) in enumerate(zip(objects, scores, strict=True), start=1):
        for k, (name, box) in enumerate(zip(entry["names"], entry["boxes"], strict=True)):
            annotation = coco_annotation(len(annotations) + 1, image_id, ids[name], box, entry["difficulties"][k])
            annotations.append(annotation | ({"score": image_scores[k]} if image_scores else {}))
    content = {
        "images": [
            {"id": number, "file_name": name, "width": entry["size"][0], "height": entry["size"][1]}
            for number, (name, entry) in enumerate(zip(relative_names(images), objects, strict=True), start=1)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }
    write_text(Path(path), json.dumps(content) + "\n")
    return []


def coco_annotation(number, image_id, category_id, box, difficult):
    """An object as an annotation of COCO's format. box: x_min, y_min, x_max, y_max in pixels."""
    x_min, y_min, x_max, y_max = box
    bbox = [x_min, y_min, x_max - x_min, y_max - y_min]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": int(difficult),
    }
