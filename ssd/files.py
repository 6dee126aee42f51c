"""Files: found, read with errors that name them, and replaced as a whole."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, NoReturn, TypeVar

from ssd.errors import InputError

Kind = TypeVar("Kind", list, dict)

UNFINISHED = ".unfinished-"  # the beginning of the name of the folder in which `write_texts` writes
BLOCK = 1 << 24  # characters of a file in memory at a time
LIST_START, LIST_STEP = (re.compile(rf"[ \t\n\r]*{mark}[ \t\n\r]*") for mark in (r"\[", ","))  # of JSON

# Finding and reading


def find_files(folder: str | Path, endings: Collection[str], recursive: bool = True) -> list[Path]:
    """The files in a folder (`recursive`: and below it) whose names have one of the lower-case endings, sorted.

    Hidden files and folders (".name") are skipped. Links to folders are followed, but each folder is read only once.
    A missing folder holds no files. Raises InputError on a folder that cannot be read.
    """
    found: list[Path] = []
    seen = set()
    if not os.path.isdir(folder):
        return found
    for parent, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        visible = (name for name in names if not name.startswith("."))
        found += [Path(parent, name) for name in visible if os.path.splitext(name)[1].lower() in endings]
    return sorted(found)


def _refuse(error: OSError) -> NoReturn:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})")


def check_file(path: str | Path, kind: str = "file", missing: str = "") -> None:
    """Raises InputError, whose message names a `kind` of file, unless the path is one. Opening a pipe would block."""
    if os.path.isfile(path):
        return
    if os.path.isdir(path):
        what = f"a folder, not a {kind}"
    elif os.path.exists(path):
        what = f"a pipe or device, not a {kind}"
    elif os.path.islink(path):
        what = f"a link that leads to no {kind}"
    else:
        what = missing or f"no such {kind}"
    raise InputError(f"{path}: {what}")


def check_content(path: str | Path, kind: str) -> None:
    """`check_file`, which raises InputError on an empty file too."""
    check_file(path, kind)
    if not os.path.getsize(path):
        raise InputError(f"{path}: not a {kind}, the file is empty")


def read_bytes(path: str | Path, missing: str = "no such file") -> bytes:
    """The contents of a file. Raises InputError where it is missing (`missing` says so), unreadable or not a file."""
    check_file(path, missing=missing)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        _refuse(error)


def read_text(path: str | Path, missing: str = "no such file") -> str:
    """The contents of a UTF-8 text file without its byte order mark. Raises InputError as `read_bytes` does."""
    try:
        return read_bytes(path, missing).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save it in that encoding") from None


def read_json(path: str | Path, kind: type[Kind], missing: str = "no such file") -> Kind:
    """The contents of a JSON file that holds a `kind`: a list or a dict.

    Raises InputError where the file is missing, is not JSON, or holds something else.
    """
    text = read_text(path, missing)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, kind):
        raise InputError(f"{path}: holds a {type(content).__name__}, a {kind.__name__} is expected")
    return content


def read_json_items(path: str | Path, missing: str = "no such file") -> Iterator[Any]:
    """Yield what a JSON list holds, item by item, from a part of the file at a time: all items would need far more
    memory than the file.

    Raises InputError as `read_json` does, after the items before the error.
    """
    check_file(path, missing=missing)
    n = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            for item in _items(file):
                yield item
                n += 1
    except (OSError, ValueError, RecursionError):
        yield from read_json(path, list, missing)[n:]  # it knows the error, or an item is longer than a block


def _items(file: IO[str]) -> Iterator[Any]:
    """Yield the items of a JSON list. Raises ValueError where there is none, or an item is longer than a block."""
    decode, before, text, place = json.JSONDecoder().raw_decode, LIST_START, "", 0
    for block in iter(partial(file.read, BLOCK), ""):
        text, place = text[place:] + block, 0
        while begin := before.match(text, place):
            try:
                item, end = decode(text, begin.end())
            except ValueError:  # the rest of the item is in the next block
                break
            if end == len(text):  # so may be the rest of a number
                break
            yield item
            place, before = end, LIST_STEP
        if not place:
            break
    if text[place:].strip(" \t\n\r") != "]":
        raise ValueError("not a list")


def digest(path: str | Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


# Writing


def check_writable(folder: str | Path) -> None:
    """Raise InputError if `folder` cannot be written to or created. For checking before a long computation."""
    folder = Path(folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise InputError(f"{existing}: is a file; name a folder")
    if not os.access(existing, os.W_OK):
        raise InputError(f"{existing}: cannot be written to; name another folder")


def check_destination(source: Path, destination: Path) -> None:
    """Raise InputError if the destination is the source, or cannot be a file."""
    if destination.exists() and source.exists() and destination.samefile(source):
        raise InputError(f"{destination}: is the source itself; give the result another name")
    if destination.is_dir():
        raise InputError(f"{destination}: a folder; name the file to write")
    if not destination.parent.is_dir():
        raise InputError(f"{destination.parent}: no such folder to write {destination.name} to")


def newest_numbered(folder: str | Path) -> Path | None:
    """Of the files and folders in a folder that have a number for their name, the one with the highest, if any."""
    numbered = [path for path in Path(folder).glob("*") if path.name.isdecimal()]
    return max(numbered, key=lambda path: int(path.name), default=None)


def next_free(folder: str | Path) -> Path:
    """FOLDER/N, where N is one more than the number of the `newest_numbered`."""
    newest = newest_numbered(folder)
    return Path(folder) / str(int(newest.name) + 1 if newest else 1)


def create_next(folder: str | Path) -> Path:
    """Create the folder `next_free(folder)`. Processes that do so at the same moment get one each."""
    while True:
        path = next_free(folder)
        try:
            with naming(path):
                path.mkdir(parents=True)
            return path
        except InputError:
            if not path.is_dir():
                raise


def oldest_first(folder: str | Path, pattern: str) -> list[Path]:
    """The files in a folder whose names match a pattern, by the time of their last change."""
    return sorted(Path(folder).glob(pattern), key=lambda path: path.stat().st_mtime)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8. Its folder is created if need be. Otherwise as `write_bytes`."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_texts(folder: str | Path, texts: Mapping[str, Iterable[str]]) -> None:
    """Write text files (name -> parts of the content) that belong together into a folder, created if need be.

    All are complete before the first one replaces an old file. Raises InputError where they cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.glob(f"{UNFINISHED}*"):  # by a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    with naming(folder), TemporaryDirectory(prefix=UNFINISHED, dir=folder) as new:
        for name, parts in texts.items():
            with open(Path(new, name), "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                file.writelines(parts)
        for name in texts:
            os.replace(Path(new, name), folder / name)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file. Whoever is killed meanwhile leaves the old file whole; a power failure may cost both.

    Raises InputError where the file cannot be written.
    """
    with replacing(path, sync=False) as file:
        file.write(content)


def json_list(items: Iterable[object], indent: int | None = None) -> Iterator[str]:
    """Yield parts of what `json.dumps` makes of a list of the items. Memory never holds more than one of them."""
    begin = "["
    between, end = (", ", "]") if indent is None else (",", "\n]")
    for item in items:
        yield begin + json.dumps([item], indent=indent)[1 : -len(end)]
        begin = between
    yield end if begin == between else "[]"


def json_lists(lists: Mapping[str, Iterable[object]]) -> Iterator[str]:
    """Yield parts of what `json.dumps` makes of a dict of one or more lists, as `json_list` does, and a line feed."""
    begin = "{"
    for key, items in lists.items():
        yield f"{begin}{json.dumps(key)}: "
        yield from json_list(items)
        begin = ", "
    yield "}\n"


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """For a block that writes a file: the system's refusal becomes an InputError that names the file."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # torch.save turns the OSError of a full disk into a RuntimeError about positions in its file.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        raise InputError(
            f"{path}: cannot be written ({cause.strerror or cause}); make room, or choose another folder"
        ) from None


@contextmanager
def replacing(path: str | Path, sync: bool = True) -> Iterator[IO[bytes]]:
    """Open a binary file to write into, which replaces `path` when the block ends.

    Whoever opens `path` at any moment finds all of the old content or all of the new. If the block raises or the disk
    is full, the old file stays as it was. What is no file, such as /dev/stdout, is written to directly.
    sync: wait until the disk has it (some milliseconds). Raises InputError where the file cannot be written.
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    temporary = temporary_for(target)
    with naming(path):
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as file:
                yield file
            return
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_for(path: Path) -> Path:
    """Where the content of a file is written before it replaces the file: beside it, PATH.N.tmp."""
    return path.with_name(f"{path.name}.{os.getpid()}.tmp")
