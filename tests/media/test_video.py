"""Videos, read and written."""

import csv
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd.commands import detect
from ssd.errors import InputError
from ssd.media.film import VideoWriter
from ssd.media.video import Moment, open_video
from tests.helpers.fixed_detector import CHECKPOINT, is_drawn, run
from tests.helpers.scripts import refused

RATE = Fraction(30000, 1001)


def draw_film(path, size=(64, 48), n=10, rate=RATE):
    """A film whose frames go from blue to red."""
    with VideoWriter(path, rate) as film:
        for k in range(n):
            image = Image.new("RGB", size, (round(255 * k / (n - 1)), 0, round(255 - 255 * k / (n - 1))))
            film.write(image, Moment(k / rate, 1 / rate))
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    pytest.importorskip("av")
    return draw_film(tmp_path_factory.mktemp("films") / "film.mp4")


def test_video(fixed, film, photos, tmp_path, capsys):
    status, records, copies = run(tmp_path / "out", film, photos, "--save", "json,csv", "--batch-size", 4)
    assert status == 0
    assert fixed.batches == [2, 4, 4, 2]
    assert copies == ["a.jpg", "b.jpg", "detections.csv", "film.mp4"]
    frames = records[2:]
    assert [entry["frame"] for entry in frames] == list(range(10))
    np.testing.assert_allclose([entry["time"] for entry in frames], np.arange(10) / float(RATE), atol=1e-3)
    assert {(entry["image"], entry["annotated"], entry["width"], entry["height"]) for entry in frames} == {
        (str(film), "film.mp4", 64, 48)
    }
    assert [len(entry["detections"]) for entry in frames] == [1] * 8 + [2, 2]  # red above 200
    assert "14 objects in 2 pictures and 10 frames, " in capsys.readouterr().out
    with open(tmp_path / "out/detections.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["", "", *map(str, range(9)), "8", "9", "9"]

    with open_video(tmp_path / "out/film.mp4") as copy:
        assert copy.rate == RATE
        assert copy.n_frames == 10
        images = [image for _, image in copy.frames()]
        assert copy.damage() is None
    with open_video(film) as original:
        for (_, image), annotated in zip(original.frames(), images, strict=True):
            assert is_drawn(annotated, image, fixed)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(60000, 1001), Fraction(1, 2), Fraction(12)])
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_rate_and_encoders(tmp_path, monkeypatch, rate, codec):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av, "codecs_available", {codec})
    draw_film(tmp_path / "film.mp4", rate=rate)
    with open_video(tmp_path / "film.mp4") as copy:
        assert copy.rate == rate
        assert copy.stream.codec_context.name == {"libx264": "h264"}.get(codec, codec)
        assert len(list(copy.frames())) == 10


@pytest.mark.parametrize("times, expected", [
    ([0, 0.1, 0.2, 2.0, 2.1], [0, 0.1, 0.2, 2.0, 2.1]),  # with a pause
    ([7, 7.5, 9], [0, 0.5, 2]),
    ([0, 1e17, 1e17, 3, 3.5], [0, 0.04, 0.08, 0.12, 0.62]),  # an error in the file
])  # fmt: skip
@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_frames_are_shown_at_their_times(tmp_path, monkeypatch, times, expected, codec):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av, "codecs_available", {codec})
    with VideoWriter(tmp_path / "film.mp4", Fraction(25)) as film:
        for k, time in enumerate(times):
            film.write(Image.new("RGB", (64, 48), (50 * k, 0, 0)), Moment(time, 0.04))
    with open_video(tmp_path / "film.mp4") as copy:
        np.testing.assert_allclose([moment.time for moment, _ in copy.frames()], expected, atol=1e-3)
        assert copy.seconds == pytest.approx(expected[-1] + 0.04, abs=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (65, 47), (64, 47)])
def test_odd_sizes_of_frames(tmp_path, size):
    pytest.importorskip("av")
    draw_film(tmp_path / "film.mp4", size)
    with open_video(tmp_path / "film.mp4") as copy:
        image = list(copy.frames())[-1][1]
    assert image.size == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert np.asarray(image)[..., 0].min() > 200  # the added row and column are no frame of black


def test_frames_of_another_size_become_as_the_first(tmp_path):
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "film.mp4", RATE) as film:
        for k, size in enumerate(((64, 48), (32, 32), (100, 10))):
            film.write(Image.new("L", size), Moment(k, 1))
    with open_video(tmp_path / "film.mp4") as copy:
        assert [image.size for _, image in copy.frames()] == [(64, 48)] * 3


def test_size_that_no_encoder_takes(tmp_path):
    pytest.importorskip("av")
    with pytest.raises(InputError, match=r"film\.mp4: no video of 20000 x 10 pixels"):
        draw_film(tmp_path / "film.mp4", (20000, 10))


