"""Annotations as a table: a CSV file with a row for each object, as `detect.py --save csv` writes it."""

import csv
import io
import os
from collections import defaultdict
from functools import partial
from pathlib import Path, PureWindowsPath

from ssd.data.formats.records import (
    AnnotatedImage,
    Box,
    Item,
    Note,
    RawObject,
    Size,
    as_number,
    as_size,
    read_images,
)
from ssd.errors import InputError
from ssd.files import read_text

CORNERS = ("x_min", "y_min", "x_max", "y_max")
SPELLINGS = {  # of the columns, in lower case without blanks and "_"
    "image": ("image", "filename", "file", "path"),
    "name": ("name", "class", "label"),
    **{corner: (corner.replace("_", ""),) for corner in CORNERS},
}
OPTIONAL = ("width", "height")
DELIMITERS = ",;\t"
LARGEST_FRACTION = 2  # of a coordinate; a box may leave its picture

Record = dict[str, str]  # column -> cell


def read_csv(
    path: str | Path, split: str | None = None, images_folder: str | Path | None = None
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a table, and notes, see `ssd.data.formats.records`.

    The first row names the columns: image, name or class, x_min, y_min, x_max and y_max, perhaps width and height of
    the picture; others are not read. Coordinates are continuous pixels or fractions, see `_in_pixels`. A row with an
    image alone is a picture without objects.
    path: the file. split: another file, beside it or anywhere. images_folder: what image names are relative to, or
    holds pictures of these names; without it, they are relative to the table or to the present folder.
    Raises InputError where the file is no such table, mixes both units, or none of its images can be used.
    """
    path = _table(Path(path), split)
    records, notes = _records(path)
    if not records:
        raise InputError(f"{path}: names no images")
    in_pixels = _in_pixels(path, records)
    by_picture: dict[Path, list[Record]] = defaultdict(list)
    for record in records:
        by_picture[_picture(record["image"], path.parent, images_folder)].append(record)
    items: list[Item] = [
        (f"{path}: {own[0]['image']}", picture, partial(_content, own, in_pixels))
        for picture, own in by_picture.items()
    ]
    return read_images(items, path.stem, notes)


def _table(path: Path, split: str | None) -> Path:
    if split is None:
        return path
    named = [base / split for base in (path, path.parent, Path()) if (base / split).is_file()]
    if not named:
        raise InputError(f"{split}: no such table; --train and --test name CSV files")
    return named[0]


def _records(path: Path) -> tuple[list[Record], list[Note]]:
    """The rows that name an image, and notes on the others. "line" is the number of a row's last line."""
    text = read_text(path, missing="no such table of annotations")
    delimiter = max(DELIMITERS, key=text.partition("\n")[0].count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = _columns(path, next(reader, []))
        rows = [(row, reader.line_num) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: not a table ({error})") from None
    records = [
        {column: row[k] if k < len(row) else "" for column, k in columns.items()} | {"line": str(line)}
        for row, line in rows
    ]
    nameless = [record for record in records if not record["image"]]
    notes = [Note(f"{path}, line {record['line']}", "names no image", "left out") for record in nameless]
    return [record for record in records if record["image"]], notes


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Column -> its place in a row. Raises InputError where one is missing."""
    there = ["".join(title.lower().split()).replace("_", "") for title in header]
    spellings = SPELLINGS | {column: (column,) for column in OPTIONAL}
    places = {column: [there.index(name) for name in names if name in there] for column, names in spellings.items()}
    if missing := [column for column in SPELLINGS if not places[column]]:
        raise InputError(
            f"{path}: its first line must name the columns image, name or class, {', '.join(CORNERS)}; "
            f"it lacks {', '.join(missing)}"
        )
    return {column: found[0] for column, found in places.items() if found}


def _in_pixels(path: Path, records: list[Record]) -> bool:
    """Whether the coordinates of a table are pixels: those of one row at least are above LARGEST_FRACTION.

    Raises InputError if another row is a box within the first pixel, which must be meant as fractions.
    """
    pixels = fractions = None
    for record in records:
        x_min, y_min, x_max, y_max = box = _box(record)
        if any(number > LARGEST_FRACTION for number in box):
            pixels = pixels or record
        elif x_min < x_max <= 1 and y_min < y_max <= 1:
            fractions = fractions or record
    if pixels and fractions:
        raise InputError(
            f"{path}: has pixels in line {pixels['line']} ({_wording(pixels)}) and fractions of the picture in line "
            f"{fractions['line']} ({_wording(fractions)}); give all boxes in one of the two"
        )
    return pixels is not None


def _picture(name: str, folder: Path, images_folder: str | Path | None) -> Path:
    """The picture of this name, or where it should be. Both / and \\ separate folders."""
    names = [name, name.replace("\\", "/")]
    bases = [folder, Path()]
    if images_folder is not None:
        names, bases = [*names, PureWindowsPath(name).name], [Path(images_folder)]
    candidates = [base / each for base in bases for each in names]
    return next((path for path in candidates if os.path.isfile(path)), candidates[0])


def _content(records: list[Record], in_pixels: bool, size: Size) -> tuple[list[RawObject], Size | None]:
    objects = [record for record in records if any(record[column].strip() for column in ("name", *CORNERS))]
    return [_raw_object(record, in_pixels, size) for record in objects], as_size(
        records[0].get("width"), records[0].get("height")
    )


def _raw_object(record: Record, in_pixels: bool, size: Size) -> RawObject:
    width, height = (1, 1) if in_pixels else size
    x_min, y_min, x_max, y_max = _box(record)
    wording = f"{', '.join(CORNERS)} = {_wording(record)} (line {record['line']})"
    box = x_min * width, y_min * height, x_max * width, y_max * height
    return RawObject(record["name"], box, False, wording)


def _box(record: Record) -> Box:
    """The four numbers of a row, in the table's unit; NaN for what is no number."""
    x_min, y_min, x_max, y_max = (as_number(record[corner]) for corner in CORNERS)
    return x_min, y_min, x_max, y_max


def _wording(record: Record) -> str:
    return ", ".join(record[corner] for corner in CORNERS)[:60]
