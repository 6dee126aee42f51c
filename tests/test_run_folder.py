"""What a run folder holds beside checkpoints: results.csv, args.json, curves, pictures, logs."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.errors import InputError
from ssd.files import replacing
from ssd.training.record import (
    COLUMNS,
    Results,
    git_commit,
    read_arguments,
    read_results,
    write_arguments,
)

HEADER = ",".join(COLUMNS) + "\n"


def row(iteration, **more):
    return {"iteration": iteration, "lr": 1e-3, "train_loss": 10 / iteration, **more}


def write(path, rows, iteration=0):
    Results(path, iteration).append(rows)


def iterations(path):
    return read_results(path)["iteration"].tolist()


# -- files that are replaced as a whole


def test_a_file_is_replaced_or_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as file:
        file.write(b"new, as far as it ")
        raise OSError("disk full")
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


# -- results.csv


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
    write(tmp_path / "results.csv", [row(1), row(2, val_mAP=0.5, train_loss=float("inf"))])
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
    """Cut anywhere, the file goes on from any checkpoint that it knows as if nothing had happened."""
    path = tmp_path_factory.mktemp("run") / "results.csv"
    rows = [row(k, val_mAP=k / 10) if k % 3 == 0 else row(k) for k in range(1, 13)]
    write(path, rows)
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
    write(path, [row(1), row(2), row(3)])
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
    write(path, [row(1), row(2)])
    before = path.read_bytes()

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
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
    write(path, [row(1), row(2)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert iterations(path) == [1, 2]


def test_missing_results_are_named(tmp_path):
    with pytest.raises(InputError, match="results.csv: no such file"):
        read_results(tmp_path / "results.csv")


# -- args.json


def test_arguments_of_every_session_are_kept(tmp_path):
    write_arguments(tmp_path, {"lr": 1e-3, "output": tmp_path, "resume": None})
    write_arguments(tmp_path, {"lr": 1e-4, "resume": "é"}, iteration=70)
    first, second = json.loads((tmp_path / "args.json").read_text())["sessions"]
    assert first["arguments"] == {"lr": 1e-3, "output": str(tmp_path), "resume": None}
    assert second["arguments"] == read_arguments(tmp_path) == {"lr": 1e-4, "resume": "é"}
    assert (first["iteration"], second["iteration"]) == (0, 70)
    assert first["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"ssd300", "torch", "torchvision", "numpy", "pillow"} < set(first["versions"])
    assert first["started"] <= second["started"] and first["platform"] and first["device"]
    assert list(tmp_path.iterdir()) == [tmp_path / "args.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sessions": []}', '{"sessions": [1]}', '{"sessions": "ab"}'])
def test_damaged_arguments_are_refused_and_left(tmp_path, content):
    (tmp_path / "args.json").write_text(content)
    for use in (read_arguments, lambda folder: write_arguments(folder, {})):
        with pytest.raises(InputError, match="args.json: does not hold the arguments of a run"):
            use(tmp_path)
    assert (tmp_path / "args.json").read_text() == content


def test_missing_arguments_are_named(tmp_path):
    with pytest.raises(InputError, match="args.json: no such file"):
        read_arguments(tmp_path)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_code(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        return subprocess.run(
            ["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    code, installed = tmp_path / "code.py", tmp_path / "installed.py"
    for file in (code, installed):
        file.write_text("1\n")
    assert git_commit(code) is None
    git("init", "--quiet")
    git("add", "code.py")
    assert git_commit(code) is None
    git("commit", "--quiet", "-m", "one")
    git("tag", "-a", "v1", "-m", "a tag must not take the place of the hash")
    assert git_commit(code) == git("rev-parse", "HEAD")
    assert git_commit(installed) is None  # of someone else's checkout
    code.write_text("2\n")
    assert git_commit(code) == git("rev-parse", "HEAD") + "-dirty"


def test_no_commit_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None
