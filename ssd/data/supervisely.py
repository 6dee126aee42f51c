"""Annotations in the format of Supervisely: a JSON file for each image, and meta.json."""

import json
from pathlib import Path, PurePosixPath

from ssd.data.folders import relative_names, write_text
from ssd.visualize import class_colour

DIFFICULT, CONFIDENCE = "difficult", "confidence"  # names of tags


def write_supervisely(folder, images, objects, class_names, split="dataset", scores=None):
    """Write `split`/ann/NAME.json for each image, and meta.json with the classes.

    images, objects, scores, and the notes returned (none: the format holds everything): see `ssd.data.annotations`.
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
