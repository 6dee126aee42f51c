import csv
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.errors import InputError
from ssd.training.run.results import COLUMNS, Results, read_results
from tests.helpers.runs import row, write_results

HEADER = ",".join(COLUMNS) + "\n"


def iterations(path):
    return read_results(path)["iteration"].tolist()


def test_results_as_a_file(tmp_path):
    path = tmp_path / "results.csv"
    results = Results(path)
    assert path.read_text() == HEADER
    results.append([row(1), row(2, train_iou=float("nan"), train_accuracy=np.float32(0.5))])
    results.append([])
    results.append([row(3, val_loss=2.5, val_mAP=0.125)])
    lines = ["1,0.001,10,,,,,,,,,,", "2,0.001,5,,,0.5,,,,,,,", "3,0.001,3.333333,,,,,2.5,,,,,0.125", ""]
    assert path.read_bytes().decode() == HEADER + "\n".join(lines)
    with open(path, newline="") as file:
        assert [line["val_mAP"] for line in csv.DictReader(file)] == ["", "", "0.125"]


def test_results_read_back(tmp_path):
    write_results(tmp_path / "results.csv", [row(1), row(2, val_mAP=0.5, train_loss=float("inf"))])
    read = read_results(tmp_path / "results.csv")
    assert tuple(read) == COLUMNS
    assert all(column.dtype == np.float64 and column.shape == (2,) for column in read.values())
    np.testing.assert_array_equal(read["iteration"], [1, 2])
    np.testing.assert_array_equal(read["train_loss"], [10, np.inf])
    np.testing.assert_array_equal(read["val_mAP"], [np.nan, 0.5])
    assert np.isnan(read["val_loss"]).all()


def test_results_without_rows(tmp_path):
    Results(tmp_path / "results.csv")
    assert all(column.shape == (0,) for column in read_results(tmp_path / "results.csv").values())


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(0, 400))
def test_a_killed_run_goes_on_with_each_iteration_once(tmp_path_factory, iteration, length):
    """Cut anywhere, the file continues from any checkpoint as if nothing had happened."""
    path = tmp_path_factory.mktemp("run") / "results.csv"
    rows = [row(k, val_mAP=k / 10) if k % 3 == 0 else row(k) for k in range(1, 13)]
    write_results(path, rows)
    whole = path.read_bytes()
    path.write_bytes(whole[:length])  # 400 bytes are about nine rows below the header
    complete = max(whole[:length].count(b"\n") - 1, 0)
    assert iterations(path) == list(range(1, complete + 1))
    results = Results(path, iteration)
    kept = min(iteration, complete)
    assert iterations(path) == list(range(1, kept + 1))
    results.append(rows[kept:])
    assert path.read_bytes() == whole


def test_an_iteration_is_written_once(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, [row(1), row(2), row(3)])
    results = Results(path, 2)
    for wrong in ([row(2)], [row(3), row(3)], [row(4), row(3)]):
        with pytest.raises(ValueError, match="iterations"):
            results.append(wrong)
    assert iterations(path) == [1, 2]
    results.append([row(3)])
    with pytest.raises(ValueError, match=r"\[3\] after 3"):
        Results(path, 3).append([row(3)])


def test_unknown_figures_are_refused(tmp_path):
    with pytest.raises(ValueError, match="val_map"):
        Results(tmp_path / "results.csv").append([row(1, val_map=0.5)])


def test_a_rewrite_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    write_results(path, [row(1), row(2)])
    before = path.read_bytes()

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        Results(path, 1)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b,c\n1,2,3\n", "results.csv: not the results of a run, whose columns are iteration, lr"),
        (b"\x89PNG\r\n\x1a\n", "results.csv: not the results of a run"),
        (b"\n\n", "results.csv: not the results of a run"),
        (HEADER.encode() + b"1,2,3\n", "results.csv, row 1: must be 13 numbers"),
        (HEADER.encode() + b"1,,,,,,,,,,,,\n2,x,,,,,,,,,,,\n", "results.csv, row 2: must be 13 numbers"),
        (HEADER.encode() + b"1.5,,,,,,,,,,,,\n", "results.csv, row 1: must be 13 numbers, the first the iteration"),
        (HEADER.encode() + b"\n1,,,,,,,,,,,,\n", "results.csv, row 1: must be 13 numbers"),
        (HEADER.encode() + b"\0\0\n", "results.csv"),
        (HEADER.encode() + b"2,,,,,,,,,,,,\n2,,,,,,,,,,,,\n", "results.csv, row 2: iteration 2 follows 2"),
    ],
)
def test_files_that_are_no_results_are_refused_and_left(tmp_path, content, message):
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    for use in (read_results, Results):
        with pytest.raises(InputError, match=message):
            use(path)
    assert path.read_bytes() == content


def test_results_that_a_spreadsheet_saved(tmp_path):
    path = tmp_path / "results.csv"
    write_results(path, [row(1), row(2)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert iterations(path) == [1, 2]


def test_missing_results_are_named(tmp_path):
    with pytest.raises(InputError, match="results.csv: no such file"):
        read_results(tmp_path / "results.csv")
