"""The pictures and videos that a user names."""

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ssd.data.images import picture_endings
from ssd.data.lists import read_image_paths
from ssd.errors import InputError
from ssd.files import find_files, read_text
from ssd.text import counted

VIDEO_ENDINGS = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))  # fmt: skip
ADDRESS = "[a-z][a-z0-9+.-]+://.*"
UNSUPPORTED = {  # pattern of a source -> what it is
    ADDRESS: "addresses and streams are not read, save it to a file first",
    "[0-9]+": "no such file, and cameras are not read",
    "-": "standard input is not read, save it to a file first",
}


class Sources(NamedTuple):
    """What sources name, each path once.

    names: path -> its name below its source's folder, separated by "/". Other sources do not change it.
    """

    pictures: list[Path]
    videos: list[Path]
    names: dict[Path, str]


def find_sources(sources: Iterable[str | Path], recursive: bool = False, leave_out: Path | None = None) -> Sources:
    """The pictures and the videos that sources name.

    A source is a picture, a video (known by its ending), a folder (its pictures except hidden ones; `recursive` adds
    those of its subfolders), a list (.txt with one path a line, or a `*_images.json` of data lists), or a pattern with
    * ? [ ] or **.
    leave_out: a folder that folders and patterns skip.
    Raises InputError where a source names nothing.
    """
    names: dict[Path, str] = {}
    for source in sources:
        _check_kind(str(source))
        folder = _folder_of(Path(source))
        for path in _named_by(Path(source), recursive, leave_out):
            names.setdefault(path, _name_below(folder, path))
    videos = [path for path in names if _ending(path) in VIDEO_ENDINGS]
    return Sources([path for path in names if _ending(path) not in VIDEO_ENDINGS], videos, names)


def describe_sources(sources: Sources) -> str:
    """How many pictures and videos there are, in words."""
    counts = {"picture": len(sources.pictures), "video": len(sources.videos)}
    return " and ".join(counted(count, kind) for kind, count in counts.items() if count) or "no pictures"


def _check_kind(source: str) -> None:
    """Raises InputError on an address, the number of a camera, or "-" for standard input, which are not supported."""
    if os.path.lexists(source):
        return
    for pattern, kind in UNSUPPORTED.items():
        if re.fullmatch(pattern, source, flags=re.IGNORECASE):
            raise InputError(f"{source}: {kind}; sources are files, folders, patterns and lists of paths")


def _folder_of(source: Path) -> Path:
    """The folder below which the pictures of a source have their names."""
    if os.path.isdir(source):
        return source
    fixed = source if os.path.lexists(source) else Path(re.split(r"[*?[]", str(source))[0] + "x")
    return fixed.parent


def _name_below(folder: Path, path: Path) -> str:
    try:
        return Path(os.path.abspath(path)).relative_to(os.path.abspath(folder)).as_posix()
    except ValueError:  # a list may name pictures anywhere
        return path.name


def _named_by(source: Path, recursive: bool, leave_out: Path | None) -> list[Path]:
    if os.path.isdir(source):
        return _or_refuse(_in_folder(source, recursive, leave_out), f"{source}: no pictures in this folder")
    if _ending(source) == ".json":
        return [Path(image) for image in read_image_paths(source)]
    if _ending(source) == ".txt":
        return _or_refuse(read_path_list(source), f"{source}: this list names no pictures")
    if os.path.lexists(source):  # if it is no picture, loading it says so
        return [source]
    if any(sign in str(source) for sign in "*?["):
        return _or_refuse(_matching(source, leave_out), f"{source}: no picture or video matches this pattern")
    raise InputError(f"{source}: no such picture or folder")


def _or_refuse(paths: list[Path], message: str) -> list[Path]:
    if not paths:
        raise InputError(message)
    return paths


def _in_folder(folder: Path, recursive: bool, leave_out: Path | None) -> list[Path]:
    pictures = find_files(folder, picture_endings(), recursive)
    return _outside(leave_out, pictures) if recursive else pictures


def _matching(pattern: Path, leave_out: Path | None) -> list[Path]:
    endings = picture_endings() | VIDEO_ENDINGS
    matches = map(Path, sorted(glob.glob(str(pattern), recursive=True)))
    return _outside(leave_out, [path for path in matches if _ending(path) in endings and not path.is_dir()])


def _outside(folder: Path | None, paths: list[Path]) -> list[Path]:
    if folder is None:
        return paths
    real = Path(os.path.realpath(folder))
    return [path for path in paths if real not in Path(os.path.realpath(path.parent), "x").parents]


def _ending(path: Path) -> str:
    return path.suffix.lower()


def read_path_list(path: Path) -> list[Path]:
    """The paths in a text file, one a line.

    A relative path starts at the working directory or, if there is no such file, at the list's folder.
    Raises InputError where the list is missing or not UTF-8.
    """
    texts = [line.strip() for line in read_text(path, "no such list").splitlines() if line.strip()]
    for text in texts:
        if re.fullmatch(ADDRESS, text, flags=re.IGNORECASE):
            raise InputError(f"{path}: {text}: {UNSUPPORTED[ADDRESS]}")
    lines = [Path(text) for text in texts]
    beside = [path.parent / line for line in lines]
    return [there if os.path.lexists(there) and not os.path.lexists(line) else line
            for line, there in zip(lines, beside, strict=True)]  # fmt: skip
