"""What `detect` writes: annotated copies, and the detections in several formats.

A record holds the detections in a picture or in a frame of a video: {"image": path, "annotated": name of the copy or
None, "width", "height", "detections": [{"name", "score", "box": [x_min, y_min, x_max, y_max] in its pixels}, ...]}. A
frame also has "frame", its number from 0, and "time" in seconds.

Boxes are rounded to a thousandth of a pixel, which moves the IoU of boxes of 10 pixels by less than 0.0005. Scores keep
all digits of a float32, and so their order.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from ssd.data.formats.coco import write_coco
from ssd.data.formats.paths import annotation_names
from ssd.data.formats.records import AnnotatedImage, AnnotatedObject, Note
from ssd.data.formats.voc import write_voc
from ssd.data.formats.yolo import write_yolo
from ssd.detector import Detections
from ssd.errors import InputError
from ssd.files import json_list, replacing
from ssd.media.sources import Source, Sources, film_ending, is_picture_file

LARGEST_JPEG = 65500  # pixels a side
DECIMALS = 3  # of a pixel
SAVED_AS = {  # of detections -> where they are in the output folder
    "json": "detections.json",
    "jsonl": "detections.jsonl",
    "csv": "detections.csv",
    "voc": "voc",
    "coco": "coco.json",
    "yolo": "yolo",
}
ANNOTATION_FORMATS = {"voc", "coco", "yolo"}  # a data set can be read from them; of an animation, its first frame
COLUMNS = ("image", "frame", "time", "width", "height", "name", "score", "x_min", "y_min", "x_max", "y_max")


# Names


def output_names(pictures: Sequence[Source], videos: Sequence[Source] = ()) -> dict[Source, str]:
    """Path -> name of its annotated copy: the stem and .jpg, or the `film_ending` of a video.

    Names that would differ only in case get a number.
    """
    names: dict[Source, str] = {}
    taken: set[str] = set()
    repeats: Counter[str] = Counter()
    for path, ending in [(path, ".jpg") for path in pictures] + [(path, film_ending(path)) for path in videos]:
        name, stem = f"{path.stem}{ending}", path.stem.casefold()
        while name.casefold() in taken:
            repeats[stem] += 1
            name = f"{path.stem}_{repeats[stem] + 1}{ending}"
        names[path] = name
        taken.add(name.casefold())
    return names


def check_output(output: Path, names: Mapping[Source, str]) -> None:
    """Raises InputError where an annotated copy would replace an original or lie beside it. names: `output_names`."""
    files = [original for original in names if isinstance(original, Path)]
    originals = {_file_id(path) for original in files for path in _original_and_folders(original)}
    written = {_file_id(path) for path in (output, *(output / name for name in names.values()))}
    if originals & written - {None}:
        raise InputError(f"--output {output} is where the pictures are; annotated copies would replace them")


def _original_and_folders(path: Path) -> tuple[str | Path, Path, Path]:
    real = os.path.realpath(path) if os.path.lexists(path) else path
    return path, path.parent, Path(real).parent


def _file_id(path: str | Path) -> tuple[int, int] | None:
    """What identifies a file or folder through all links and spellings; None where there is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def check_formats(formats: Collection[str], sources: Sources) -> None:
    """Raises InputError where a format cannot hold the detections in these pictures and videos."""
    others = [source for source in (*sources.pictures, *sources.videos) if not is_picture_file(source)]
    if others and (wrong := sorted(ANNOTATION_FORMATS & set(formats))):
        raise InputError(
            f"--save {','.join(wrong)} is for files of pictures; json, jsonl and csv hold what is in {others[0]} too"
        )
    written_files(formats, sources)


def written_files(formats: Collection[str], sources: Sources) -> list[str]:
    """The files that `save_records` writes for these pictures in some of SAVED_AS, relative to the output folder.

    Raises InputError where two pictures would share one.
    """
    files = [SAVED_AS[name] for name in ("json", "jsonl", "csv", "coco") if name in formats]
    pictures = list(filter(is_picture_file, (*sources.pictures, *sources.videos)))
    names = [sources.names[path] for path in pictures]
    for kind, folder, ending in (("voc", "voc/Annotations", ".xml"), ("yolo", "yolo/labels", ".txt")):
        if kind in formats:
            files += [f"{folder}/{name}" for name in annotation_names(pictures, ending, names)]
    return files + ["yolo/data.yaml"] * ("yolo" in formats)


