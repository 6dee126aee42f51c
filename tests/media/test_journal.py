"""The journal of detect.py: what is found is kept line by line, and read in the order of the sources."""

import json
from pathlib import Path

import pytest

from ssd.media.journal import Records, append

SOURCES = [Path(name) for name in ("a.png", "b.png", "c.png", "film.mp4", "other.mp4")]


def picture(name):
    return {"image": name, "detections": []}


def frames(name, n):
    return [picture(name) | {"frame": k} for k in range(n)]


def end(name):
    return {"image": name, "end": True}


def write(path, *entries):
    for entry in entries:
        append(path, entry)
    return path


@pytest.fixture
def journals(tmp_path):
    """Those of two processes."""
    first = write(tmp_path / "0", picture("c.png"), *frames("film.mp4", 3), end("film.mp4"), *frames("other.mp4", 2))
    return [first, write(tmp_path / "1", picture("a.png"))]


def test_records_in_the_order_of_the_sources(journals):
    records = Records(journals, SOURCES)
    expected = [picture("a.png"), picture("c.png"), *frames("film.mp4", 3), *frames("other.mp4", 2)]
    assert list(records) == list(records) == expected
    assert records.is_done.tolist() == [True, False, True, True, False]
    lines = list(map(json.loads, records.lines(only_done=True)))
    assert lines == [*expected[:5], end("film.mp4")]


def test_a_video_that_was_begun_again(journals):
    write(journals[1], *frames("other.mp4", 1), end("other.mp4"))
    records = Records(journals, SOURCES)
    assert list(records)[-1:] == frames("other.mp4", 1)
    assert records.is_done[-1]


def test_a_line_that_was_not_written_whole(journals):
    with open(journals[1], "ab") as file:
        file.write(json.dumps(picture("b.png")).encode())  # but for its line feed
    assert not Records(journals, SOURCES).is_done[1]


def test_a_full_disk_is_named(tmp_path, small_files):
    path = write(tmp_path / "0", picture("a.png"))
    small_files(path.stat().st_size + 9)
    with pytest.raises(OSError, match="File too large") as raised:
        append(path, picture("b.png"))
    assert raised.value.filename == str(path)
    assert list(Records([path], SOURCES)) == [picture("a.png")]
