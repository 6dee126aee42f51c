"""Annotations in COCO's format: one JSON file with images, annotations and categories."""

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import nan
from pathlib import Path, PureWindowsPath
from reprlib import repr as short
from typing import Any

from ssd.data.formats.paths import inside, relative_names
from ssd.data.formats.records import (
    DECIMALS,
    AnnotatedImage,
    Box,
    Item,
    Note,
    RawObject,
    Size,
    as_number,
    as_size,
    read_images,
)
from ssd.errors import InputError
from ssd.files import find_files, json_lists, read_json, replacing

SPLIT_WORD = re.compile(r"(?<![a-z])(train|val|test)(id|idation)?(?![a-z])")
TRIED = 20  # pictures to look for in each folder where they might be

Record = dict[str, Any]  # an object of the JSON file, whose values may be of any type


# Reading


def read_coco(
    path: str | Path, split: str | None = None, images_folder: str | Path | None = None
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a COCO JSON file, and notes, see `ssd.data.formats.records`.

    path, split: see `coco_file`. images_folder: what file names are relative to; without it, the usual places near the
    JSON are tried. Objects to "ignore", which converters from VOC write, become difficult.
    Raises InputError where the file is not in this format or none of its images can be used.
    """
    path = coco_file(path, split)
    records, by_image = _contents(path)
    items, notes = _items(path, records, by_image, Path(images_folder or _images_folder(path, records)))
    ids = {_key(record, "id") for record in records}
    astray = [each for key, found in by_image.items() if key not in ids for each in found]
    notes += [Note(str(path), f"{each.wording} belongs to no image in the file", "dropped") for each in astray]
    return read_images(items, path.stem, notes)


def read_annotation(path: Path, picture: str, size: Size) -> tuple[list[RawObject], Size | None]:
    """What a JSON file says of the picture of this file name, see `ReadObjects`. size: of the upright picture.

    Raises InputError if the file is in another format, or does not name just one such picture.
    """
    records, by_image = _contents(path)
    named = [record for record in records if PureWindowsPath(str(record.get("file_name"))).name == picture]
    if len(named) != 1:
        raise InputError(f"{path}: names {len(named)} pictures {picture}; one is expected")
    return _content(by_image.get(_key(named[0], "id"), []), named[0], size)


def _contents(path: Path) -> tuple[list[Record], Mapping[str, list[RawObject]]]:
    """The records of the images in a file, and the objects by the id of their image."""
    content = read_json(path, dict, missing="no such file of annotations")
    records, annotations, categories = (_list(content, key, path) for key in ("images", "annotations", "categories"))
    names = {_key(category, "id"): _name(category) for category in categories}
    by_image = defaultdict(list)
    for record in annotations:
        by_image[_key(record, "image_id")].append(_raw_object(record, names))
    return records, by_image


def _items(
    path: Path, records: list[Record], by_image: Mapping[str, list[RawObject]], images_folder: Path
) -> tuple[list[Item], list[Note]]:
    """What `read_images` takes, and a note for each image whose file name or id cannot be used."""
    items: list[Item] = []
    notes: list[Note] = []
    seen: set[str] = set()
    for record in records:
        key = _key(record, "id")
        try:
            image = inside(images_folder, record.get("file_name"))
            if key in seen:
                raise InputError("another image has this id")
        except InputError as error:
            notes.append(Note(str(path), f"image {short(record.get('id'))}: {error}", "left out"))
            continue
        seen.add(key)
        items.append((f"{path}: {record['file_name']}", image, partial(_content, by_image.get(key, []), record)))
    return items, notes


def _content(found: list[RawObject], record: Record, size: Size) -> tuple[list[RawObject], Size | None]:
    return found, as_size(record.get("width"), record.get("height"))


def _list(content: Record, key: str, path: Path) -> list[Record]:
    records = content.get(key)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{path}: not in COCO's format, which has a list of objects under {key!r}")
    return records


def _key(record: Record, name: str) -> str:
    """An id of any JSON type as a key; 7, 7.0 and "7", which tools mix up, are the same."""
    value = record.get(name)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value)


def _name(category: Record) -> object:
    name = category.get("name")
    return str(name) if type(name) in (int, float) else name


def _raw_object(record: Record, names: dict[str, object]) -> RawObject:
    bbox, number = record.get("bbox"), short(record.get("id"))
    numbers = [as_number(value) for value in bbox] if isinstance(bbox, list) else []
    x_min, y_min, width, height = numbers if len(numbers) == 4 else [nan] * 4
    crowd, difficult = (record.get(key) in (1, True) for key in ("iscrowd", "ignore"))
    name = names.get(_key(record, "category_id"))
    wording = f"bbox = {short(bbox)}, category_id = {short(record.get('category_id'))} (annotation {number})"
    return RawObject(name, (x_min, y_min, x_min + width, y_min + height), difficult, wording, crowd)


def _images_folder(path: Path, records: list[Record]) -> Path:
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


def _holds(folder: Path, name: object) -> bool:
    try:
        return os.path.isfile(inside(folder, name))
    except InputError:
        return False


def coco_file(path: str | Path, split: str | None = None) -> Path:
    """The annotation file of a split.

    path: a JSON file or a folder. split: a JSON file in the folder or anywhere else, or "train", "val" or "test" for
    the one that `find_coco` finds. Without a split, the file itself or the only one in the folder.
    Raises InputError where there is no such file, or more than one.
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
    if not found:
        raise InputError(f"{path}: holds no annotations (*.json)" if path.is_dir() else f"{path}: no such folder")
    if len(files) != 1:
        known = ", ".join(str(file) for each in found.values() for file in each) or "no JSON file"
        what = f"one annotation file{f' for {split!r}' if split else ''}, found {len(files)}"
        raise InputError(f"{path}: expected {what} (there: {known}); name it with --train or --test")
    return files[0]


def find_coco(folder: str | Path) -> dict[str, list[Path]]:
    """The annotation files in a folder by split: "train", "val" or "test", or else the file's stem.

    Looks for FOLDER/SPLIT/_annotations.coco.json (Roboflow), then for JSON files in FOLDER/annotations, then in FOLDER.
    Files named "instances_..." hide those of COCO's other tasks.
    """
    folder = Path(folder)
    files = [file for file in find_files(folder, {".json"}) if file.name.startswith("_annotations")]
    files = files or sorted((folder / "annotations").glob("*.json")) or sorted(folder.glob("*.json"))
    files = [file for file in files if file.name.startswith("instances_")] or files
    found: dict[str, list[Path]] = {}
    for file in files:
        word = SPLIT_WORD.search(file.relative_to(folder).as_posix())
        found.setdefault(word.group(1) if word else file.stem, []).append(file)
    return found


# Writing


def write_coco(path: str | Path, images: Iterable[AnnotatedImage], class_names: Sequence[str]) -> list[Note]:
    """Write a JSON file in COCO's format (https://cocodataset.org/#format-data).

    class_names: of the labels 1, 2, ..., which become the category ids; an empty name is a label without a class, and
    gives no category. Images count from 1. A score becomes the "score" of COCO's results.
    COCO has no difficult objects: they are marked "ignore", which is noted.
    """
    ids = {name: label for label, name in enumerate(class_names, start=1) if name}
    names = relative_names([image.path for image in images])
    records = (
        {"id": number, "file_name": name, "width": image.size[0], "height": image.size[1]}
        for number, (image, name) in enumerate(zip(images, names, strict=True), start=1)
    )
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, sync=False) as file:
        lists = {"images": records, "annotations": _annotations(images, ids), "categories": categories}
        file.writelines(text.encode() for text in json_lists(lists))
    difficult = sum(each.difficult for image in images for each in image.objects)
    what = f"{difficult} difficult objects, which COCO does not know and its tools take for ordinary ones"
    return [Note(str(path), what, 'marked "ignore"')] if difficult else []


def _annotations(images: Iterable[AnnotatedImage], ids: Mapping[str, int]) -> Iterator[Record]:
    rows = ((number, each) for number, image in enumerate(images, start=1) for each in image.objects)
    for k, (number, each) in enumerate(rows, start=1):
        annotation = _rounded(coco_annotation(k, number, ids[each.name], each.box, each.crowd))
        annotation |= {"ignore": 1} if each.difficult else {}
        yield annotation | ({} if each.score is None else {"score": each.score})


def _rounded(annotation: Record) -> Record:
    """Without the digits that a difference of coordinates has by rounding alone."""
    bbox = [round(value, DECIMALS) for value in annotation["bbox"]]
    return annotation | {"bbox": bbox, "area": round(annotation["area"], DECIMALS)}


def coco_annotation(number: int, image_id: int, category_id: int, box: Box, crowd: bool) -> Record:
    """An object or a crowd in COCO's format. box: x_min, y_min, x_max, y_max in pixels."""
    x_min, y_min, x_max, y_max = box
    bbox = [x_min, y_min, x_max - x_min, y_max - y_min]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": bbox,
        "area": bbox[2] * bbox[3],
        "iscrowd": int(crowd),
    }
