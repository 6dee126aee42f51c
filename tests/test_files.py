"""Finding, reading and writing files."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from ssd import files
from ssd.errors import InputError
from ssd.files import (
    UNFINISHED,
    create_next,
    find_files,
    json_list,
    json_lists,
    next_free,
    read_json,
    read_json_items,
    replacing,
    write_text,
    write_texts,
)


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


@pytest.mark.parametrize("block", [7, 30, 10_000])
@pytest.mark.parametrize("text", [
    "[]", " [ ] ", "\ufeff[12, 345,\n6789012345678, 1e-7]\n", '[{"a": [1, {"b": 2}]}, "x, ]", null, [], {}, "é"]',
    "", "{}", "[1 2]", "[1, 2,]", '[1, {"a": 2}', "[1] 2", "[1, nul, 3]", "[1, 2",
])  # fmt: skip
def test_json_list_read_in_blocks(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr(files, "BLOCK", block)
    path = tmp_path / "list.json"
    path.write_text(text, encoding="utf-8")
    try:
        expected = read_json(path, list)
    except InputError as error:
        with pytest.raises(InputError, match=f"^{re.escape(str(error))}$"):
            list(read_json_items(path))
    else:
        assert list(read_json_items(path)) == expected


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


def test_texts_are_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "new/file.txt"
    write_text(path, "é\n")
    assert path.read_bytes() == "é\n".encode()

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "new")
    assert path.read_bytes() == "é\n".encode()


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("items", [[], [1], [{"a": [1, {}]}, [], "\n]"]])
def test_json_one_item_at_a_time(items, indent):
    assert "".join(json_list(iter(items), indent)) == json.dumps(items, indent=indent)
    lists = {"first": items, "second": [2, 3]}
    assert "".join(json_lists(lists)) == json.dumps(lists) + "\n"


def test_links_and_devices_stay(tmp_path):
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"
    before = os.stat(os.devnull)
    write_text(os.devnull, "new")
    assert os.path.samestat(os.stat(os.devnull), before)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("path, reason", [("/dev/full", "No space left"), ("{}", "directory")])
def test_what_cannot_be_written_is_named(path, reason, tmp_path):
    path = path.format(tmp_path)
    with pytest.raises(InputError, match=f"^{path}: cannot be written \\({reason}|^{path}: .*{reason}"):
        write_text(path, "new")


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / f"{UNFINISHED}x").mkdir()
    (tmp_path / f"{UNFINISHED}x/a").touch()
    write_texts(tmp_path, {"b": "B"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_next_free(tmp_path):
    assert next_free(tmp_path / "runs") == tmp_path / "runs/1"
    for name in ("2", "10", "mine", "11a"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    assert next_free(tmp_path / "runs") == tmp_path / "runs/11"


def test_folders_made_at_the_same_moment(tmp_path):
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(create_next, [tmp_path / "runs"] * 40))
    assert sorted(int(path.name) for path in made) == list(range(1, 41))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/1: cannot be written"):
        create_next(tmp_path / "file")
