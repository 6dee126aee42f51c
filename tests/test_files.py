"""Finding, reading and writing files."""

import os

import pytest

from ssd.errors import InputError
from ssd.files import find_files, read_json, replacing


def test_hidden_files_are_not_found(tmp_path):
    for name in ("a.jpg", "._a.jpg", ".cache/b.jpg", "sub/c.JPG", "sub/d.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_files(tmp_path, {".jpg"}) == [tmp_path / "a.jpg", tmp_path / "sub/c.JPG"]
    assert find_files(tmp_path / "gone", {".jpg"}) == []


def test_json_of_the_wrong_kind(tmp_path):
    (tmp_path / "a.json").write_text("\ufeff{}", encoding="utf-8")
    assert read_json(tmp_path / "a.json", dict) == {}
    with pytest.raises(InputError, match="a.json: holds a dict, a list is expected"):
        read_json(tmp_path / "a.json", list)
    with pytest.raises(InputError, match="b.json: nowhere"):
        read_json(tmp_path / "b.json", list, missing="nowhere")


def test_folders_that_loop_are_entered_once(tmp_path, monkeypatch):
    """Two loops have 2^40 paths before the system says that there are too many links."""
    for name in ("a", "b"):
        (tmp_path / name).symlink_to(tmp_path)
    (tmp_path / "c.jpg").touch()
    stat, asked = os.stat, []

    def counted(*args, **options):
        asked.append(args)
        assert len(asked) < 50
        return stat(*args, **options)

    monkeypatch.setattr(os, "stat", counted)
    assert find_files(tmp_path, {".jpg"}) == [tmp_path / "c.jpg"]


def test_a_file_is_replaced_or_stays(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(InputError, match=r"cannot be written \(disk full\)"), replacing(path) as file:
        file.write(b"new, as far as it ")
        raise OSError("disk full")
    assert path.read_bytes() == b"old"
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
