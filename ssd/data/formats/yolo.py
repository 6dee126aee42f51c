"""Annotations in YOLO's format: a text file for each image, and data.yaml."""

import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from math import nan
from pathlib import Path
from reprlib import repr as short

from ssd.data.formats.paths import Pairs, PictureFinder, annotation_names, inside
from ssd.data.formats.records import (
    AnnotatedImage,
    AnnotatedObject,
    Note,
    RawObject,
    Size,
    as_number,
    box_around,
    crowds_note,
    read_images,
    without_crowds,
)
from ssd.data.images import picture_endings
from ssd.errors import InputError, optional
from ssd.files import find_files, read_text, write_text

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")  # of labelImg, CVAT and Roboflow, without data.yaml
YAML_SPLITS = ("train", "val", "test")  # keys of data.yaml
LARGEST_YAML = 1_000_000  # characters; PyYAML takes a second for each hundred thousand


# Reading


def read_yolo(
    path: str | Path,
    split: str | None = None,
    images_folder: str | Path | None = None,
    class_names: Sequence[str] | None = None,
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a data set in YOLO's format, and notes, see `ssd.data.formats.records`.

    path: data.yaml or its folder, or a folder with a list of the classes (classes.txt, obj.names).
    class_names: the classes, where no file names them.
    split: a key of data.yaml ("train"), or a folder or list file (".txt") of pictures; without it, all pictures.
    images_folder: where the pictures are, if they are not in the data set; the files in labels/ (`split`/) then say
    which ones are meant.
    The labels of images/NAME.jpg are in labels/NAME.txt or beside it; a picture without them has no objects. A line is
    a class number and a box as centre, width and height in fractions of the picture, or at least three corners of an
    outline. A score after a box is skipped.
    Raises InputError where the classes or the split are not found, or none of the images can be used.
    """
    yaml, root = _data_yaml(Path(path))
    names = _names(yaml, root, class_names)
    if images_folder is not None:
        pairs, notes = _labelled(root, split, images_folder)
    else:
        pairs, notes = _pictured(yaml, root, split)
        if not pairs and not notes:
            raise InputError(f"{root}: holds no pictures; name their folder with --images")
    has_keypoints = "kpt_shape" in yaml
    items = [(label, image, partial(_read_labels, label, names, has_keypoints)) for label, image in pairs]
    return read_images(items, f"{root.name} {split or ''}".strip(), notes)


def read_annotation(path: Path, class_names: Sequence[str], size: Size) -> tuple[list[RawObject], Size | None]:
    """What one label file says, see `ReadObjects`. size: of the upright picture.

    The classes are named by a file in its folder or the two above; class_names: where there is none.
    Raises InputError where nothing names the classes, or if it is another file.
    """
    files = ("data.yaml", "data.yml", *NAME_FILES)
    roots = [folder for folder in path.parents[:3] if any((folder / name).is_file() for name in files)]
    if not roots and not class_names:
        raise InputError(f"{path}: its class numbers have no names; put data.yaml or classes.txt into its folder")
    yaml, root = _data_yaml(roots[0]) if roots else ({}, path.parent)
    return _read_labels(path, _names(yaml, root, class_names), "kpt_shape" in yaml, size)


def yolo_splits(path: str | Path) -> list[str]:
    """The names of the splits in data.yaml, or of the folders of pictures where data.yaml names none."""
    yaml, root = _data_yaml(Path(path))
    usual = (*YAML_SPLITS, "valid")
    return [name for name in usual if name in yaml or (root / name).is_dir() or (root / "images" / name).is_dir()]


def _data_yaml(path: Path) -> tuple[dict, Path]:
    """The contents of data.yaml, {} without one, and the folder of the data set."""
    if path.is_dir():
        files = [path / name for name in ("data.yaml", "data.yml") if (path / name).is_file()]
        files = files or sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        if len(files) > 1 and files[0].stem != "data":
            raise InputError(f"{path}: holds {', '.join(file.name for file in files)}; name one of them")
        if not files:
            return {}, path
        path = files[0]
    content = _read_yaml(path)
    inner = content.get("path")
    root = path.parent
    if isinstance(inner, str) and _is_inside(root, inner) and (root / inner).is_dir():
        root = root / inner  # elsewhere is where the data set was on another machine
    return content, root


def _read_yaml(path: Path) -> dict:
    text = read_text(path, missing="no such data.yaml or folder")
    yaml = optional("yaml", extra="yolo", what=path.name, package="PyYAML")
    if len(text) > LARGEST_YAML:
        raise InputError(f"{path}: too long for a description of a data set ({len(text)} characters)")
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, where names and folders are expected")
    return content


def _names(yaml: dict, root: Path, class_names: Sequence[str] | None) -> dict[float, str]:
    """Class number -> name."""
    names = yaml.get("names")
    if names is None:
        names = _listed_names(root) or list(class_names or ())
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise InputError(f"{root}: names in data.yaml are {short(names)}, neither a list nor numbers with names")
    names = {as_number(number): name for number, name in names.items()}
    if not names:
        raise InputError(
            f"{root}: no names of classes; give them in data.yaml, {' or '.join(NAME_FILES)}, or --classes"
        )
    for name in names.values():
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise InputError(f"{root}: a class is called {short(name)} in data.yaml; put its name in quotes")
    return {number: str(name) for number, name in names.items()}


def _listed_names(root: Path) -> list[str] | None:
    for file in (root / folder / name for folder in ("", "labels") for name in NAME_FILES):
        if file.is_file():
            return [line.strip() for line in read_text(file).splitlines() if line.strip()]
    return None


def _pictured(yaml: dict, root: Path, split: str | None) -> tuple[Pairs, list[Note]]:
    """The pairs of the pictures of a split, and a note for each picture or label file without a partner."""
    pictures: list[Path] = []
    notes: list[Note] = []
    for place in _places(yaml, root, split):
        listed = place.suffix == ".txt"
        found, lost = _pictures_of_list(place, root) if listed else (find_files(place, picture_endings()), [])
        pictures += found
        notes += lost
    pairs = [(_label_file(picture), picture) for picture in dict.fromkeys(pictures)]
    labels = {label for label, _ in pairs}
    bare = [image for label, image in pairs if not os.path.lexists(label)]
    notes += [Note(str(image), "has no label file", "taken as without objects") for image in bare]
    for folder in sorted({label.parent for label in labels if "labels" in label.parts}):
        spare = [path for path in sorted(folder.glob("*.txt")) if path not in labels and path.name not in NAME_FILES]
        notes += [Note(str(path), "no picture of this name", "left out") for path in spare]
    return pairs, notes


def _places(yaml: dict, root: Path, split: str | None) -> list[Path]:
    """The folders and list files of the pictures of a split, or of all pictures."""
    if split is None:
        return [place for key in YAML_SPLITS for place in _found_places(yaml, root, key)] or [root]
    places = _found_places(yaml, root, split)
    if not places:
        known = ", ".join(key for key in YAML_SPLITS if key in yaml) or "none"
        what = "a folder of pictures, a list (.txt) or a split in data.yaml"
        elsewhere = "pictures elsewhere need --images"
        raise InputError(f"{root}: {short(split)} is not {what} (there: {known}); {elsewhere}")
    return places


def _found_places(yaml: dict, root: Path, split: str) -> list[Path]:
    values = yaml.get(split) or [split, f"images/{split}"]
    values = values if isinstance(values, list) else [values]
    places = [_place(root, value, trusted=split not in yaml) for value in values]
    return [place for place in places if place]


def _place(root: Path, value: object, trusted: bool) -> Path | None:
    """A folder or list file in the data set, or anywhere if the user named it (trusted); None where there is none."""
    value = str(value)
    tried = [root / value] if trusted or _is_inside(root, value) else []
    tried += [root / value[3:]] if value.startswith("../") and _is_inside(root, value[3:]) else []  # Roboflow's way
    tried += [Path(value)] if trusted else []
    return next((place for place in tried if place.is_dir() or (place.suffix == ".txt" and place.is_file())), None)


def _is_inside(root: Path, name: str) -> bool:
    try:
        return bool(inside(root, f"{name}/x"))
    except InputError:
        return False


def _pictures_of_list(path: Path, root: Path) -> tuple[list[Path], list[Note]]:
    """The pictures that a list file names, relative to itself or the data set, and a note for each other line."""
    pictures: list[Path] = []
    notes: list[Note] = []
    for line in filter(None, map(str.strip, read_text(path).splitlines())):
        try:
            tried = [inside(root, os.path.join(path.parent.relative_to(root), line)), inside(root, line)]
            tried += [inside(root, line.removeprefix("data/"))]  # CVAT's way
        except (InputError, ValueError) as error:
            notes.append(Note(str(path), str(error), "left out"))
            continue
        pictures.append(next(filter(os.path.isfile, tried), tried[1]))
    return pictures, notes


def _label_file(picture: Path) -> Path:
    """labels/NAME.txt for images/NAME.jpg, but the text file beside the picture where only that one exists."""
    beside = picture.with_suffix(".txt")
    parts = picture.parts
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        apart = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
        return beside if os.path.lexists(beside) and not os.path.lexists(apart) else apart
    return beside


def _labelled(root: Path, split: str | None, images_folder: str | Path) -> tuple[Pairs, list[Note]]:
    """The pairs of the label files, and a note for each one without a picture."""
    folders = [root / folder / (split or "") for folder in ("labels", "")]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise InputError(f"{folders[0]}: no such folder of label files")
    labels = [label for label in find_files(folder, {".txt"}) if label.name not in NAME_FILES]
    return PictureFinder(images_folder).pair(labels, lambda label: [label.name], all_annotated=False)


def _read_labels(path: Path, names: dict[float, str], has_keypoints: bool, size: Size) -> tuple[list[RawObject], None]:
    """The objects of one label file, none where it is missing; the format has no size."""
    if not os.path.lexists(path):
        return [], None
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    return [_raw_object(line, names, has_keypoints, size) for line in lines], None


def _raw_object(words: list[str], names: dict[float, str], has_keypoints: bool, size: Size) -> RawObject:
    number, *numbers = map(as_number, words)
    numbers = numbers[:4] if has_keypoints or len(numbers) == 5 else numbers
    if len(numbers) == 4:
        x, y, width, height = numbers
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        box = box_around(numbers[::2], numbers[1::2])
    else:
        box = (nan, nan, nan, nan)
    x_min, y_min, x_max, y_max = (value * side for value, side in zip(box, size * 2, strict=True))
    return RawObject(names.get(number), (x_min, y_min, x_max, y_max), False, f"the line {short(' '.join(words))}")


# Writing


def write_yolo(
    folder: str | Path,
    images: Iterable[AnnotatedImage],
    class_names: Sequence[str],
    split: str | None = None,
    names: Sequence[str] | None = None,
) -> list[Note]:
    """Write labels/NAME.txt (with a split: labels/`split`/NAME.txt) for each image, and data.yaml with the classes.

    Each object has a line: the place of its class, and the box's centre, width and height as fractions of the picture.
    A score is the sixth number. Places count from 0 over the class names that are not empty.
    names: of the pictures; by default their `relative_names`.
    YOLO has no difficult objects, which become ordinary ones, and no crowds, which are dropped; both are noted.
    Raises InputError where two images would share a file, see `annotation_names`.
    """
    folder, classes = Path(folder), list(filter(None, class_names))
    labels, places = folder / "labels" / (split or ""), {name: place for place, name in enumerate(classes)}
    notes = crowds_note(images, labels, "YOLO")
    files = annotation_names([image.path for image in images], ".txt", names)
    for image, file in zip(map(without_crowds, images), files, strict=True):
        write_text(labels / file, "".join(_line(places[each.name], each, image.size) for each in image.objects))
    write_text(folder / "data.yaml", _yaml(folder, classes))
    difficult = sum(each.difficult and not each.crowd for image in images for each in image.objects)
    what = f"{difficult} difficult objects, which YOLO cannot mark"
    return notes + ([Note(str(labels), what, "were written as ordinary ones")] if difficult else [])


def _line(place: int, each: AnnotatedObject, size: Size) -> str:
    (x_min, y_min, x_max, y_max), (width, height) = each.box, size
    centre = (x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height
    numbers = [place, *centre, (x_max - x_min) / width, (y_max - y_min) / height]
    return " ".join(map(str, numbers if each.score is None else [*numbers, each.score])) + "\n"


def _yaml(folder: Path, names: Sequence[str]) -> str:
    """The contents of data.yaml: the classes, and where Ultralytics expects the pictures of each split."""
    splits = [split for split in YAML_SPLITS if (folder / "labels" / split).is_dir()]
    lines = [f"  {place}: {json.dumps(name)}" for place, name in enumerate(names)]
    return "\n".join([*(f"{split}: images/{split}" for split in splits), "names:", *lines]) + "\n"
