"""Animated GIF and WebP files, read and written."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from ssd.commands import detect
from ssd.errors import InputError
from ssd.media.animation import GifWriter, WebPWriter, is_animation, open_animation
from ssd.media.sources import find_sources
from ssd.media.video import Moment
from tests.helpers.fixed_detector import CHECKPOINT, is_drawn, run
from tests.helpers.scripts import refused

DURATIONS = [70, 100, 30, 570, 1000]  # milliseconds


def moving_disc():
    """Five pictures of a disc that moves, white around it, the last two mostly red."""
    for k in range(5):
        image = Image.new("RGB", (120, 80), "white" if k < 3 else "red")
        ImageDraw.Draw(image).ellipse((15 * k, 20, 15 * k + 40, 60), fill=(0, 50 * k, 255))
        yield image


def without_white(image):
    """The picture, transparent where it is white."""
    levels = np.asarray(image)
    opacity = np.where((levels == 255).all(axis=2), 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([levels, opacity]))


@pytest.fixture
def animation(tmp_path):
    """Writes an animation: animation(ending) is its path."""

    def write(ending, frames=None, **options):
        first, *others = map(without_white, frames or moving_disc())
        path = tmp_path / f"disc{ending}"
        options = {"duration": DURATIONS, "loop": 3, "lossless": True, "exact": True, "disposal": 2} | options
        first.save(path, save_all=True, append_images=others, **options)
        return path

    return write


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_animation_becomes_one_again(fixed, animation, photos, tmp_path, monkeypatch, ending):
    monkeypatch.setitem(sys.modules, "av", None)  # which is not needed
    path = animation(ending)
    path.rename(photos / path.name)
    still = animation(ending, [Image.new("RGB", (120, 80), "white")])
    still.rename(photos / f"still{ending}")
    status, records, copies = run(tmp_path / "out", photos, "--batch-size", 2)
    assert status == 0 and copies == ["a.jpg", "b.jpg", f"disc{ending}", "still.jpg"]
    frames = records[3:]
    assert [entry["image"] for entry in frames] == [str(photos / path.name)] * 5
    assert [entry["frame"] for entry in frames] == [0, 1, 2, 3, 4]
    assert [entry["time"] for entry in frames] == [0, 0.07, 0.17, 0.2, 0.77]
    with Image.open(tmp_path / "out" / path.name) as copy:
        assert (copy.n_frames, copy.info["loop"], copy.format) == (5, 3, ending[1:].upper())
        for k, image in enumerate(moving_disc()):
            copy.seek(k)
            assert is_drawn(copy.convert("RGB"), image, fixed)  # white where it was transparent
            assert copy.info["duration"] == DURATIONS[k]


@pytest.mark.parametrize("writer, ending, most", [(GifWriter, ".gif", 24), (WebPWriter, ".webp", 60)])
@pytest.mark.parametrize("loop, read", [(None, {None, 1}), (0, {0})])
def test_written_frames_are_read_back(tmp_path, writer, ending, most, loop, read):
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (4, 9, 7, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)  # smooth, as photographs
    images = [Image.fromarray(levels).crop((0, 0, 55, 71)) for levels in [*squares, squares[3]]]
    path = tmp_path / f"a{ending}"
    with writer(path, loop) as film:
        for image in images:
            film.write(image, Moment(0, 0.05))
        assert not path.exists()
    assert list(tmp_path.iterdir()) == [path]
    with open_animation(path) as again:
        found = list(again.frames())
        assert again.loop in read and again.damage() is None
    assert [moment.time for moment, _ in found] == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    for (_, image), original in zip(found, images, strict=True):
        assert np.abs(np.asarray(image, float) - np.asarray(original, float)).mean() < most / 4


def test_damaged_animation(fixed, animation, tmp_path, capsys):
    path = animation(".gif")
    path.write_bytes(path.read_bytes()[:-60])
    status, records, copies = run(tmp_path / "out", path)
    assert status == 2 and copies == ["disc.gif"] and 0 < len(records) < 5
    assert f"error: {path}: damaged after {len(records)} of " in capsys.readouterr().err
    with Image.open(tmp_path / "out/disc.gif") as copy:
        assert copy.n_frames == len(records)


def test_what_is_no_animation(animation, tmp_path):
    animation(".webp").rename(tmp_path / "disc.png")
    (tmp_path / "text.gif").write_text("no picture")
    Image.new("L", (3, 3)).save(tmp_path / "one.gif")
    found = find_sources([tmp_path])
    assert sorted(path.name for path in found.pictures) == ["disc.png", "one.gif", "text.gif"] and not found.videos
    assert not is_animation(tmp_path / "missing.gif")
    with pytest.raises(InputError, match=r"text\.gif: not a picture"), open_animation(tmp_path / "text.gif"):
        pass


def test_the_header_of_a_webp_says_what_it_is(animation, tmp_path):
    path = animation(".webp")
    for n_bytes, expected in ((21, True), (20, False), (8, False)):
        (tmp_path / "begun.webp").write_bytes(path.read_bytes()[:n_bytes])  # no more than this is read
        assert is_animation(tmp_path / "begun.webp") == expected
    assert not is_animation(animation(".webp", [Image.new("RGB", (9, 9), "red")]))


def test_annotations_hold_the_first_frame(fixed, animation, photos, tmp_path):
    pytest.importorskip("yaml")
    animation(".gif").rename(photos / "disc.gif")
    status, records, _ = run(tmp_path / "out", photos, "--save", "json,voc,coco,yolo")
    assert status == 0 and len(records) == 2 + 5
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [(Path(image["file_name"]).name, image["width"]) for image in coco["images"]] == [
        ("a.PNG", 40), ("b.jpg", 40), ("disc.gif", 120)
    ]  # fmt: skip
    for folder, ending in (("voc/Annotations", ".xml"), ("yolo/labels", ".txt")):
        assert sorted(path.name for path in (tmp_path / "out" / folder).iterdir()) == [
            f"{stem}{ending}" for stem in ("a", "b", "disc")
        ]


def test_a_full_disk_leaves_the_old_animation(fixed, animation, tmp_path, capsys, small_files):
    path = animation(".gif")
    assert run(tmp_path / "out", path)[0] == 0
    old = (tmp_path / "out/disc.gif").read_bytes()
    small_files(len(old) // 2)
    args = [path, "--checkpoint", CHECKPOINT, "--output", tmp_path / "out"]
    refused(capsys, detect, args, f"{tmp_path / 'out/disc.gif'}: File too large")
    assert (tmp_path / "out/disc.gif").read_bytes() == old
    assert not list((tmp_path / "out").glob("*.tmp"))
