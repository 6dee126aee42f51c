"""Reads data sets in the layout of Pascal VOC: ImageSets/Main, Annotations, JPEGImages."""

import re
from math import isfinite, nan
from pathlib import Path
from xml.etree import ElementTree

from tqdm import tqdm

from ssd.config import create_label_map
from ssd.data.images import image_size
from ssd.errors import InputError


def read_voc(folder, split):
    """The images of a split and what is on them.

    Returns images (paths), objects (for each image {"size", "boxes", "names", "difficulties"}, boxes in continuous
    pixels of the upright picture) and notes (a sentence for each object that was dropped or repaired).
    Raises InputError on a missing or unreadable file.
    """
    folder, images, objects, notes = Path(folder), [], [], []
    for name in tqdm(read_split(folder, split), desc=f"{folder.name} {split}", unit="image"):
        image = folder / "JPEGImages" / f"{name}.jpg"
        annotation = folder / "Annotations" / f"{name}.xml"
        root, size = _read_xml(annotation), image_size(image)
        try:
            entry, entry_notes = parse_annotation(root, size)
        except InputError as error:
            raise InputError(f"{annotation}: {error}") from None
        images.append(str(image))
        objects.append(entry)
        notes += [f"{annotation}: {note}" for note in entry_notes]
    return images, objects, notes


def read_split(folder, split):
    """The image names in ImageSets/Main/`split`.txt, without the column that says whether a class is there (-1, 0, 1).

    Raises InputError where the file is missing, empty or not UTF-8.
    """
    path = Path(folder) / "ImageSets" / "Main" / f"{split}.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        available = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
        raise InputError(f"{path}: no such split file (there: {available})") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save it in that encoding") from None
    names = [re.sub(r"\s+(-1|0|1)$", "", line.strip()) for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: names no images")
    return names


def parse_annotation(root, size):
    """The objects of one annotation.

    root: the XML's root element. size: (width, height) of the upright picture.
    VOC counts pixels from 1 and includes the last: xmin..xmax becomes [xmin - 1, xmax], a minimum of 0 stays 0. A box
    without area is dropped; one that leaves the picture is clipped to it.
    Returns {"size", "boxes", "names", "difficulties"} and a note on each object that was dropped or clipped.
    Raises InputError on an object without a name or with a corner that is no number.
    """
    entry = {"size": list(size), "boxes": [], "names": [], "difficulties": []}
    notes = []
    for k, element in enumerate(root.iter("object"), start=1):
        name, box, difficult = _parse_object(element)
        what = f"object {k} ({name}) with xmin, ymin, xmax, ymax = {', '.join(f'{v:g}' for v in box)}"
        clipped = _to_continuous(box, size)
        if box[2] <= box[0] or box[3] <= box[1] or clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
            notes.append(f"{what} has no area in the picture, dropped")
            continue
        if box[2] > size[0] or box[3] > size[1] or min(box) < 0:
            notes.append(f"{what} leaves the picture of {size[0]} x {size[1]} pixels, clipped")
        entry["boxes"].append(clipped)
        entry["names"].append(name)
        entry["difficulties"].append(difficult)
    return entry, notes


def _to_continuous(box, size):
    low = [max(value - 1, 0) for value in box[:2]]
    high = [min(value, side) for value, side in zip(box[2:], size, strict=True)]
    return low + high


def _parse_object(element):
    name = (element.findtext("name") or "").strip()
    if not name:
        raise InputError("an object has no name")
    box = [_number(element, f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
    return name, box, int((element.findtext("difficult") or "0").strip() == "1")


def _number(element, path):
    text = element.findtext(path) or ""
    try:
        value = float(text)
    except ValueError:
        value = nan
    if not isfinite(value):
        raise InputError(f"an object's {path} is {text!r}, not a number")
    return value


def _read_xml(path):
    try:
        return ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(f"{path}: no such annotation") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding it cannot read
        raise InputError(f"{path}: not XML ({error})") from None


def label_objects(images, objects, class_names):
    """The entries of `read_voc` with labels for names, as data lists hold them.

    Raises InputError, naming names and a file, where an object is of none of the classes.
    """
    label_map = create_label_map(class_names)
    unknown = {
        name: image
        for image, entry in zip(images, objects, strict=True)
        for name in entry["names"]
        if name not in class_names
    }
    if unknown:
        name, image = next(iter(unknown.items()))
        raise InputError(
            f"unknown class {', '.join(sorted(unknown))} ({name} in the annotation of {image}); "
            f"the classes are {', '.join(class_names)}"
        )
    return [
        {
            "size": entry["size"],
            "boxes": entry["boxes"],
            "labels": [label_map[name] for name in entry["names"]],
            "difficulties": entry["difficulties"],
        }
        for entry in objects
    ]
