"""results.csv: what a run measures at each iteration."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from math import isnan, nan
from pathlib import Path

import numpy as np

from ssd.errors import InputError
from ssd.files import naming, replacing

RESULTS_NAME = "results.csv"
FIGURES = ("loss", "loc", "conf", "accuracy", "iou")  # of a batch in training, of the whole list in validation
COLUMNS = ("iteration", "lr", *(f"train_{name}" for name in FIGURES), *(f"val_{name}" for name in FIGURES), "val_mAP")
DIGITS = 7  # significant ones, about as many as float32 holds


class Results:
    """A results.csv that is ready for the next rows of a run.

    iteration: number of those done. A new file gets its header. From an existing one, the rows after `iteration` are
    removed, which a run wrote between its last checkpoint and being killed, and so is an incomplete last line.
    Raises InputError if the file is not a results.csv or cannot be written.
    """

    def __init__(self, path: str | Path, iteration: int = 0):
        self._path = Path(path)
        rows = _rows(self._path) if self._path.exists() else []
        kept = [row for row in rows if int(row[0]) <= iteration]
        self._iteration = int(kept[-1][0]) if kept else 0
        content = io.StringIO()
        csv.writer(content, lineterminator="\n").writerows([COLUMNS, *kept])
        with replacing(self._path) as file:
            file.write(content.getvalue().encode())

    def append(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Write rows: some of COLUMNS, among them "iteration" (from 1). NaN and what is missing stay empty.

        The rows are on the disk when this returns, so a checkpoint saved afterwards never knows more than the file.
        Raises ValueError, and writes nothing, if the iterations do not go up.
        """
        iterations = [self._iteration, *(int(row["iteration"]) for row in rows)]
        if any(after <= before for before, after in zip(iterations, iterations[1:], strict=False)):
            raise ValueError(f"{self._path}: rows of the iterations {iterations[1:]} after {iterations[0]}")
        with naming(self._path), open(self._path, "a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
            writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
            file.flush()
            os.fsync(file.fileno())
        self._iteration = iterations[-1]


def read_results(path: str | Path) -> dict[str, np.ndarray]:
    """The columns of a results.csv: name -> (n,) float64 array, NaN where a field is empty.

    An incomplete last line is left out, so the file can be read while a run writes it.
    Raises InputError, naming the row, if it is not such a file.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: no such file; train.py writes one in the folder of a run")
    numbers = np.array([_numbers(row) for row in _rows(path)]).reshape(-1, len(COLUMNS))  # (n, columns)
    return dict(zip(COLUMNS, numbers.T, strict=True))


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
    """The iteration of a row. Raises InputError unless the row is whole and its iteration is above `last`."""
    try:
        iteration = int(row[0])
        whole = len(_numbers(row)) == len(COLUMNS)
    except (IndexError, ValueError):
        whole = False
    if not whole:
        raise InputError(f"{where}: must be {len(COLUMNS)} numbers, the first the iteration; fix or delete the row")
    if iteration <= last:
        raise InputError(f"{where}: iteration {iteration} follows {last}; fix or delete the row")
    return iteration


def _numbers(row):
    return [float(field) if field else nan for field in row]


def _text(value):
    return "" if isnan(value) else format(value, "d" if isinstance(value, int) else f".{DIGITS}g")
