"""Annotations in Pascal VOC's format: an XML file for each image. labelImg, CVAT and Roboflow write it too."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from ssd.data.formats.paths import Pairs, PictureFinder, annotation_names, inside, relative_names
from ssd.data.formats.records import (
    DECIMALS,
    AnnotatedImage,
    AnnotatedObject,
    Box,
    Note,
    RawObject,
    Size,
    as_number,
    as_size,
    crowds_note,
    read_images,
    without_crowds,
)
from ssd.errors import InputError
from ssd.files import find_files, read_bytes, read_text, write_text

CORNERS = ("xmin", "ymin", "xmax", "ymax")
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # characters that XML cannot hold in any form


# Reading


def read_voc(
    folder: str | Path, split: str | None = None, images_folder: str | Path | None = None
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a split, and notes, see `ssd.data.formats.records`.

    folder: holds ImageSets/Main, Annotations and JPEGImages, and the split is a file in ImageSets/Main; or, as labelImg
    and Roboflow leave it, it holds XML files beside their pictures or anywhere below, and the split is a folder in it.
    Without a split, all XML files are read. images_folder: where the pictures are, if elsewhere.
    Raises InputError where the split is missing or none of its images can be used.
    """
    folder = Path(folder)
    if split is None or (not has_split_files(folder) and (folder / split).is_dir()):
        pairs, notes = _found(folder / (split or ""), images_folder)
    else:
        pairs, notes = _listed(folder, split, images_folder)
    items = [(annotation, image, partial(read_annotation, annotation)) for annotation, image in pairs]
    return read_images(items, f"{folder.name} {split or ''}".strip(), notes)


def has_split_files(folder: str | Path) -> bool:
    """Whether a folder has ImageSets/Main, as VOC's own folders do."""
    return (Path(folder) / "ImageSets" / "Main").is_dir()


def read_annotation(path: Path, size: Size) -> tuple[list[RawObject], Size | None]:
    """What one XML file says, see `ReadObjects`. Raises InputError if it is in another format."""
    root = _read_xml(path)
    return raw_objects(root), as_size(root.findtext("size/width"), root.findtext("size/height"))


def _listed(folder: Path, split: str, images_folder: str | Path | None) -> tuple[Pairs, list[Note]]:
    """The pairs that a split file names, and a note for each line that is not a file name."""
    finder = PictureFinder(images_folder or folder / "JPEGImages")
    pairs, notes = [], []
    for name in read_split(folder, split):
        try:
            annotation = inside(folder / "Annotations", f"{name}.xml")
            image = inside(finder.folder, f"{name}.jpg")
        except InputError as error:
            notes.append(Note(str(split_file(folder, split)), str(error), "left out"))
            continue
        pairs.append((annotation, image if os.path.exists(image) else _other_ending(finder, image)))
    return pairs, notes


def _other_ending(finder: PictureFinder, image: Path) -> Path:
    found = finder.nearest(image, [image.name])
    return found if found and found.parent == image.parent else image


def _found(folder: Path, images_folder: str | Path | None) -> tuple[Pairs, list[Note]]:
    """The pairs of the XML files below a folder, and a note for each annotation or picture without a partner."""
    annotations = find_files(folder, {".xml"})
    if not annotations:
        raise InputError(f"{folder}: {'holds no annotations (*.xml)' if folder.is_dir() else 'no such folder'}")
    return PictureFinder(images_folder or folder).pair(annotations, _names, all_annotated=images_folder is None)


def _names(annotation: Path) -> Iterator[str]:
    yield annotation.name
    try:
        yield _read_xml(annotation).findtext("filename") or ""
    except InputError:
        return


def split_file(folder: str | Path, split: str) -> Path:
    """The path of ImageSets/Main/`split`.txt."""
    return Path(folder) / "ImageSets" / "Main" / f"{split}.txt"


def read_split(folder: str | Path, split: str) -> list[str]:
    """The image names in ImageSets/Main/`split`.txt, without the column (-1, 0, 1) that says whether a class is there.

    Raises InputError where the file is missing, empty or not UTF-8.
    """
    path = split_file(folder, split)
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder")
    available = ", ".join(sorted(file.stem for file in path.parent.glob("*.txt"))) or "none"
    lines = read_text(path, missing=f"no such split file (there: {available})").splitlines()
    names = [re.sub(r"\s+(-1|0|1)$", "", line.strip()) for line in lines if line.strip()]
    if not names:
        raise InputError(f"{path}: names no images")
    return names


def raw_objects(root: ElementTree.Element) -> list[RawObject]:
    """The objects of an annotation, not checked yet. root: the XML's root element.

    VOC counts pixels from 1 and includes the last: xmin..xmax becomes [xmin - 1, xmax], and a minimum of 0 stays 0.
    A box whose xmax is not above its xmin has no area.
    """
    return [_raw_object(element) for element in root.iter("object")]


