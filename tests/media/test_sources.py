"""What a source may be."""

import json
import os
import shutil
from pathlib import Path

import pytest

from ssd.data.images import picture_endings
from ssd.errors import InputError
from ssd.media.sources import VIDEO_ENDINGS, find_sources


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


def test_folder_and_its_folders(photos):
    assert names(find_sources([photos])[0], photos) == ["a.PNG", "b.jpg"]
    below = ["a.PNG", "b.jpg", "inside/c.jpg", "inside/deeper/a.png"]
    assert names(find_sources([photos], recursive=True)[0], photos) == below
    assert names(find_sources([photos], recursive=True, leave_out=photos / "inside")[0], photos) == ["a.PNG", "b.jpg"]


def test_folders_that_link_in_a_circle(photos):
    os.symlink(photos, photos / "inside" / "again", target_is_directory=True)
    found = find_sources([photos], recursive=True)[0]
    assert len(found) == len({os.path.realpath(path) for path in found}) == 4


def test_patterns(photos, tmp_path, monkeypatch):
    assert names(find_sources([photos / "*.jpg"])[0], photos) == ["b.jpg"]
    assert names(find_sources([photos / "*"])[0], photos) == ["a.PNG", "b.jpg"]
    assert names(find_sources([photos / "**" / "[ac].*"])[0], photos) == [
        "a.PNG",
        "inside/c.jpg",
        "inside/deeper/a.png",
    ]
    monkeypatch.chdir(photos)
    assert find_sources(["*.jpg"])[0] == [Path("b.jpg")]
    shutil.copy("b.jpg", "b[1].jpg")
    shutil.copy("b.jpg", "b1.jpg")
    assert find_sources(["b[1].jpg"])[0] == [Path("b[1].jpg")]  # the very name before the pattern
    with pytest.raises(InputError, match=r"\*\.gif: no picture or video matches this pattern"):
        find_sources(["*.gif"])


def test_text_list(photos, tmp_path, monkeypatch):
    listed = tmp_path / "list.txt"
    listed.write_text(f"\ufeff{photos / 'b.jpg'}\r\n\n  my photos/a.PNG\nfilm é.mp4\n", encoding="utf-8")
    monkeypatch.chdir(photos)
    pictures, videos, _ = find_sources([listed])
    assert pictures == [photos / "b.jpg", tmp_path / "my photos/a.PNG"]  # relative to the list
    assert videos == [Path("film é.mp4")]
    (photos / "my photos").mkdir()
    shutil.copy(photos / "a.PNG", photos / "my photos")
    assert find_sources([listed])[0][1] == Path("my photos/a.PNG")  # relative to where the user is
    listed.write_text("\n \n")
    with pytest.raises(InputError, match=r"list\.txt: this list names no pictures"):
        find_sources([listed])
    listed.write_bytes("ü".encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.txt: not UTF-8"):
        find_sources([listed])
    with pytest.raises(InputError, match=r"lost\.txt: no such list"):
        find_sources(["lost.txt"])


def test_sources_of_all_kinds_together_each_once(photos, tmp_path):
    (tmp_path / "TEST_images.json").write_text(json.dumps([str(photos / "b.jpg"), str(photos / "inside/c.jpg")]))
    (tmp_path / "film.MP4").write_bytes(b"")
    sources = [photos / "b.jpg", photos, tmp_path / "TEST_images.json", photos / "*.jpg", tmp_path / "film.MP4"]
    pictures, videos, _ = find_sources(sources)
    assert names(pictures, photos) == ["b.jpg", "a.PNG", "inside/c.jpg"]
    assert videos == [tmp_path / "film.MP4"]


def test_endings():
    assert {".jpg", ".jpeg", ".png", ".tiff", ".webp"} <= picture_endings()
    assert not {".pdf", ".mpg", ".h5", ".txt", ".json"} & picture_endings()
    assert {".mp4", ".avi", ".mov", ".mkv", ".webm"} <= VIDEO_ENDINGS
    assert not picture_endings() & VIDEO_ENDINGS


def test_standard_input_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="-: standard input is not read"):
        find_sources(["-"])
    Path("-").touch()  # a file of that name is one
    assert find_sources(["-"]).pictures == [Path("-")]


def test_names_below_the_folder_of_the_source(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "TEST_images.json").write_text(json.dumps([str(photos / "b.jpg"), "/elsewhere/d.jpg"]))
    for sources, expected in (
        (["my photos"], ["a.PNG", "b.jpg", "inside/c.jpg", "inside/deeper/a.png"]),
        (["my photos/../my photos/b.jpg", "my photos/inside"], ["b.jpg", "c.jpg", "deeper/a.png"]),
        (["my photos/in*/*.jpg"], ["inside/c.jpg"]),
        (["*/b.jpg"], ["my photos/b.jpg"]),
        (["TEST_images.json"], ["my photos/b.jpg", "d.jpg"]),
    ):
        assert list(find_sources(sources, recursive=True).names.values()) == expected
