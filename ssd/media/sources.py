"""The pictures, videos, cameras and addresses that a user names."""

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeGuard

from ssd.data.images import picture_endings
from ssd.data.lists import read_image_paths
from ssd.errors import InputError
from ssd.files import find_files, read_text
from ssd.media import animation, streams
from ssd.media.streams import Stream, is_stream
from ssd.text import counted

VIDEO_ENDINGS = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))  # fmt: skip
Source = Path | Stream


class Sources(NamedTuple):
    """What sources name, each path once.

    names: path -> its name below its source's folder, separated by "/". Other sources do not change it.
    """

    pictures: list[Source]
    videos: list[Source]
    names: dict[Source, str]


def find_sources(sources: Iterable[str | Path], recursive: bool = False, leave_out: Path | None = None) -> Sources:
    """The pictures and the videos that sources name.

    A source is a picture, a video (known by its ending; an animated GIF or WebP is one too), a folder (its pictures
    except hidden ones; `recursive` adds those of its subfolders), a list (.txt with one path or address a line, or a
    `*_images.json` of data lists), a pattern with * ? [ ] or **, the number of a camera, or an address, see `Stream`.
    leave_out: a folder that folders and patterns skip.
    Raises InputError where a source names nothing.
    """
    names: dict[Source, str] = {}
    for source in map(str, sources):
        folder = _folder_of(Path(source))
        for found in _named_by(source, recursive, leave_out):
            names.setdefault(found, found.name if isinstance(found, Stream) else _name_below(folder, found))
    is_video = {found: _is_video(found) for found in names}
    pictures = [found for found in names if not is_video[found]]
    return Sources(pictures, [found for found in names if is_video[found]], names)


def _is_video(source: Source) -> bool:
    if isinstance(source, Stream):
        return _ending(source) not in picture_endings() - {*animation.ENDINGS}  # which may be one
    return _ending(source) in VIDEO_ENDINGS or animation.is_animation(source)


def film_ending(video: Source) -> str:
    """The ending of a video's annotated copy."""
    ending = _ending(video)
    return ending if ending in animation.ENDINGS else ".mp4"


def is_picture_file(source: Source) -> TypeGuard[Path]:
    """Whether this is the file of a picture. That of an animation passes for one where no frames are expected."""
    return isinstance(source, Path) and _ending(source) not in VIDEO_ENDINGS


def describe_sources(sources: Sources) -> str:
    """How many pictures, videos and streams there are, in words."""
    n_streams = sum(isinstance(video, Stream) for video in sources.videos)
    counts = (
        (len(sources.pictures), "picture", "pictures"),
        (len(sources.videos) - n_streams, "video", "videos"),
        (n_streams, "camera or address", "cameras and addresses"),
    )
    return " and ".join(counted(*count) for count in counts if count[0]) or "no pictures"


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


def _named_by(text: str, recursive: bool, leave_out: Path | None) -> Sequence[Source]:
    source = Path(text)
    if os.path.isdir(source):
        return _or_refuse(_in_folder(source, recursive, leave_out), f"{source}: no pictures in this folder")
    if is_stream(text):
        if (stream := Stream(text)).is_camera:
            streams.camera_input(text)  # which raises where there is none
        return [stream]
    if _ending(source) == ".json":
        return [Path(image) for image in read_image_paths(source)]
    if _ending(source) == ".txt":
        return _or_refuse(read_source_list(source), f"{source}: this list names no pictures")
    if os.path.lexists(source):  # if it is no picture, loading it says so
        return [source]
    if any(sign in text for sign in "*?["):
        return _or_refuse(_matching(source, leave_out), f"{source}: no picture or video matches this pattern")
    if text == "-":
        raise InputError("-: standard input is not read, save it to a file first")
    raise InputError(f"{source}: no such picture or folder")


def _or_refuse(paths: Sequence[Source], message: str) -> Sequence[Source]:
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


def _ending(source: Source) -> str:
    return source.suffix.lower()


def read_source_list(path: Path) -> list[Source]:
    """The paths and addresses in a text file, one a line.

    A relative path starts at the working directory or, if there is no such file, at the list's folder.
    Raises InputError where the list is missing or not UTF-8.
    """
    lines = [line.strip() for line in read_text(path, "no such list").splitlines() if line.strip()]
    return [Stream(line) if is_stream(line) else _beside(path, Path(line)) for line in lines]


def _beside(path: Path, named: Path) -> Path:
    """What is named in the file `path`: there, or else beside the file."""
    there = path.parent / named
    return there if os.path.lexists(there) and not os.path.lexists(named) else named