# Contents


def save_picture(image: Image.Image, path: Path) -> str:
    """Write an annotated copy as `replacing` does, as a PNG where it is too large for a JPEG. Returns its name."""
    if max(image.size) > LARGEST_JPEG:
        path = path.with_suffix(".png")
    with replacing(path, sync=False) as file:
        image.save(file, "PNG" if path.suffix == ".png" else "JPEG", quality=95)
    return path.name


def record(path: Source, annotated: str | None, size: tuple[int, int], detections: Detections) -> dict:
    """The record of a picture of this size. annotated: name of the annotated copy, if any."""
    return {
        "image": str(path),
        "annotated": annotated,
        "width": size[0],
        "height": size[1],
        "detections": [_rounded(found) for found in detections.to_list()],
    }


def _rounded(found: dict) -> dict:
    score = float(str(np.float32(found["score"])))  # without the digits that only a float64 has
    return {"name": found["name"], "score": score, "box": [round(value, DECIMALS) for value in found["box"]]}


def save_records(
    folder: Path,
    records: Iterable[dict],
    formats: Collection[str],
    class_names: Sequence[str],
    names: Mapping[Source, str] | None = None,
) -> list[Note]:
    """Write records in some of SAVED_AS. Returns notes on what a format cannot hold.

    records: to go through more than once. None of them is kept in memory, so they may be read anew from a file.
    class_names: of the labels 1, 2, ...; empty for a label without a class, as there are between COCO's ids.
    names: of the pictures in formats with a file for each, see `Sources`; without them, relative to the folder that
    holds all pictures.
    """
    if "json" in formats:
        _write(folder / SAVED_AS["json"], chain(json_list(records, indent=1), "\n"))
    if "jsonl" in formats:
        _write(folder / SAVED_AS["jsonl"], (json.dumps(entry) + "\n" for entry in records))
    if "csv" in formats:
        _write(folder / SAVED_AS["csv"], _as_csv(records))
    images = _Annotated(records)
    own = [names[Path(image.path)] for image in images] if names and {"voc", "yolo"} & set(formats) else None
    notes = write_voc(folder / SAVED_AS["voc"], images, names=own) if "voc" in formats else []
    notes += write_coco(folder / SAVED_AS["coco"], images, class_names) if "coco" in formats else []
    notes += write_yolo(folder / SAVED_AS["yolo"], images, class_names, names=own) if "yolo" in formats else []
    return notes


def _write(path: Path, texts: Iterable[str]) -> None:
    with replacing(path) as file:
        file.writelines(text.encode("utf-8", "surrogateescape") for text in texts)  # file names need not be Unicode


def _as_csv(records: Iterable[dict]) -> Iterator[str]:
    """A row for each detection; frame and time are empty for a picture."""
    yield _row(COLUMNS)
    for entry in records:
        where = [entry.get(column) for column in COLUMNS[:5]]
        yield from (_row([*where, found["name"], found["score"], *found["box"]]) for found in entry["detections"])


def _row(values: Iterable[object]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(values)
    return text.getvalue()


class _Annotated:
    """Records in the form that the writers of annotations take, converted each time they are gone through.

    Of an animation, this is the first frame: the picture that whoever reads the annotations takes the file for.
    """

    def __init__(self, records: Iterable[dict]):
        self.records = records

    def __iter__(self) -> Iterator[AnnotatedImage]:
        for entry in self.records:
            if entry.get("frame"):
                continue
            objects = [
                AnnotatedObject(found["name"], tuple(found["box"]), score=found["score"])
                for found in entry["detections"]
            ]
            yield AnnotatedImage(entry["image"], (entry["width"], entry["height"]), objects)
