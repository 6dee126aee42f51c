"""Files and folders as annotations name them: found, read and kept inside their folder."""

import json
import os
from collections import defaultdict
from itertools import takewhile
from pathlib import Path, PurePosixPath

from PIL import Image

from ssd.errors import InputError


def picture_endings():
    """The endings (".jpg") of the pictures that Pillow reads; it knows films and measurements by name as well."""
    known = Image.registered_extensions().items()
    return {end for end, kind in known if kind in Image.OPEN and Image.MIME.get(kind, "").startswith("image/")}


def find_files(folder, endings, recursive=True):
    """The files in a folder and, with `recursive`, below, that have one of some endings (lower case), sorted.

    Hidden files and folders (".name") are left out. Links to folders are followed, each folder once, however they
    loop. A folder that is missing holds none. Raises InputError on one that cannot be read.
    """
    found, seen = [], set()
    if not os.path.isdir(folder):
        return found
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        found += [
            Path(parent, name)
            for name in names
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings
        ]
    return sorted(found)


def _refuse(error):
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})")


class PictureFinder:
    """The pictures below a folder, for annotations that name them by a part of their path alone."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.pictures = find_files(folder, picture_endings())
        self._by_stem = defaultdict(list)
        for picture in self.pictures:
            self._by_stem[picture.stem].append(picture)

    def pair(self, annotations, names, all_annotated):
        """(annotation, picture) for each annotation file, and notes on those of either that lack the other.

        names: a function from an annotation to the names that its picture's file may have, whatever its ending. Of
        several pictures of a name the nearest is taken, and a picture belongs to the nearest of its annotations.
        all_annotated: whether a picture without annotation is worth a note.
        """
        nearest = {}
        for annotation in annotations:
            picture = self.nearest(annotation, names(annotation))
            if picture and _nearness(picture, annotation) > _nearness(picture, nearest.get(picture)):
                nearest[picture] = annotation
        pairs = sorted((annotation, picture) for picture, annotation in nearest.items())
        used = set(nearest.values())
        notes = [
            f"{path}: no picture of this name in {self.folder}, left out" for path in annotations if path not in used
        ]
        spare = [picture for picture in self.pictures if picture not in nearest] if all_annotated else []
        return pairs, notes + [f"{picture}: has no annotation, left out" for picture in spare]

    def nearest(self, annotation, names):
        """The picture that has the stem of one of some file names, tried in order, or None; see `pair`."""
        for name in names:
            name = PurePosixPath(name.replace("\\", "/")).name
            candidates = self._by_stem.get(os.path.splitext(name)[0], [])
            if candidates:
                return max(candidates, key=lambda path: (_nearness(path, annotation), path.name == name))
        return None


def _nearness(path, other):
    """How many folders two paths share, counted from the root and then from the file."""
    if other is None:
        return (-1, -1)
    a, b = path.parts[:-1], other.parts[:-1]
    return _common_length(a, b), _common_length(a[::-1], b[::-1])


def _common_length(a, b):
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))


def inside(folder, name):
    """The path of a file that an annotation names. Both / and \\ part folders.

    Raises InputError where it is no file name, or leaves the folder.
    """
    root = os.path.abspath(folder)
    try:
        os.fsencode(name)
        path = os.path.normpath(os.path.join(root, name.replace("\\", "/")))
    except (AttributeError, TypeError, ValueError):
        path = None
    if not path or "\0" in path or path == root:
        raise InputError(f"{name!r} is no file name")
    if not Path(path).is_relative_to(root):
        raise InputError(f"the path {name} leaves the folder {folder}")
    return Path(folder) / os.path.relpath(path, root)


def relative_names(pictures):
    """The paths of pictures as annotations name them: relative to the folder that all are in, parted by "/"."""
    paths = [os.path.abspath(picture) for picture in pictures]
    try:
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    except ValueError:
        raise InputError("the pictures lie on several drives; annotations name them relative to one folder") from None
    return [Path(path).relative_to(root).as_posix() for path in paths]


def annotation_names(pictures, ending):
    """`relative_names` with another ending (".xml"), for formats with a file for each picture.

    Raises InputError where two pictures would share a file: names equal but for their endings, or for capitals.
    """
    names = [os.path.splitext(name)[0] + ending for name in relative_names(pictures)]
    first = {}
    for name, picture in zip(names, pictures, strict=True):
        if name.casefold() in first:
            raise InputError(
                f"{first[name.casefold()]} and {picture} would both have the annotation {name}; rename one"
            )
        first[name.casefold()] = picture
    return names


def write_text(path, text):
    """Write a text file in UTF-8, its folder made where it is missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def read_bytes(path, missing="no such file"):
    """What a file holds. Raises InputError where it is missing (`missing` says so), unreadable or not a file."""
    path = Path(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{path}: not a file")  # a pipe would be waited for
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: {missing}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def read_text(path, missing="no such file"):
    """What a text file in UTF-8 holds, a byte order mark left out. Raises InputError as `read_bytes`."""
    try:
        return read_bytes(path, missing).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save it in that encoding") from None


def read_json(path, kind, missing="no such file"):
    """What a JSON file holds, a list or a dict. Raises InputError where it is missing, no JSON or of another kind."""
    text = read_text(path, missing)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, kind):
        raise InputError(f"{path}: holds a {type(content).__name__}, a {kind.__name__} is expected")
    return content
