"""Annotations in the format of Pascal VOC, an XML file for each image, as also labelImg, CVAT and Roboflow write it."""

import os
import re
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from ssd.data.formats.paths import (
    PictureFinder,
    annotation_names,
    find_files,
    inside,
    read_bytes,
    read_text,
    relative_names,
    write_text,
)
from ssd.data.formats.records import Annotated, as_number, as_size, read_images
from ssd.errors import InputError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # which an XML file cannot hold in any form


# Reading


def read_voc(folder, split=None, images_folder=None):
    """The images of a split and what is on them.

    folder: holds ImageSets/Main, Annotations and JPEGImages, where the split is a file in ImageSets/Main; or, as
    labelImg and Roboflow leave it, XML files beside their pictures or anywhere below: then the split is a folder in
    it, and without one all files are read. images_folder: where the pictures are, if they are not in there.
    Returns images (paths), objects and notes, see `ssd.data.formats.records`; an image that is missing or no picture,
    or has an annotation that is, is left out.
    Raises InputError on a missing split, and where no image at all can be used.
    """
    folder = Path(folder)
    if split is None or (not has_split_files(folder) and (folder / split).is_dir()):
        pairs, lost = _found(folder / (split or ""), images_folder)
    else:
        pairs, lost = _listed(folder, split, images_folder)
    items = [(annotation, image, partial(_read_annotation, annotation)) for annotation, image in pairs]
    return read_images(items, f"{folder.name} {split or ''}".strip(), lost)


def has_split_files(folder):
    """Whether a folder has ImageSets/Main, as VOC's own have."""
    return (Path(folder) / "ImageSets" / "Main").is_dir()


def _read_annotation(path, size):
    root = _read_xml(path)
    return annotated_objects(root), as_size(root.findtext("size/width"), root.findtext("size/height"))


def _listed(folder, split, images_folder):
    """(annotation, image) for each name in a split file, and notes on names that are none."""
    finder = PictureFinder(images_folder or folder / "JPEGImages")
    pairs, notes = [], []
    for name in read_split(folder, split):
        try:
            annotation = inside(folder / "Annotations", f"{name}.xml")
            image = inside(finder.folder, f"{name}.jpg")
        except InputError as error:
            notes.append(f"{split_file(folder, split)}: {error}, left out")
            continue
        pairs.append((annotation, image if os.path.exists(image) else _other_ending(finder, image)))
    return pairs, notes


def _other_ending(finder, image):
    found = finder.nearest(image, [image.name])
    return found if found and found.parent == image.parent else image


def _found(folder, images_folder):
    """(annotation, image) for each XML file below a folder, and notes on annotations and pictures without the other."""
    annotations = find_files(folder, {".xml"})
    if not annotations:
        raise InputError(f"{folder}: {'holds no annotations (*.xml)' if folder.is_dir() else 'no such folder'}")
    return PictureFinder(images_folder or folder).pair(annotations, _names, all_annotated=images_folder is None)


def _names(annotation):
    yield annotation.name
    yield _filename(annotation)


def _filename(annotation):
    """The picture's name that stands in an annotation, or nothing."""
    try:
        return _read_xml(annotation).findtext("filename") or ""
    except InputError:
        return ""


def split_file(folder, split):
    """The path of ImageSets/Main/`split`.txt."""
    return Path(folder) / "ImageSets" / "Main" / f"{split}.txt"


