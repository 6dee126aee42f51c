"""What detect.py writes: annotated copies under names of their own, and the detections in several formats.

A record says what was found in a picture or in a frame of a video: {"image": path, "annotated": name of the copy,
"width", "height", "detections": [{"name", "score", "box": [x_min, y_min, x_max, y_max] in its pixels}, ...]}, and of a
frame {"frame": its number from 0, "time": in seconds} too.
"""

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

from ssd.data.formats.coco import write_coco
from ssd.data.formats.paths import annotation_names
from ssd.data.formats.records import AnnotatedImage, AnnotatedObject
from ssd.data.formats.voc import write_voc
from ssd.data.formats.yolo import write_yolo
from ssd.errors import InputError
from ssd.files import replacing

LARGEST_JPEG = 65500  # pixels a side
FORMATS = {  # of detections, and where in the output folder they are
    "json": "detections.json",
    "csv": "detections.csv",
    "voc": "voc",
    "coco": "coco.json",
    "yolo": "yolo",
}
ANNOTATION_FORMATS = {"voc", "coco", "yolo"}  # which readers of data sets read back; they know no frames of videos
COLUMNS = ("image", "frame", "time", "width", "height", "name", "score", "x_min", "y_min", "x_max", "y_max")


# Names


def output_names(pictures, videos=()):
    """A name for the annotated copy of each: its own as .jpg or .mp4, with a number where several have the same one
    but for capitals."""
    names, taken, repeats = {}, set(), Counter()
    for path, ending in [(path, ".jpg") for path in pictures] + [(path, ".mp4") for path in videos]:
        name, stem = f"{path.stem}{ending}", path.stem.casefold()
        while name.casefold() in taken:
            repeats[stem] += 1
            name = f"{path.stem}_{repeats[stem] + 1}{ending}"
        names[path] = name
        taken.add(name.casefold())
    return names


def check_output(output, names):
    """Raises InputError where an annotated copy would be written over a picture, or beside it. names: of the copies."""
    originals = {_file_id(path) for original in names for path in _original_and_folders(original)}
    written = {_file_id(path) for path in (output, *(output / name for name in names.values()))}
    if originals & written - {None}:
        raise InputError(f"--output {output} is where the pictures are; annotated copies would replace them")


def _original_and_folders(path):
    real = os.path.realpath(path) if os.path.lexists(path) else path
    return path, path.parent, Path(real).parent


def _file_id(path):
    """What a file or folder has alone, however it is linked to and spelt; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def check_formats(formats, pictures, videos):
    """Raises InputError where formats cannot hold what is to be found in these pictures and videos."""
    if videos and (wrong := sorted(ANNOTATION_FORMATS & set(formats))):
        raise InputError(f"--save {','.join(wrong)} is for pictures; json and csv hold the frames of {videos[0]} too")
    if {"voc", "yolo"} & set(formats):  # a file for each picture
        annotation_names(pictures, "")


def fresh(path):
    """The path, nothing there any more: a link would be followed to a file elsewhere."""
    path.unlink(missing_ok=True)
    return path


# Contents


def save_picture(image, path):
    """Write an annotated copy, as PNG where it is too long for a JPEG. Returns its name."""
    if max(image.size) > LARGEST_JPEG:
        path = path.with_suffix(".png")
    image.save(fresh(path), quality=95)
    return path.name


def record(path, annotated, image, detections):
    """The record of a picture. path: of it. annotated: name of the annotated copy. image: PIL. detections: in it."""
    return {
        "image": str(path),
        "annotated": annotated,
        "width": image.width,
        "height": image.height,
        "detections": detections.to_list(),
    }


def save_records(folder, records, formats, class_names):
    """Write records in some of FORMATS.

    class_names: of the labels 1, 2, ...; empty for a label without a class, as COCO's ids have.
    Returns notes on what a format cannot hold.
    """
    notes = []
    if "json" in formats:
        _write(folder / FORMATS["json"], json.dumps(records, indent=1) + "\n")
    if "csv" in formats:
        _write(folder / FORMATS["csv"], _as_csv(records))
    images = [_as_annotated(entry) for entry in records]
    for name, write in {"voc": write_voc, "coco": write_coco, "yolo": write_yolo}.items():
        if name in formats:
            notes += write(folder / FORMATS[name], images, class_names)
    return notes


def _write(path, text):
    with replacing(path) as file:
        file.write(text.encode("utf-8", "surrogateescape"))  # names of files may be no Unicode


def _as_csv(records):
    """A row for each detection; frame and time are empty for a picture."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for entry in records:
        where = [entry.get(column) for column in COLUMNS[:5]]
        rows.writerows([*where, found["name"], found["score"], *found["box"]] for found in entry["detections"])
    return text.getvalue()


def _as_annotated(entry):
    """A record as the writers of annotations take it."""
    objects = [
        AnnotatedObject(found["name"], tuple(found["box"]), score=found["score"]) for found in entry["detections"]
    ]
    return AnnotatedImage(entry["image"], (entry["width"], entry["height"]), objects)
