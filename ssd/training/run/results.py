"""What a run folder says in numbers: results.csv and args.json."""

import csv
import io
import json
import os
import platform
import subprocess
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from math import isnan, nan
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision

from ssd.errors import InputError
from ssd.files import naming, replacing

RESULTS_NAME, ARGUMENTS_NAME = "results.csv", "args.json"
FIGURES = ("loss", "loc", "conf", "accuracy", "iou")  # of a batch in training, of the whole list in validation
COLUMNS = ("iteration", "lr", *(f"train_{name}" for name in FIGURES), *(f"val_{name}" for name in FIGURES), "val_mAP")
DIGITS = 7  # significant ones, about what float32 holds


class Results:
    """results.csv, ready for the rows of a run that goes on from `iteration`, the number of those done.

    A new file gets its header. Of an old one, the rows after `iteration` are removed, which a run wrote that was
    killed after its last checkpoint, and so is a last line that is not complete.
    Raises InputError where the file is no results.csv, and where it cannot be written.
    """

    def __init__(self, path, iteration=0):
        self._path = Path(path)
        kept = _rows_until(self._path, iteration)
        self._iteration = int(kept[-1][0]) if kept else 0
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([COLUMNS, *kept])
        with replacing(self._path) as file:
            file.write(content.getvalue().encode())

    def append(self, rows):
        """Write rows, dicts of some of COLUMNS, "iteration" (from 1) among them. NaN and what is missing stay empty.

        They are on the disk when this returns, so that a checkpoint saved after it never knows more than the file.
        Raises ValueError, and writes nothing, where the iterations do not go up.
        """
        iterations = [self._iteration, *(row["iteration"] for row in rows)]
        if any(after <= before for before, after in zip(iterations, iterations[1:], strict=False)):
            raise ValueError(f"{self._path}: rows of the iterations {iterations[1:]} after {iterations[0]}")
        with naming(self._path), open(self._path, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
            file.flush()
            os.fsync(file.fileno())
        self._iteration = iterations[-1]


def read_results(path):
    """The columns of a results.csv: dict, name -> (n,) float64 array, NaN where a field is empty.

    A last line that is not complete is left out: the file can be read while a run writes it.
    Raises InputError, naming the row, where it is no such file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; train.py writes one in the folder of a run")
    numbers = np.array([_numbers(row) for row in _rows(path)]).reshape(-1, len(COLUMNS))  # (n, columns)
    return dict(zip(COLUMNS, numbers.T, strict=True))


def _rows_until(path, iteration):
    """The rows of the iterations up to this one, none where there is no file."""
    return [row for row in _rows(path) if int(row[0]) <= iteration] if path.exists() else []


def _rows(path):
    """The complete rows below the header, as text. Raises InputError on anything that `Results` does not write."""
    try:
        complete = path.read_bytes().rpartition(b"\n")[0].decode("utf-8-sig")
        header, *rows = csv.reader(complete.splitlines()) if complete else [list(COLUMNS)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not the results of a run ({error})") from None
    if header != list(COLUMNS):
        raise InputError(f"{path}: not the results of a run, whose columns are {', '.join(COLUMNS)}")
    last = 0
    for number, row in enumerate(rows, start=1):
        last = _checked_iteration(row, last, f"{path}, row {number}")
    return rows


def _checked_iteration(row, last, where):
    """The iteration of a row. Raises InputError unless the row is whole, its iteration above `last`."""
    try:
        iteration = int(row[0])
        whole = len(_numbers(row)) == len(COLUMNS)
    except (IndexError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{where}: must be {len(COLUMNS)} numbers, the first the iteration; mend or delete the row")
    if iteration <= last:
        raise InputError(f"{where}: iteration {iteration} follows {last}; mend or delete the row")
    return iteration


def _numbers(row):
    return [float(field) if field else nan for field in row]


def _text(value):
    return "" if isnan(value) else format(value, "d" if isinstance(value, int) else f".{DIGITS}g")


# args.json: {"starts": [...]}, one for each time that the run was started or went on


def write_arguments(folder, arguments, device="cpu", iteration=0):
    """Add a start to args.json: its arguments, and the versions and the machine it runs with.

    A run that goes on keeps what its earlier starts said. arguments: dict. device: what the run computes on.
    iteration: the number of those done. Raises InputError where the file that is there cannot be read.
    """
    path = Path(folder) / ARGUMENTS_NAME
    start = {
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "iteration": iteration,
        "arguments": arguments,
        "commit": git_commit(),
        "versions": versions(),
        "platform": platform.platform(),
        "device": device_name(device),
    }
    starts = [*(_read_starts(path) if path.exists() else []), start]
    with replacing(path) as file:
        file.write(json.dumps({"starts": starts}, indent=2, default=str).encode() + b"\n")


def read_arguments(folder):
    """The arguments of a run's newest start, as `write_arguments` took them (paths as text).

    Raises InputError where the folder holds none.
    """
    return _read_starts(Path(folder) / ARGUMENTS_NAME)[-1]["arguments"]


def _read_starts(path):
    try:
        starts = json.loads(path.read_text(encoding="utf-8-sig"))["starts"]
        if all(isinstance(start["arguments"], dict) for start in starts) and starts:
            return starts
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; give the folder of a run of train.py") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise InputError(f"{path}: does not hold the arguments of a run; mend it or move it away")


def versions():
    """The versions of what decides a run's result: dict, name -> version, None where it is not there."""
    try:
        own = version("ssd300")
    except PackageNotFoundError:  # run from a checkout
        own = None
    return {
        "ssd300": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }


def device_name(device):
    """The name of a device; of a GPU, the maker's."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def git_commit(file=__file__):
    """The commit that this code is of, with "-dirty" where tracked files differ; None where it is no git checkout."""

    def git(*arguments):
        command = ["git", "-C", str(Path(file).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(file).name)  # an installed copy may lie in someone else's checkout
        return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    except (OSError, subprocess.SubprocessError):
        return None
