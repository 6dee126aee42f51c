"""Annotations in Supervisely's format: a JSON file for each image."""

from functools import partial
from pathlib import Path
from reprlib import repr as short
from typing import Any

from ssd.data.formats.paths import PictureFinder
from ssd.data.formats.records import AnnotatedImage, Box, Note, RawObject, Size, as_size, box_around, read_images
from ssd.errors import InputError
from ssd.files import find_files, read_json

DIFFICULT = "difficult"  # the tag of a difficult object


def read_supervisely(
    folder: str | Path, split: str | None = None, images_folder: str | Path | None = None
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a Supervisely project or of one of its data sets, and notes, see
    `ssd.data.formats.records`.

    folder: of the project. split: the name of a data set, a folder with "ann" and "img"; without it, all are read.
    images_folder: where the pictures are, if elsewhere. An object that is not a rectangle gets the box around its
    points; masks have none. One with the tag "difficult" is difficult.
    Raises InputError where the data set is missing or none of its images can be used.
    """
    root = Path(folder) / (split or "")
    annotations = [path for path in find_files(root, {".json"}) if path.parent.name == "ann"]
    if not annotations:
        raise InputError(f"{root}: {'holds no annotations (ann/*.json)' if root.is_dir() else 'no such folder'}")
    finder = PictureFinder(images_folder or root)
    pairs, notes = finder.pair(annotations, lambda path: (path.stem, path.name), all_annotated=images_folder is None)
    items = [(path, image, partial(read_annotation, path)) for path, image in pairs]
    return read_images(items, root.name, notes)


def read_annotation(path: Path, size: Size) -> tuple[list[RawObject], Size | None]:
    """What one JSON file says, see `ReadObjects`. Raises InputError if it is in another format."""
    content = read_json(path, dict)
    objects, annotated_size = content.get("objects"), content.get("size")
    if not isinstance(objects, list) or not all(isinstance(record, dict) for record in objects):
        raise InputError(f"{path}: not in Supervisely's format, which has a list of objects")
    sides = annotated_size if isinstance(annotated_size, dict) else {}
    return [_raw_object(record) for record in objects], as_size(sides.get("width"), sides.get("height"))


def _raw_object(record: dict[str, Any]) -> RawObject:
    points, tags = record.get("points"), record.get("tags")
    exterior = points.get("exterior") if isinstance(points, dict) else None
    wording = f"{short(record.get('geometryType'))} {short(exterior)}"
    tags = tags if isinstance(tags, list) else []
    difficult = any(isinstance(tag, dict) and tag.get("name") == DIFFICULT for tag in tags)
    return RawObject(record.get("classTitle"), _pixels_box(exterior), difficult, wording)


def _pixels_box(points: Any) -> Box:
    """The continuous box around points, which are pixels counted from 0; the last are part of the object."""
    try:
        x, y = zip(*points, strict=True)
    except (TypeError, ValueError):
        x, y = (), ()
    x_min, y_min, x_max, y_max = box_around(x, y)
    return x_min, y_min, x_max + 1, y_max + 1
