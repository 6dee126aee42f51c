"""Annotations in the format of YOLO: a text file for each image, and data.yaml."""

import json
import os
from functools import partial
from math import nan
from pathlib import Path
from reprlib import repr as short

from ssd.data.formats.paths import (
    PictureFinder,
    annotation_names,
    find_files,
    inside,
    picture_endings,
    read_text,
    write_text,
)
from ssd.data.formats.records import Annotated, as_number, box_around, read_images
from ssd.errors import InputError

NAME_FILES = ("classes.txt", "obj.names", "_darknet.labels")  # of labelImg, CVAT and Roboflow, without data.yaml
SPLITS = ("train", "val", "test")  # keys of data.yaml
LARGEST_YAML = 1_000_000  # characters; a reader of YAML takes a second for each hundred thousand


# Reading


def read_yolo(path, split=None, images_folder=None, class_names=None):
    """The images of a data set of YOLO's format and what is on them.

    path: data.yaml, or the folder that it is in; or a folder with a list of the classes (classes.txt, obj.names).
    class_names: the classes, where no file says them.
    split: a key of data.yaml ("train"), or a folder or list file (".txt") of pictures; without one, all pictures.
    The labels of images/NAME.jpg are in labels/NAME.txt, or beside it; one without has no objects.
    images_folder: where the pictures are, if they are not in the data set: then the files in labels/ (`split`/) tell
    which.
    A line is a class's number and a box, as centre, width and height in fractions of the picture, or at least three
    corners of an outline; a box may have a score, which is passed over.
    Returns images (paths), objects and notes, see `ssd.data.formats.records`.
    Raises InputError where the classes or the split are not found, and where no image at all can be used.
    """
    yaml, root = _data_yaml(Path(path))
    names = _names(yaml, root, class_names)
    if images_folder is not None:
        pairs, notes = _labelled(root, split, images_folder)
    else:
        pairs, notes = _pictured(yaml, root, split)
    has_keypoints = "kpt_shape" in yaml
    items = [(label, image, partial(_read_labels, label, names, has_keypoints)) for label, image in pairs]
    return read_images(items, f"{root.name} {split or ''}".strip(), notes)


def yolo_splits(path):
    """The names of the splits in a data set's data.yaml, or of folders of pictures where it has none."""
    yaml, root = _data_yaml(Path(path))
    usual = (*SPLITS, "valid")
    return [name for name in usual if name in yaml or (root / name).is_dir() or (root / "images" / name).is_dir()]


def _data_yaml(path):
    """What data.yaml says, {} without one, and the folder of the data set."""
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


def _read_yaml(path):
    text = read_text(path, missing="no such data.yaml or folder")
    try:
        import yaml
    except ImportError:
        raise InputError(f'{path}: reading YAML needs PyYAML: pip install -e ".[yolo]"') from None
    if len(text) > LARGEST_YAML:
        raise InputError(f"{path}: too long for a description of a data set ({len(text)} characters)")
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds a {type(content).__name__}, where names and folders are expected")
    return content


def _names(yaml, root, class_names):
    """Class number -> name."""
    names = yaml.get("names")
    if isinstance(names, dict):
        pairs = names.items()
    elif isinstance(names, list):
        pairs = enumerate(names)
    elif names is None:
        pairs = enumerate(_listed_names(root) or class_names or ())
    else:
        raise InputError(f"{root}: names in data.yaml are {short(names)}, neither a list nor numbers with names")
    names = {as_number(number): name for number, name in pairs}
    if not names:
        raise InputError(
            f"{root}: no names of classes; give them in data.yaml, {' or '.join(NAME_FILES)}, or --classes"
        )
    for name in names.values():
        if isinstance(name, bool) or not isinstance(name, str | int | float):
            raise InputError(f"{root}: a class is called {short(name)} in data.yaml; put its name in quotes")
    return {number: str(name) for number, name in names.items()}


def _listed_names(root):
    for file in (root / folder / name for folder in ("", "labels") for name in NAME_FILES):
        if file.is_file():
            return [line.strip() for line in read_text(file).splitlines() if line.strip()]
    return None