@pytest.mark.parametrize("matrix, moved", [
    ((0, 1, 0, -1, 0, 0), lambda pixels: np.rot90(pixels, -1)),  # as phones held upright write it
    ((-1, 0, 0, 0, -1, 0), lambda pixels: np.rot90(pixels, 2)),
    ((0, -1, 0, 1, 0, 0), lambda pixels: np.rot90(pixels, 1)),
])  # fmt: skip
def test_turned_videos(tmp_path, matrix, moved):
    pytest.importorskip("av")
    image = Image.new("RGB", (64, 48), "blue")
    image.paste("red", (0, 0, 32, 24))
    with VideoWriter(tmp_path / "film.mp4", RATE) as film:
        film.write(image, Moment(0, 1))
    content = bytearray((tmp_path / "film.mp4").read_bytes())
    place = content.index(b"tkhd") + 44  # the matrix of the track's header: a, b, u, c, d, v, x, y, w
    content[place : place + 24] = struct.pack(">6i", *(65536 * value for value in matrix))
    (tmp_path / "turned.mp4").write_bytes(content)
    with open_video(tmp_path / "turned.mp4") as turned:
        shown = np.asarray(next(turned.frames())[1])
    np.testing.assert_allclose(shown, moved(np.asarray(image)), atol=60)


def test_a_film_appears_when_it_is_whole(tmp_path):
    pytest.importorskip("av")
    path = tmp_path / "film.mp4"
    path.write_text("old")
    with VideoWriter(path, RATE) as film:
        film.write(Image.new("RGB", (64, 48)), Moment(0, 1))
        assert path.read_text() == "old"  # which is what a killed process leaves
    assert path.read_bytes()[4:8] == b"ftyp"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_film(fixed, tmp_path, capsys, small_files):
    pytest.importorskip("av")
    random, film = np.random.default_rng(0), tmp_path / "film.mp4"
    with VideoWriter(film, RATE) as writer:
        for k in range(5):
            writer.write(Image.fromarray(random.integers(0, 256, (240, 320, 3), dtype=np.uint8)), Moment(k / RATE, 0))
    assert run(tmp_path / "out", film)[0] == 0
    copy = tmp_path / "out/film.mp4"
    old = copy.read_bytes()
    args = [film, "--checkpoint", CHECKPOINT, "--output", tmp_path / "out"]
    small_files(len(old) // 2)
    refused(capsys, detect, args, f"{copy}: File too large")
    assert copy.read_bytes() == old
    assert not list(copy.parent.glob("*.tmp"))


def test_detections_in_videos_alone(fixed, film, tmp_path):
    status, records, copies = run(tmp_path / "out", film, "--no-pictures")
    assert (status, len(records), copies) == (0, 10, [])
    assert records[0]["annotated"] is None


def test_video_without_the_extra(fixed, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"x")
    refused(capsys, detect, [tmp_path / "film.mp4", "--output", tmp_path / "out"], "pip install av")
    assert not (tmp_path / "out").exists()


def sound_only(path):
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def bad_films(tmp_path_factory):
    """A folder with damaged and hostile films: name -> what is said about it."""
    av = pytest.importorskip("av")
    folder = tmp_path_factory.mktemp("bad")
    whole = draw_film(folder / "whole.mp4", (160, 120), n=60).read_bytes()
    with (
        av.open(str(folder / "whole.mp4")) as source,
        av.open(str(folder / "fast.mp4"), "w", options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    fast = (folder / "fast.mp4").read_bytes()
    start = fast.index(b"mdat") + 1500
    films = {
        "empty.mp4": (b"", "not a video, the file is empty"),
        "text.avi": (b"no film", "not a video, or a damaged one"),
        "start.mp4": (whole[:500], "not a video, or a damaged one"),
        "without its index.mp4": (whole[: whole.index(b"moov")], "not a video, or a damaged one"),
        "holes.mp4": (fast[:start] + bytes(len(fast) - start), "damaged in "),
        "list.mp4": (b"#EXTM3U\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n", "not a video, or a damaged one"),
        "others.mkv": (b"ffconcat version 1.0\nfile /etc/passwd\n", "not a video, or a damaged one"),
    }
    for name, (content, _) in films.items():
        (folder / name).write_bytes(content)
    sound_only(folder / "sound.mp4")
    told = {name: sentence for name, (_, sentence) in films.items()}
    return folder, told | {"sound.mp4": "contains no video stream", "lost.mp4": "no such video"}


def test_bad_videos_are_named_and_do_not_stop_the_others(fixed, bad_films, tmp_path, capsys):
    folder, told = bad_films
    (tmp_path / "list.txt").write_text("".join(f"{folder / name}\n" for name in [*told, "whole.mp4"]))
    status, records, copies = run(tmp_path / "out", tmp_path / "list.txt")
    said = capsys.readouterr()
    assert status == 2
    for name, sentence in told.items():
        assert said.err.count(f"error: {folder / name}: ") == 1
        assert f"error: {folder / name}: {sentence}" in said.err
    assert f"{len(told)} could not be read" in said.out
    frames = [Path(entry["image"]).name for entry in records]
    assert frames.count("whole.mp4") == 60
    assert 0 < frames.count("holes.mp4") < 60
    assert set(frames) == {"whole.mp4", "holes.mp4"}
    assert copies == ["holes.mp4", "whole.mp4"]
