"""Which picture an annotation belongs to: found for the readers, named for the writers."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TypeGuard

from ssd.data.formats.records import Note
from ssd.data.images import picture_endings
from ssd.errors import InputError
from ssd.files import find_files

Pairs = list[tuple[Path, Path]]  # (annotation, picture)


class PictureFinder:
    """The pictures in a folder and below it, for annotations that give only a part of their path."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.pictures = find_files(folder, picture_endings())
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        for picture in self.pictures:
            self._by_stem[picture.stem].append(picture)

    def pair(
        self, annotations: Sequence[Path], names: Callable[[Path], Iterable[str]], all_annotated: bool
    ) -> tuple[Pairs, list[Note]]:
        """(annotation, picture) pairs, and a note for each annotation or picture without a partner.

        names: annotation file -> names that its picture's file may have; their endings do not matter. Of several
        pictures with such a name the nearest is taken, and a picture belongs to the nearest of its annotations.
        all_annotated: whether a picture without an annotation gets a note.
        """
        nearest: dict[Path, Path] = {}
        for annotation in annotations:
            picture = self.nearest(annotation, names(annotation))
            if picture and _nearness(picture, annotation) > _nearness(picture, nearest.get(picture)):
                nearest[picture] = annotation
        pairs = sorted((annotation, picture) for picture, annotation in nearest.items())
        used = set(nearest.values())
        lost = [path for path in annotations if path not in used]
        notes = [Note(str(path), f"no picture of this name in {self.folder}", "left out") for path in lost]
        spare = [picture for picture in self.pictures if picture not in nearest] if all_annotated else []
        return pairs, notes + [Note(str(picture), "has no annotation", "left out") for picture in spare]

    def nearest(self, annotation: Path, names: Iterable[str]) -> Path | None:
        """The picture that has the stem of one of the file names, tried in order, or None; see `pair`."""
        for name in names:
            name = PurePosixPath(name.replace("\\", "/")).name
            candidates = self._by_stem.get(os.path.splitext(name)[0], [])
            if candidates:
                return max(candidates, key=lambda path: (_nearness(path, annotation), path.name == name))
        return None


def _nearness(path: Path, other: Path | None) -> tuple[int, int]:
    """How many folders two paths share, counted from the root and counted from the file."""
    if other is None:
        return (-1, -1)
    a, b = path.parts[:-1], other.parts[:-1]
    return _common_length(a, b), _common_length(a[::-1], b[::-1])


def _common_length(a, b):
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))


def inside(folder: str | Path, name: object) -> Path:
    """The path of the file that an annotation names. Both / and \\ separate folders.

    Raises InputError where the name is not a file name, or leads out of the folder.
    """
    root = os.path.abspath(folder)
    path = os.path.normpath(os.path.join(root, name.replace("\\", "/"))) if _is_file_name(name) else root
    if path == root:
        raise InputError(f"{name!r} is no file name")
    if not Path(path).is_relative_to(root):
        raise InputError(f"the path {name} leaves the folder {folder}")
    return Path(folder) / os.path.relpath(path, root)


def _is_file_name(name: object) -> TypeGuard[str]:
    if not isinstance(name, str) or "\0" in name:
        return False
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def relative_names(pictures: Sequence[str | Path]) -> list[str]:
    """The paths of pictures relative to the folder that holds them all, separated by "/".

    Raises InputError where the pictures lie on several drives.
    """
    paths = [os.path.abspath(picture) for picture in pictures]
    try:
        root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    except ValueError:
        raise InputError("the pictures lie on several drives; annotations name them relative to one folder") from None
    return [Path(path).relative_to(root).as_posix() for path in paths]


def annotation_names(pictures: Sequence[str | Path], ending: str, names: Sequence[str] | None = None) -> list[str]:
    """The names of pictures with another ending (".xml"), for formats with one file for each picture.

    names: of the pictures; by default their `relative_names`.
    Raises InputError where two pictures would share a file: their names differ only in their endings or in case.
    """
    files = [os.path.splitext(name)[0] + ending for name in names or relative_names(pictures)]
    first: dict[str, str | Path] = {}
    for name, picture in zip(files, pictures, strict=True):
        if name.casefold() in first:
            raise InputError(
                f"{first[name.casefold()]} and {picture} would both have the annotation {name}; rename one, or write "
                "them to different folders"
            )
        first[name.casefold()] = picture
    return files
