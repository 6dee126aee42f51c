"""Annotations in the format of YOLO: a text file for each image, and data.yaml."""

import json
from pathlib import Path

from ssd.data.folders import annotation_names, write_text


def write_yolo(folder, images, objects, class_names, split=None, scores=None):
    """Write labels/NAME.txt (with a split: labels/`split`/NAME.txt) for each image, and data.yaml with the classes.

    A line for each object: the class's place in class_names, from 0, and the box's centre, width and height as
    fractions of the picture. Where there is a score, it is the sixth number.
    images, objects, scores, and the notes returned: see `ssd.data.annotations`. YOLO has no difficult objects: they
    become ordinary ones, which is noted.
    Raises InputError where two images would share a file, see `annotation_names`.
    """
    folder, places = Path(folder), {name: place for place, name in enumerate(class_names)}
    labels = folder / "labels" / (split or "")
    scores = scores or [None] * len(images)
    for file, entry, image_scores in zip(annotation_names(images, ".txt"), objects, scores, strict=True):
        rows = [
            (places[name], *_fractions(box, entry["size"]))
            for name, box in zip(entry["names"], entry["boxes"], strict=True)
        ]
        if image_scores:
            rows = [(*row, score) for row, score in zip(rows, image_scores, strict=True)]
        write_text(labels / file, "".join(" ".join(map(str, row)) + "\n" for row in rows))
    write_text(folder / "data.yaml", _yaml(folder, class_names))
    difficult = sum(sum(entry["difficulties"]) for entry in objects)
    return [f"{labels}: {difficult} difficult objects, which YOLO does not know, became ordinary"] if difficult else []


def _fractions(box, size):
    (x_min, y_min, x_max, y_max), (width, height) = box, size
    return (
        (x_min + x_max) / 2 / width,
        (y_min + y_max) / 2 / height,
        (x_max - x_min) / width,
        (y_max - y_min) / height,
    )


def _yaml(folder, class_names):
    """The classes, and where Ultralytics expects the pictures of each split that there is."""
    splits = [split for split in ("train", "val", "test") if (folder / "labels" / split).is_dir()]
    names = [f"  {place}: {json.dumps(name)}" for place, name in enumerate(class_names)]
    return "\n".join([*(f"{split}: images/{split}" for split in splits), "names:", *names]) + "\n"
