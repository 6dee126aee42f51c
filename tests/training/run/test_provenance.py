import json
import os
import shutil
import subprocess
import sys

import pytest

from ssd.errors import InputError
from ssd.training.run.provenance import git_commit, write_arguments


def test_arguments_of_every_session_are_kept(tmp_path):
    write_arguments(tmp_path, {"lr": 1e-3, "output": tmp_path, "resume": None})
    write_arguments(tmp_path, {"lr": 1e-4, "resume": "é"}, iteration=70)
    first, second = json.loads((tmp_path / "args.json").read_text())["starts"]
    assert first["arguments"] == {"lr": 1e-3, "output": str(tmp_path), "resume": None}
    assert second["arguments"] == {"lr": 1e-4, "resume": "é"}
    assert (first["iteration"], second["iteration"]) == (0, 70)
    assert first["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"ssd300", "torch", "torchvision", "numpy", "pillow"} < set(first["versions"])
    assert first["started"] <= second["started"] and first["platform"] and first["device"]
    assert list(tmp_path.iterdir()) == [tmp_path / "args.json"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"starts": []}', '{"starts": [1]}', '{"starts": "ab"}'])
def test_damaged_arguments_are_refused_and_left(tmp_path, content):
    (tmp_path / "args.json").write_text(content)
    with pytest.raises(InputError, match="args.json: does not hold the arguments of a run"):
        write_arguments(tmp_path, {})
    assert (tmp_path / "args.json").read_text() == content


def test_arguments_that_cannot_be_written_leave_the_old_ones(tmp_path, monkeypatch):
    write_arguments(tmp_path, {"lr": 1e-3})
    before = (tmp_path / "args.json").read_text()

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        write_arguments(tmp_path, {"lr": 1e-4})
    assert (tmp_path / "args.json").read_text() == before


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
