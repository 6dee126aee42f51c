"""The output folder of `detect`: it holds results of one model, and knows which of its files they are.

`detections_of.json` in it holds {"model": see `ssd.pretrained.describe_model`, "files": [names in the folder]}.
"""

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ssd.data.formats.paths import inside
from ssd.errors import InputError
from ssd.files import find_files, naming, read_json, replacing
from ssd.media.outputs import SAVED_AS

DEFAULT = Path("detections")  # each run has a folder 1, 2, ... in it
NAME = "detections_of.json"
TEMPORARY = re.compile(r"\.\d+\.tmp$")  # the end of what `ssd.files.temporary_for` returns


class OutputFolder:
    """A folder for results of one model, made if need be.

    model: plain data. files: names of the files that will be written. overwrite: remove earlier results of any model,
    and nothing else.
    Raises InputError where the folder holds results of another model or of an unknown one, or another file of one of
    these names.
    """

    def __init__(self, path: Path, model: dict, files: Iterable[str], overwrite: bool = False):
        self.path, self.model = path, model
        files, before = list(files), _read(path)
        if not (overwrite or _is_same(before.get("model", model), model)):
            raise InputError(
                f"{path}: holds results of another model, {before['model']['checkpoint']}; name another folder, or "
                "remove them with --overwrite"
            )
        for name in set(files) - set(before["files"]):
            _refuse_unknown(path / name)
        ours = {inside(path, name) for name in before["files"]}
        self._remove(path for path in find_files(path, {".tmp"}) if Path(TEMPORARY.sub("", str(path))) in ours)
        if overwrite:
            self._remove(ours)
        for link in (path / name for name in files if (path / name).is_symlink()):
            link.unlink()  # writing through it would change a file elsewhere
        self.earlier = set() if overwrite else set(before["files"])
        with naming(path):
            path.mkdir(parents=True, exist_ok=True)
        self.note(files)

    def note(self, files: Iterable[str]) -> None:
        """Write down which files are results, with those of earlier runs."""
        content = {"model": self.model, "files": sorted(self.earlier.union(files))}
        with replacing(self.path / NAME) as file:
            file.write(json.dumps(content, indent=1).encode() + b"\n")

    def _remove(self, files: Iterable[Path]) -> None:
        """Remove files, and the folders in this one that are empty then."""
        for path in (files := set(files)):
            path.unlink(missing_ok=True)
        folders = {folder for path in files for folder in path.parents if self.path in folder.parents}
        for folder in sorted(folders, reverse=True):  # the inner ones first
            with suppress(OSError):
                folder.rmdir()


def _read(folder: Path) -> dict:
    """What a folder says of itself; no files and no model where it holds no results."""
    path = folder / NAME
    if not path.exists():
        for name in SAVED_AS.values():
            _refuse_unknown(folder / name)
        return {"files": []}
    content = read_json(path, dict)
    try:
        if all(isinstance(text, str) for text in (content["model"]["checkpoint"], *content["files"])):
            return content
    except (KeyError, TypeError):
        pass
    raise InputError(f"{path}: does not say whose results are here; move it away, or name another folder")


def _is_same(model: dict, other: dict) -> bool:
    """Whether they are one model, wherever its file is."""
    return model | {"checkpoint": ""} == other | {"checkpoint": ""}


def _refuse_unknown(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path}: not known to be a result of this command; move it away, or name another folder")
