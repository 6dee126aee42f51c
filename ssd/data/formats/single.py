"""The annotation of one picture, from one file in any of the formats."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ssd.data.formats import coco, supervisely, voc, yolo
from ssd.data.formats.records import AnnotatedImage, Note, ReadObjects, read_image
from ssd.errors import InputError
from ssd.files import check_file, read_json


def read_single(
    annotation: str | Path, picture: str | Path, class_names: Sequence[str] = ()
) -> tuple[AnnotatedImage, list[Note]]:
    """The objects of one picture, and notes, see `ssd.data.formats.records`.

    annotation: VOC's .xml, COCO's .json (which may hold other pictures too), Supervisely's .json, or YOLO's .txt.
    class_names: for YOLO, where no file near the annotation names the classes.
    Raises InputError where a file is missing or in none of these formats.
    """
    check_file(annotation, "annotation")
    return read_image(str(annotation), picture, _reader(Path(annotation), Path(picture), class_names))


def _reader(annotation: Path, picture: Path, class_names: Sequence[str]) -> ReadObjects:
    kind = annotation.suffix.lower()
    if kind == ".xml":
        return partial(voc.read_annotation, annotation)
    if kind == ".txt":
        return partial(yolo.read_annotation, annotation, class_names)
    if kind != ".json":
        raise InputError(f"{annotation}: not an annotation in .xml (VOC), .json (COCO, Supervisely) or .txt (YOLO)")
    if "annotations" in read_json(annotation, dict):
        return partial(coco.read_annotation, annotation, picture.name)
    return partial(supervisely.read_annotation, annotation)
