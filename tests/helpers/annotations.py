"""Annotated images, and files to read them from."""

import json

from PIL import Image

from ssd.commands import data as create_data_lists
from ssd.data import read_data_list
from ssd.data.formats.records import AnnotatedImage, AnnotatedObject


def picture(path, size=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "white").save(path)
    return path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def annotated(path, *rows, size=(40, 30), n_dropped=0):
    """An `AnnotatedImage`; rows: name, box, whether it is difficult."""
    objects = [AnnotatedObject(name, tuple(box), bool(d)) for name, box, d in rows]
    return AnnotatedImage(str(path), size, objects, n_dropped)


def crowd(name, box):
    return AnnotatedObject(name, tuple(box), crowd=True)


def paths(images):
    return [image.path for image in images]


def names(images):
    """The class names on each image."""
    return [[each.name for each in image.objects] for image in images]


def lists(*args, output):
    """The data lists that the command writes."""
    assert create_data_lists.main([*map(str, args), "--output", str(output)]) == 0
    return read_data_list(output, "train"), read_data_list(output, "test")
