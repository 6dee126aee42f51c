"""What a user names to look at: pictures, folders, patterns, lists, videos; and pictures loaded ahead of use."""

import glob
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ssd.data.images import load_image, picture_endings
from ssd.data.lists import read_image_paths
from ssd.errors import InputError
from ssd.files import find_files, read_text

VIDEO_ENDINGS = frozenset((
    ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4",
    ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m",
))  # fmt: skip


def find_sources(sources, recursive=False, leave_out=None):
    """The pictures and the videos that sources name: two lists of paths, each path once.

    A source is a picture, a video (by its ending), a folder (its pictures but hidden ones, with `recursive` those of
    its folders too), a list (.txt with a path a line, or a `*_images.json` of data lists), or a pattern with * ? [ ]
    or **.
    leave_out: a folder whose pictures no folder or pattern gives.
    Raises InputError where a source names nothing.
    """
    paths = dict.fromkeys(path for source in sources for path in _named_by(Path(source), recursive, leave_out))
    videos = [path for path in paths if _ending(path) in VIDEO_ENDINGS]
    return [path for path in paths if _ending(path) not in VIDEO_ENDINGS], videos


def _named_by(source, recursive, leave_out):
    if os.path.isdir(source):
        return _or_refuse(_in_folder(source, recursive, leave_out), f"{source}: no pictures in this folder")
    if _ending(source) == ".json":
        return [Path(image) for image in read_image_paths(source)]
    if _ending(source) == ".txt":
        return _or_refuse(read_path_list(source), f"{source}: this list names no pictures")
    if os.path.lexists(source):  # its loading says what is wrong with it
        return [source]
    if any(sign in str(source) for sign in "*?["):
        return _or_refuse(_matching(source, leave_out), f"{source}: no picture or video has such a name")
    raise InputError(f"{source}: no such picture or folder")


def _or_refuse(paths, message):
    if not paths:
        raise InputError(message)
    return paths


def _in_folder(folder, recursive, leave_out):
    pictures = find_files(folder, picture_endings(), recursive)
    return _outside(leave_out, pictures) if recursive else pictures


def _matching(pattern, leave_out):
    endings = picture_endings() | VIDEO_ENDINGS
    matches = map(Path, sorted(glob.glob(str(pattern), recursive=True)))
    return _outside(leave_out, [path for path in matches if _ending(path) in endings and not path.is_dir()])


def _outside(folder, paths):
    folder = folder and Path(os.path.realpath(folder))
    return [path for path in paths if not folder or folder not in Path(os.path.realpath(path.parent), "x").parents]


def _ending(path):
    return path.suffix.lower()


def read_path_list(path):
    """The paths in a text file, one a line. A relative one starts at the working directory, or, where there is no such
    file, at the list's folder. Raises InputError where the list is missing or not UTF-8."""
    lines = [Path(line.strip()) for line in read_text(path, "no such list").splitlines() if line.strip()]
    return [line if os.path.lexists(line) or not os.path.lexists(path.parent / line) else path.parent / line
            for line in lines]  # fmt: skip


def load_batches(paths, batch_size):
    """Generator of lists of (path, PIL RGB image, or the InputError of one that cannot be read), decoded in threads."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            yield list(zip(batch, threads.map(_load, batch), strict=True))


def _load(path):
    try:
        return load_image(path)
    except InputError as error:
        return error


def ahead(items):
    """The items of an iterator, each made in a thread while the one before it is in use."""
    items, end = iter(items), object()
    with ThreadPoolExecutor(1) as thread:
        item = thread.submit(next, items, end)
        while (made := item.result()) is not end:
            item = thread.submit(next, items, end)
            yield made


def batched(items, size):
    """Generator of lists of `size` items, the last one shorter."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