def read_split(folder, split):
    """The image names in ImageSets/Main/`split`.txt, without the column that says whether a class is there (-1, 0, 1).

    Raises InputError where the file is missing, empty or not UTF-8.
    """
    path = split_file(folder, split)
    available = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
    lines = read_text(path, missing=f"no such split file (there: {available})").splitlines()
    names = [re.sub(r"\s+(-1|0|1)$", "", line.strip()) for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: names no images")
    return names


def annotated_objects(root):
    """The objects of one annotation, unchecked, as a list of `Annotated`. root: the XML's root element.

    VOC counts pixels from 1 and includes the last: xmin..xmax becomes [xmin - 1, xmax], a minimum of 0 stays 0, and a
    box whose xmax is not above its xmin has no area.
    """
    objects = []
    for element in root.iter("object"):
        texts = [(element.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS]
        x_min, y_min, x_max, y_max = map(as_number, texts)
        x_min, x_max = _to_continuous(x_min, x_max)
        y_min, y_max = _to_continuous(y_min, y_max)
        difficult = (element.findtext("difficult") or "").strip().lower() in ("1", "true")
        told = f"{', '.join(CORNERS)} = {', '.join(text or 'nothing' for text in texts)}"
        objects.append(Annotated(element.findtext("name"), (x_min, y_min, x_max, y_max), difficult, told))
    return objects


def _to_continuous(first, last):
    start = first - 1 if first >= 1 else min(first, 0)
    return start, start if last <= first else last


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name, pubid, system):
        # Entities, which can grow without bound or name other files, are declared in there, and nothing else of use.
        raise InputError("declares a document type (DOCTYPE), which may hold entities; remove it")


def _read_xml(path):
    text = read_bytes(path, missing="no such annotation")
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(text)
        root = parser.close()
        if root.tag != "annotation":
            raise InputError(f"no annotation of VOC's format, whose first element is <annotation>, not <{root.tag}>")
        return root
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter two: an encoding it cannot read
        raise InputError(f"{path}: not XML ({error})") from None


# Writing


def write_voc(folder, images, objects, class_names=None, split=None, scores=None):
    """Write Annotations/NAME.xml for each image and, with a split, its names as ImageSets/Main/`split`.txt.

    images, objects, scores, and the notes returned: see `ssd.data.formats.records`. class_names are not needed.
    VOC cannot hold a box that is no wider or higher than a pixel, for it counts pixels from 1 and includes the last:
    such are left out, and so are those that leave the picture. Coordinates have at most six decimals.
    A score becomes an element of the object, <score>, which VOC does not have and its readers pass over.
    Raises InputError where two images would share a file, see `annotation_names`.
    """
    folder, notes = Path(folder), []
    scores = scores or [None] * len(images)
    files = annotation_names(images, ".xml")
    for name, file, entry, image_scores in zip(relative_names(images), files, objects, scores, strict=True):
        kept = [k for k in range(len(entry["boxes"])) if _fits(entry["boxes"][k], entry["size"])]
        notes += [
            f"{name}: {entry['names'][k]} at {entry['boxes'][k]} is not wider and higher than a pixel and inside the "
            "picture, dropped"
            for k in range(len(entry["boxes"]))
            if k not in kept
        ]
        tree = voc_annotation(name, _chosen(entry, kept), scores=image_scores and [image_scores[k] for k in kept])
        write_text(folder / "Annotations" / file, ElementTree.tostring(tree.getroot(), encoding="unicode") + "\n")
    if split is not None:
        write_text(split_file(folder, split), "".join(f"{os.path.splitext(file)[0]}\n" for file in files))
    return notes


def voc_annotation(filename, entry, truncated=None, scores=None):
    """The annotation of one image, as an ElementTree.

    entry: of objects, boxes in continuous pixels. truncated: for each object whether it reaches beyond the picture's
    border. scores: for each object of a detector. VOC counts pixels from 1 and includes the last, so
    [x_min, x_max] becomes xmin = x_min + 1, xmax = x_max.
    Raises InputError on a box outside the picture, or no wider or higher than a pixel: the file cannot hold such.
    """
    root = ElementTree.Element("annotation")
    width, height = entry["size"]
    _add(root, filename=filename)
    _add(_add(root, "size"), width=width, height=height, depth=3)
    for k, (name, box) in enumerate(zip(entry["names"], entry["boxes"], strict=True)):
        if not _fits(box, entry["size"]):
            raise InputError(
                f"{filename}: the box {box} of {name} is not wider and higher than a pixel and "
                f"inside the picture of {width} x {height} pixels: clip it or leave it out"
            )
        element = _add(root, "object")
        _add(element, name=name, truncated=int(truncated[k]) if truncated else 0, difficult=entry["difficulties"][k])
        corners = (box[0] + 1, box[1] + 1, box[2], box[3])
        _add(_add(element, "bndbox"), **dict(zip(CORNERS, map(_decimal, corners), strict=True)))
        if scores:
            _add(element, score=scores[k])
    ElementTree.indent(root)
    return ElementTree.ElementTree(root)


def _fits(box, size):
    low, high = [round(value, 6) for value in box[:2]], [round(value, 6) for value in box[2:]]
    return all(a >= 0 and a + 1 < b <= side for a, b, side in zip(low, high, size, strict=True))


def _chosen(entry, indices):
    return {"size": entry["size"]} | {
        key: [entry[key][k] for k in indices] for key in ("boxes", "names", "difficulties")
    }


def _decimal(value):
    """A number without exponent, with six decimals at most, and as a whole number where it is one."""
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _add(parent, tag=None, **texts):
    """Append an element `tag`, which is returned, or an element with a text for each keyword."""
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = NOT_XML.sub("?", str(text))
    return ElementTree.SubElement(parent, tag) if tag else None
