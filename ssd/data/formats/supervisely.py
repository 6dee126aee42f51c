"""Annotations in the format of Supervisely: a JSON file for each image, and meta.json."""

import json
from functools import partial
from pathlib import Path, PurePosixPath
from reprlib import repr as short

from ssd.data.formats.paths import PictureFinder, find_files, read_json, relative_names, write_text
from ssd.data.formats.records import Annotated, as_size, box_around, read_images
from ssd.errors import InputError
from ssd.visualize import class_colour

DIFFICULT, CONFIDENCE = "difficult", "confidence"  # names of tags


# Reading


def read_supervisely(folder, split=None, images_folder=None):
    """The images of a project of Supervisely, or of one of its data sets, and what is on them.

    folder: of the project. split: the name of a data set, a folder in it with "ann" and "img"; without one, all are
    read. images_folder: where the pictures are, if they are not in there. An object that is no rectangle has the box
    around its points; masks have none. One with the tag "difficult" is difficult.
    Returns images (paths), objects and notes, see `ssd.data.formats.records`.
    Raises InputError on a missing data set, and where no image at all can be used.
    """
    root = Path(folder) / (split or "")
    annotations = [path for path in find_files(root, {".json"}) if path.parent.name == "ann"]
    if not annotations:
        raise InputError(f"{root}: {'holds no annotations (ann/*.json)' if root.is_dir() else 'no such folder'}")
    finder = PictureFinder(images_folder or root)
    pairs, notes = finder.pair(annotations, lambda path: (path.stem, path.name), all_annotated=images_folder is None)
    items = [(path, image, partial(_read_annotation, path)) for path, image in pairs]
    return read_images(items, root.name, notes)


def _read_annotation(path, size):
    content = read_json(path, dict)
    objects, annotated_size = content.get("objects"), content.get("size")
    if not isinstance(objects, list) or not all(isinstance(record, dict) for record in objects):
        raise InputError(f"{path}: not of Supervisely's format, which has a list of objects")
    sides = annotated_size if isinstance(annotated_size, dict) else {}
    return [_annotated(record) for record in objects], as_size(sides.get("width"), sides.get("height"))


def _annotated(record):
    points, tags = record.get("points"), record.get("tags")
    exterior = points.get("exterior") if isinstance(points, dict) else None
    told = f"{short(record.get('geometryType'))} {short(exterior)}"
    tags = tags if isinstance(tags, list) else []
    difficult = any(isinstance(tag, dict) and tag.get("name") == DIFFICULT for tag in tags)
    return Annotated(record.get("classTitle"), _pixels_box(exterior), difficult, told)


def _pixels_box(points):
    """The continuous box around pixels, of which the last are part."""
    try:
        x, y = zip(*points, strict=True)
    except (TypeError, ValueError):
        x, y = (), ()
    x_min, y_min, x_max, y_max = box_around(x, y)
    return x_min, y_min, x_max + 1, y_max + 1


# Writing


def write_supervisely(folder, images, objects, class_names, split="dataset", scores=None):
    """Write `split`/ann/NAME.json for each image, and meta.json with the classes.

    images, objects, scores, and the notes returned (none: the format holds everything): see `ssd.data.formats.records`.
    split: of the project's data sets, the name of this one. Supervisely counts pixels from 0 and includes the last:
    [x_min, x_max] becomes x_min and x_max - 1. A difficult object has a tag of this name, a score is the value of the
    tag "confidence", as Supervisely's own detectors have it.
    """
    folder = Path(folder)
    scores = scores or [None] * len(images)
    for name, entry, image_scores in zip(relative_names(images), objects, scores, strict=True):
        content = {
            "description": "",
            "tags": [],
            "size": {"width": entry["size"][0], "height": entry["size"][1]},
            "objects": [_object(entry, k, image_scores and image_scores[k]) for k in range(len(entry["boxes"]))],
        }
        path = PurePosixPath(name)
        write_text(folder / split / path.parent / "ann" / f"{path.name}.json", json.dumps(content, indent=1) + "\n")
    write_text(folder / "meta.json", json.dumps(_meta(class_names), indent=1) + "\n")
    return []


def _object(entry, k, score):
    x_min, y_min, x_max, y_max = entry["boxes"][k]
    tags = [{"name": DIFFICULT}] if entry["difficulties"][k] else []
    return {
        "classTitle": entry["names"][k],
        "geometryType": "rectangle",
        "points": {"exterior": [[x_min, y_min], [x_max - 1, y_max - 1]], "interior": []},
        "tags": tags + ([] if score is None else [{"name": CONFIDENCE, "value": score}]),
    }


def _meta(class_names):
    colours = ["#{:02X}{:02X}{:02X}".format(*class_colour(k)) for k in range(len(class_names))]
    return {
        "classes": [
            {"title": name, "shape": "rectangle", "color": colour}
            for name, colour in zip(class_names, colours, strict=True)
        ],
        "tags": [
            {"name": DIFFICULT, "value_type": "none", "color": "#808080"},
            {"name": CONFIDENCE, "value_type": "any_number", "color": "#404040"},
        ],
        "projectType": "images",
    }