def _raw_object(element: ElementTree.Element) -> RawObject:
    texts = [(element.findtext(f"bndbox/{corner}") or "").strip() for corner in CORNERS]
    x_min, y_min, x_max, y_max = map(as_number, texts)
    x_min, x_max = _to_continuous(x_min, x_max)
    y_min, y_max = _to_continuous(y_min, y_max)
    difficult = (element.findtext("difficult") or "").strip().lower() in ("1", "true")
    wording = f"{', '.join(CORNERS)} = {', '.join(text or 'nothing' for text in texts)}"
    return RawObject(element.findtext("name"), (x_min, y_min, x_max, y_max), difficult, wording)


def _to_continuous(first: float, last: float) -> tuple[float, float]:
    start = first - 1 if first >= 1 else min(first, 0)
    return start, start if last <= first else last


class _Builder(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str, system: str) -> None:
        # Its only use here would be entities, which can grow without bound or name other files.
        raise InputError("declares a document type (DOCTYPE), which may hold entities; remove it")


def _read_xml(path: Path) -> ElementTree.Element:
    text = read_bytes(path, missing="no such annotation")
    parser = ElementTree.XMLParser(target=_Builder())
    try:
        parser.feed(text)
        root = parser.close()
        if root.tag != "annotation":
            raise InputError(f"not in VOC's format, whose first element is <annotation>, not <{root.tag}>")
        return root
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: an encoding it cannot read
        raise InputError(f"{path}: not XML ({error})") from None


# Writing


def write_voc(
    folder: str | Path,
    images: Iterable[AnnotatedImage],
    split: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Note]:
    """Write Annotations/NAME.xml for each image and, with a split, the names in ImageSets/Main/`split`.txt.

    VOC counts pixels from 1 and includes the last, so it cannot hold a box that is no wider or higher than a pixel.
    Such boxes, those that leave the picture, and crowds are dropped and noted. Coordinates have at most six decimals.
    A score becomes the object's element <score>, which is not VOC's; its readers skip it.
    names: of the pictures; by default their `relative_names`.
    Raises InputError where two images would share a file, see `annotation_names`.
    """
    folder = Path(folder)
    notes = crowds_note(images, folder, "VOC")
    paths = [image.path for image in images]
    names = names or relative_names(paths)
    files = annotation_names(paths, ".xml", names)
    for name, file, image in zip(names, files, map(without_crowds, images), strict=True):
        lost = [each for each in image.objects if not _fits(each.box, image.size)]
        what = "is not wider and higher than a pixel and inside the picture"
        notes += [Note(name, f"{each.name} at {each.box} {what}", "dropped") for each in lost]
        root = voc_annotation(name, image.size, [each for each in image.objects if each not in lost])
        write_text(folder / "Annotations" / file, ElementTree.tostring(root, encoding="unicode") + "\n")
    if split is not None:
        write_text(split_file(folder, split), "".join(f"{os.path.splitext(file)[0]}\n" for file in files))
    return notes


def voc_annotation(filename: str, size: Size, objects: Sequence[AnnotatedObject]) -> ElementTree.Element:
    """The annotation of one image, as the XML's root element.

    The inverse of reading: [x_min, x_max] becomes xmin = x_min + 1, xmax = x_max.
    Raises InputError on a box that VOC cannot hold: outside the picture, or no wider or higher than a pixel.
    """
    root = ElementTree.Element("annotation")
    width, height = size
    _add(root, filename=filename)
    _add(_add(root, "size"), width=width, height=height, depth=3)
    for each in objects:
        if not _fits(each.box, size):
            raise InputError(
                f"{filename}: the box {each.box} of {each.name} is not wider and higher than a pixel and "
                f"inside the picture of {width} x {height} pixels: clip it or leave it out"
            )
        _add_object(root, each)
    ElementTree.indent(root)
    return root


def _add_object(root: ElementTree.Element, each: AnnotatedObject) -> None:
    element = _add(root, "object")
    _add(element, name=each.name, truncated=int(each.truncated), difficult=int(each.difficult))
    x_min, y_min, x_max, y_max = each.box
    corners = map(_decimal, (x_min + 1, y_min + 1, x_max, y_max))
    _add(_add(element, "bndbox"), **dict(zip(CORNERS, corners, strict=True)))
    if each.score is not None:
        _add(element, score=each.score)


def _fits(box: Box, size: Size) -> bool:
    low, high = [round(value, DECIMALS) for value in box[:2]], [round(value, DECIMALS) for value in box[2:]]
    return all(a >= 0 and a + 1 < b <= side for a, b, side in zip(low, high, size, strict=True))


def _decimal(value: float) -> str:
    """A number without an exponent and with at most `DECIMALS` decimals; none for a whole number."""
    return f"{value:.{DECIMALS}f}".rstrip("0").rstrip(".")


def _add(parent: ElementTree.Element, tag: str | None = None, **texts: object) -> ElementTree.Element:
    """Append an element with a text for each keyword, and an empty element `tag`, which is returned."""
    for name, text in texts.items():
        ElementTree.SubElement(parent, name).text = NOT_XML.sub("?", str(text))
    return ElementTree.SubElement(parent, tag) if tag else parent