def _pictured(yaml, root, split):
    """(label file, picture) for each picture of a split, and notes on pictures without labels and the other way."""
    pictures, notes = [], []
    for place in _places(yaml, root, split):
        listed = place.suffix == ".txt"
        found, lost = _pictures_of_list(place, root) if listed else (find_files(place, picture_endings()), [])
        pictures += found
        notes += lost
    pairs = [(_label_file(picture), picture) for picture in dict.fromkeys(pictures)]
    labels = {label for label, _ in pairs}
    notes += [
        f"{image}: has no label file, taken as without objects" for label, image in pairs if not os.path.lexists(label)
    ]
    for folder in sorted({label.parent for label in labels if "labels" in label.parts}):
        spare = [path for path in sorted(folder.glob("*.txt")) if path not in labels and path.name not in NAME_FILES]
        notes += [f"{path}: no picture of this name, left out" for path in spare]
    return pairs, notes


def _places(yaml, root, split):
    """The folders and list files of the pictures of a split, or of all."""
    if split is None:
        return [place for key in SPLITS for place in _found_places(yaml, root, key)] or [root]
    places = _found_places(yaml, root, split)
    if not places:
        known = ", ".join(key for key in SPLITS if key in yaml) or "none"
        raise InputError(
            f"{root}: no pictures {short(split)}, which is neither a folder or list of pictures (.txt) in there nor a "
            f"split of data.yaml that leads to one (there: {known})"
        )
    return places


def _found_places(yaml, root, split):
    values = yaml.get(split) or [split, f"images/{split}"]
    values = values if isinstance(values, list) else [values]
    places = [_place(root, value, trusted=split not in yaml) for value in values]
    return [place for place in places if place]


def _place(root, value, trusted):
    """A folder or list file, in the data set or, where the user names it, anywhere; None where there is none."""
    value = str(value)
    tried = [root / value] if trusted or _is_inside(root, value) else []
    tried += [root / value[3:]] if value.startswith("../") and _is_inside(root, value[3:]) else []  # as Roboflow has it
    tried += [Path(value)] if trusted else []
    return next((place for place in tried if place.is_dir() or (place.suffix == ".txt" and place.is_file())), None)


def _is_inside(root, name):
    try:
        return bool(inside(root, f"{name}/x"))
    except InputError:
        return False


def _pictures_of_list(path, root):
    """The pictures that a list file names, relative to itself or the data set, and notes on others."""
    pictures, notes = [], []
    for line in filter(None, map(str.strip, read_text(path).splitlines())):
        try:
            tried = [inside(root, os.path.join(path.parent.relative_to(root), line)), inside(root, line)]
            tried += [inside(root, line.removeprefix("data/"))]  # as CVAT has it
        except (InputError, ValueError) as error:
            notes.append(f"{path}: {error}, left out")
            continue
        pictures.append(next(filter(os.path.isfile, tried), tried[1]))
    return pictures, notes


def _label_file(picture):
    """labels/NAME.txt for images/NAME.jpg, if it is there, or else the text file beside it."""
    beside = picture.with_suffix(".txt")
    parts = picture.parts
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        apart = Path(*parts[:last], "labels", *parts[last + 1 :]).with_suffix(".txt")
        return beside if os.path.lexists(beside) and not os.path.lexists(apart) else apart
    return beside


def _labelled(root, split, images_folder):
    """(label file, picture) for each label file, and notes on those without a picture."""
    folders = [root / folder / (split or "") for folder in ("labels", "")]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise InputError(f"{folders[0]}: no such folder of label files")
    labels = [label for label in find_files(folder, {".txt"}) if label.name not in NAME_FILES]
    return PictureFinder(images_folder).pair(labels, lambda label: [label.name], all_annotated=False)


def _read_labels(path, names, has_keypoints, size):
    """The objects of one label file, of none where it is missing, as a list of `Annotated`, and no size."""
    if not os.path.lexists(path):
        return [], None
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    return [_annotated(line, names, has_keypoints, size) for line in lines], None


def _annotated(words, names, has_keypoints, size):
    number, *numbers = map(as_number, words)
    numbers = numbers[:4] if has_keypoints or len(numbers) == 5 else numbers
    if len(numbers) == 4:
        x, y, width, height = numbers
        box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        box = box_around(numbers[::2], numbers[1::2])
    else:
        box = (nan,) * 4
    pixels = tuple(value * side for value, side in zip(box, (*size, *size), strict=True))
    return Annotated(names.get(number), pixels, False, f"the line {short(' '.join(words))}")


# Writing


def write_yolo(folder, images, objects, class_names, split=None, scores=None):
    """Write labels/NAME.txt (with a split: labels/`split`/NAME.txt) for each image, and data.yaml with the classes.

    A line for each object: the class's place in class_names, from 0, and the box's centre, width and height as
    fractions of the picture. Where there is a score, it is the sixth number.
    images, objects, scores, and the notes returned: see `ssd.data.formats.records`. YOLO has no difficult objects: they
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
