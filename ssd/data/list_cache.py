"""Copies of large data lists as arrays, beside the JSON files, so that they open at once the second time.

The JSON files are what counts: a copy belongs to their exact contents, and one that does not fit is made anew.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED

import numpy as np

from ssd.data.columns import DataList
from ssd.errors import InputError
from ssd.files import digest, replacing

VERSION = 1  # of what is in the file
LEAST_SIZE = 4 * 2**20  # bytes of JSON, which take half a second to read; smaller lists have no copy


def cache_key(files: Sequence[Path]) -> str | None:
    """What a copy of the contents of these files is known by, or None where reading them does not take long."""
    if not all(file.is_file() for file in files) or sum(file.stat().st_size for file in files) < LEAST_SIZE:
        return None
    return " ".join([str(VERSION), *map(digest, files)])


def read_cache(path: Path, key: str, class_names: Sequence[str]) -> DataList | None:
    """The data list that `write_cache` wrote under this key, or None where there is none or the file is damaged."""
    if not path.is_file():
        return None
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            stored = all(info.compress_type == ZIP_STORED for info in file.zip.infolist())  # no decompression bomb
            if not stored or file["key"] != key:
                return None
            data = DataList(
                **{name: file[name] for name in file.files if name != "key"}, class_names=tuple(class_names)
            )
        return data if _is_sound(data) else None
    except Exception:  # a damaged file can raise anything
        return None


def _is_sound(data: DataList) -> bool:
    """Whether the columns of a data list are of the right kinds and fit together."""
    empty = DataList.from_images([], ())
    kinds, expected = ({k: (each.dtype, each.shape[1:]) for k, each in one.columns.items()} for one in (data, empty))
    labels, n_classes = data.labels, len(data.class_names)
    return (
        kinds == expected
        and len(data.path_starts) == len(data.path_ends) == len(data)
        and _divide(data.offsets, len(data), data.boxes, labels, data.difficulties)
        and _divide(data.crowd_offsets, len(data), data.crowds, data.crowd_labels)
        and all(((low <= each) & (each <= n_classes)).all() for low, each in ((1, labels), (0, data.crowd_labels)))
    )


def _divide(offsets, n_images, *columns):
    """Whether offsets divide columns among the images."""
    in_order = len(offsets) == n_images + 1 and offsets[0] == 0 and (np.diff(offsets) >= 0).all()
    return in_order and all(len(column) == offsets[-1] for column in columns)


def write_cache(path: Path, key: str, data: DataList) -> None:
    """Write a copy of a data list. Where that is not possible, as in a folder that can only be read, there is none."""
    if path.exists() and not path.is_file():  # to open a pipe would wait for its reader
        return
    arrays: dict[str, Any] = {"key": np.array(key), **data.columns}
    with suppress(InputError), replacing(path, sync=False) as file:
        np.savez(file, **arrays)
