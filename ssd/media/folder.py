"""The output folder of `detect`: it holds results of one model, and knows which of its files they are.

`detections_of.json` in it holds {"model": see `ssd.pretrained.describe_model`, "job": see `describe_job`, "ended":
whether that job has tried all of its sources, "files": [names in the folder]}. Until all of them could be read to their
end, the job's journals are in the folder too.
"""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from itertools import filterfalse
from pathlib import Path

import numpy as np

from ssd.data.formats.paths import inside
from ssd.distributed import n_processes
from ssd.errors import InputError
from ssd.files import find_files, naming, read_json, replacing
from ssd.media.journal import JOURNAL, compact
from ssd.media.outputs import SAVED_AS
from ssd.media.sources import Sources, describe_sources

DEFAULT = Path("detections")  # each run has a folder 1, 2, ... in it
NAME = "detections_of.json"
JOURNAL_NAME = re.compile(JOURNAL.format(r"\d+"))
TEMPORARY = re.compile(r"\.\d+\.tmp$")  # the end of what `ssd.files.temporary_for` returns


def describe_job(sources: Sources, options: Mapping[str, object]) -> dict:
    """What decides the results of a job beside the model, as plain data. options: name -> value, in JSON's types."""
    paths = "\0".join(map(str, (*sources.pictures, *sources.videos))).encode("utf-8", "surrogateescape")
    return {"sources": describe_sources(sources), "sha256": sha256(paths).hexdigest(), "options": dict(options)}


class OutputFolder:
    """A folder for a job's results of one model, made if need be.

    model, job: plain data. sources: of the job. files: names of the files that will be written. overwrite: remove
    earlier results of any model, and nothing else. resume: continue the job that is there.
    left: the numbers of the sources that are to be done. is_finished: whether the job was complete already.
    Raises InputError where the folder holds results of another model or of an unknown one, or another file of one of
    these names; with `resume` where its job is another one, and without it where its job was interrupted.
    """

    def __init__(
        self,
        path: Path,
        model: dict,
        job: dict,
        sources: Sources,
        files: Iterable[str],
        overwrite: bool = False,
        resume: bool = False,
    ):
        self.path, self.model, self.job = path, model, job
        paths = [*sources.pictures, *sources.videos]
        before = _read(path)
        if not (overwrite or _is_same(before.get("model", model), model)):
            raise InputError(
                f"{path}: holds results of another model, {before['model']['checkpoint']}; name another folder, or "
                "remove them with --overwrite"
            )
        self.earlier = set(before["files"])
        journals, has_ended = self.journals(), before.get("ended", True)
        if resume:
            _check_job(path, before.get("job"), job)
        elif not (overwrite or has_ended) and any(journal.stat().st_size for journal in journals):
            raise InputError(f"{path}: holds a job that was interrupted; --resume continues it, --overwrite removes it")
        self.is_finished, self.left = bool(resume and has_ended and not journals), np.arange(0)
        if self.is_finished:
            return
        self._make_room([*files, *map(JOURNAL.format, range(n_processes()))], overwrite)
        if resume:
            self.left = np.flatnonzero(~compact(journals, self.journal(0), paths))
        else:
            self._remove(journals)
            self.journal(0).touch()  # while there is one, the job is not finished
            self.left = np.arange(len(paths))

    def _make_room(self, files: Sequence[str], overwrite: bool) -> None:
        """Make the folder ready for files of these names."""
        for name in set(files) - self.earlier:
            _refuse_unknown(self.path / name)
        ours = {inside(self.path, name) for name in self.earlier}
        temporary = find_files(self.path, {".tmp"})
        self._remove(path for path in temporary if Path(TEMPORARY.sub("", str(path))) in ours)
        if overwrite:
            self._remove(ours)
            self.earlier = set()
        for link in (self.path / name for name in files if (self.path / name).is_symlink()):
            link.unlink()  # writing through it would change a file elsewhere
        with naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        self._note(files, ended=False)

    def journal(self, number: int) -> Path:
        """The journal of the process of this number."""
        return self.path / JOURNAL.format(number)

    def journals(self) -> list[Path]:
        """The journals that there are, of this run's processes and of an earlier one's."""
        names = {*map(JOURNAL.format, range(n_processes())), *filter(JOURNAL_NAME.fullmatch, self.earlier)}
        return [self.path / name for name in sorted(names) if (self.path / name).exists()]

    def finish(self, files: Iterable[str], is_complete: bool) -> None:
        """Note which files are results, and that the job has ended. is_complete: the journals are of no more use."""
        journals = self.journals()
        self._note([*files, *(journal.name for journal in journals)], ended=True)
        if is_complete:
            self._remove(journals)
            self.earlier = set(filterfalse(JOURNAL_NAME.fullmatch, self.earlier))
            self._note(files, ended=True)

    def _note(self, files: Iterable[str], ended: bool) -> None:
        """Write down which files are results, with those of earlier runs."""
        content = {"model": self.model, "job": self.job, "ended": ended, "files": sorted(self.earlier.union(files))}
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


def _check_job(path: Path, then: object, now: dict) -> None:
    """Raises InputError unless the job in a folder is this one."""
    if not isinstance(then, dict) or not isinstance(then.get("options"), dict):
        raise InputError(f"{path}: holds no job to continue; leave out --resume to begin one")
    if then.get("sha256") != now["sha256"]:
        sources = f"{then.get('sources')}, now {now['sources']}"
        raise InputError(f"{path}: the job there has other sources ({sources}); --resume needs the same ones")
    for name, value in now["options"].items():
        if (before := then["options"].get(name)) != value:
            option = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{path}: the job there has {option} {json.dumps(before)}, not {json.dumps(value)}; --resume needs the "
                "same"
            )


def _refuse_unknown(path: Path) -> None:
    if os.path.lexists(path):
        raise InputError(f"{path}: not known to be a result of this command; move it away, or name another folder")
