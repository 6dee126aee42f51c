"""detect.py: what a source may be, what is written, and videos. The detector is a fixed one, quick and predictable."""

import csv
import json
import os
import shutil
import struct
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import Detections, Detector, SSDConfig
from ssd.commands import detect
from ssd.data.formats.coco import read_coco
from ssd.data.formats.voc import read_voc
from ssd.data.formats.yolo import read_yolo
from ssd.data.images import picture_endings
from ssd.errors import InputError
from ssd.media.annotator import Annotator
from ssd.media.outputs import FORMATS, check_output, output_names, save_records
from ssd.media.sources import VIDEO_ENDINGS, ahead, batched, find_sources, load_batches
from ssd.media.video import VideoWriter, open_video
from tests.helpers.scripts import refused


class FixedDetector:
    """Finds a cat in the left half of every picture, and a dog in the right half of those that are mostly red."""

    config = SSDConfig(class_names=("cat", "dog"))

    def __init__(self):
        self.batches = []

    def __call__(self, images, min_score, max_overlap, top_k):
        self.batches.append(len(images))
        return [self.find(image) for image in images]

    def find(self, image):
        width, height = image.size
        n = 2 if np.asarray(image)[..., 0].mean() > 200 else 1
        boxes = torch.tensor([[0, 0, width / 2, height], [width / 2, 0, width, height]])[:n]
        return Detections(boxes, torch.tensor([1, 2])[:n], torch.tensor([0.75, 0.5])[:n], ["cat", "dog"][:n])


@pytest.fixture
def fixed(monkeypatch):
    detector = FixedDetector()
    monkeypatch.setattr(Detector, "from_checkpoint", lambda *args: detector)
    return detector


@pytest.fixture
def photos(tmp_path):
    """A tree of pictures: two in the folder, two below it, and what is none."""
    folder = tmp_path / "my photos"
    for name in ("b.jpg", "a.PNG", "inside/c.jpg", "inside/deeper/a.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), "blue").save(folder / name)
    (folder / "album.jpg").mkdir()
    (folder / "notes.md").write_text("no picture")
    (folder / ".hidden.jpg").write_text("no picture")
    return folder


def run(output, *args):
    """The status of detect.py, the records in its JSON, and its annotated copies."""
    status = detect.main([*map(str, args), "--checkpoint", "none", "--output", str(output)])
    records = json.loads((output / "detections.json").read_text(encoding="utf-8"))
    return status, records, sorted(path.name for path in output.iterdir() if path.suffix != ".json")


def is_drawn(annotated, image, fixed):
    """Whether a copy, coarse as JPEG and MP4 keep colours, is the picture with its boxes rather than without."""
    found, with_boxes, bare = (
        np.asarray(each.convert("L"), dtype=float) for each in (annotated, fixed.find(image).draw(image), image)
    )
    return 4 * np.abs(found - with_boxes).mean() < np.abs(found - bare).mean()


def names(paths, folder):
    return [path.relative_to(folder).as_posix() for path in paths]


# -- sources


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
    with pytest.raises(InputError, match=r"\*\.gif: no picture or video has such a name"):
        find_sources(["*.gif"])


def test_text_list(photos, tmp_path, monkeypatch):
    listed = tmp_path / "list.txt"
    listed.write_text(f"\ufeff{photos / 'b.jpg'}\r\n\n  my photos/a.PNG\nfilm é.mp4\n", encoding="utf-8")
    monkeypatch.chdir(photos)
    pictures, videos = find_sources([listed])
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
    pictures, videos = find_sources(sources)
    assert names(pictures, photos) == ["b.jpg", "a.PNG", "inside/c.jpg"]
    assert videos == [tmp_path / "film.MP4"]


def test_endings():
    assert {".jpg", ".jpeg", ".png", ".tiff", ".webp"} <= picture_endings()
    assert not {".pdf", ".mpg", ".h5", ".txt", ".json"} & picture_endings()
    assert {".mp4", ".avi", ".mov", ".mkv", ".webm"} <= VIDEO_ENDINGS
    assert not picture_endings() & VIDEO_ENDINGS


# -- loading


def test_items_made_ahead():
    made = []

    def items():
        for k in range(5):
            made.append(k)
            yield k
        raise ValueError("at the end")

    using = ahead(items())
    assert next(using) == 0
    assert next(using) == 1
    using.close()
    assert made == [0, 1, 2]  # one more than was used
    with pytest.raises(ValueError, match="at the end"):
        list(ahead(items()))
    assert list(ahead([])) == []
    assert list(ahead("abc")) == ["a", "b", "c"]


def test_batches(photos):
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []
    batches = list(load_batches([photos / "a.PNG", photos / "lost.jpg", photos / "b.jpg"], 2))
    assert [[path.name for path, _ in batch] for batch in batches] == [["a.PNG", "lost.jpg"], ["b.jpg"]]
    assert batches[0][0][1].size == (40, 30)
    assert isinstance(batches[0][1][1], InputError)
    assert list(load_batches([], 2)) == []


# -- what is written


def test_annotated_copies_and_records(fixed, photos, tmp_path, capsys):
    Image.new("RGB", (60, 20), "red").save(photos / "inside/red.webp")
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--batch-size", 2)
    assert status == 0
    assert fixed.batches == [2, 2, 1]
    assert copies == ["a.jpg", "a_2.jpg", "b.jpg", "c.jpg", "red.jpg"]
    assert records[-1] == {
        "image": str(photos / "inside/red.webp"),
        "annotated": "red.jpg",
        "width": 60,
        "height": 20,
        "detections": [
            {"name": "cat", "score": 0.75, "box": [0, 0, 30, 20]},
            {"name": "dog", "score": 0.5, "box": [30, 0, 60, 20]},
        ],
    }
    with Image.open(tmp_path / "out/red.jpg") as annotated:
        assert is_drawn(annotated, Image.new("RGB", (60, 20), "red"), fixed)
    said = capsys.readouterr()
    assert said.out.startswith("6 objects in 5 pictures, ")
    assert said.out.endswith(f" a second\nannotated copies, detections.json: {tmp_path / 'out'}\n")
    assert "5/5" in said.err


def test_again_into_the_same_folder_within_the_source(fixed, photos):
    for _ in range(2):
        status, records, copies = run(photos / "found", photos, "--recursive")
        assert (status, len(records), len(copies)) == (0, 4, 4)


def test_csv(fixed, photos, tmp_path):
    status = detect.main([str(photos), "--checkpoint", "x", "--output", str(tmp_path / "out"), "--save", "csv"])
    assert status == 0
    with open(tmp_path / "out/detections.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert not (tmp_path / "out/detections.json").exists()
    expected = {"frame": "", "time": "", "width": "40", "height": "30", "name": "cat", "score": "0.75"}
    expected |= {"x_min": "0.0", "y_min": "0.0", "x_max": "20.0", "y_max": "30.0"}
    assert rows == [{"image": str(photos / name)} | expected for name in ("a.PNG", "b.jpg")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
def test_file_name_that_is_no_unicode(fixed, tmp_path):
    name = os.fsencode(tmp_path) + b"/caf\xe9.png"
    Image.new("RGB", (4, 4)).save(os.fsdecode(name))
    status, records, copies = run(tmp_path / "out", tmp_path, "--save", "json,csv,voc,coco,yolo")
    assert status == 0
    assert os.fsencode(records[0]["image"]) == name
    assert name in (tmp_path / "out/detections.csv").read_bytes()


def test_annotations_are_read_back(fixed, photos, tmp_path):
    pytest.importorskip("yaml")
    Image.new("RGB", (60, 20), "red").save(photos / "red.png")
    status, records, copies = run(tmp_path / "out", photos, "--save", "json,voc,coco,yolo")
    assert status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.suffix != ".jpg") == [
        "coco.json", "detections.json", "voc", "yolo",
    ]  # fmt: skip
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.PNG", "b.jpg", "red.png"]
    assert [found["score"] for found in coco["annotations"]] == [0.75, 0.75, 0.75, 0.5]
    assert coco["annotations"][-1]["bbox"] == [30, 0, 30, 20]
    last = (tmp_path / "out/yolo/labels/red.txt").read_text().splitlines()[-1]
    assert list(map(float, last.split())) == [1, 0.75, 0.5, 0.5, 1, 0.5]
    for read, path in ((read_voc, "voc"), (read_coco, "coco.json"), (read_yolo, "yolo")):
        images, notes = read(tmp_path / "out" / path, images_folder=photos)
        assert notes == []
        assert [Path(image.path).name for image in images] == [Path(entry["image"]).name for entry in records]
        for entry, image in zip(records, images, strict=True):
            assert image.size == (entry["width"], entry["height"])
            assert [each.name for each in image.objects] == [each["name"] for each in entry["detections"]]
            boxes = [each.box for each in image.objects]
            np.testing.assert_allclose(boxes, [each["box"] for each in entry["detections"]], atol=1e-5)


def test_nothing_to_save(tmp_path):
    assert save_records(tmp_path, [], FORMATS, ("cat",)) == []
    assert json.loads((tmp_path / "detections.json").read_text()) == []
    assert (tmp_path / "detections.csv").read_text().splitlines() == [
        "image,frame,time,width,height,name,score,x_min,y_min,x_max,y_max"
    ]
    assert json.loads((tmp_path / "coco.json").read_text())["annotations"] == []


def test_labels_without_a_class_are_no_categories(tmp_path):
    found = {"name": "dog", "score": 0.5, "box": [0, 0, 4, 4]}
    records = [{"image": "a.png", "annotated": "a.jpg", "width": 9, "height": 9, "detections": [found]}]
    assert save_records(tmp_path, records, ["coco", "yolo"], ("cat", "", "dog", "")) == []
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert coco["categories"] == [{"id": 1, "name": "cat"}, {"id": 3, "name": "dog"}]  # the labels
    assert coco["annotations"][0]["category_id"] == 3
    assert (tmp_path / "yolo/labels/a.txt").read_text().startswith("1 ")
    assert (tmp_path / "yolo/data.yaml").read_text() == 'names:\n  0: "cat"\n  1: "dog"\n'


def test_bad_formats(fixed, photos, tmp_path, capsys):
    args = [photos, "--output", tmp_path / "out"]
    refused(capsys, detect, [*args, "--save", "json,xml"], "--save", "'xml' is none of json, csv, voc, coco, yolo")
    refused(capsys, detect, [*args, "--save", ""], "--save")
    shutil.copy(photos / "b.jpg", photos / "A.jpg")
    for kind in ("voc", "yolo"):
        refused(capsys, detect, [*args, "--save", kind], "A.jpg", "a.PNG", "would both have the annotation")
    refused(capsys, detect, [photos / "film.mp4", photos / "**", *args[1:]], "film.mp4: no such picture or folder")
    (photos / "film.mp4").write_bytes(b"")
    refused(
        capsys, detect, [photos / "film.mp4", *args, "--save", "json,yolo,coco"], "--save coco,yolo is for pictures"
    )
    assert not (tmp_path / "out").exists()


def test_names_of_annotated_copies():
    paths = [Path(name) for name in ("x/a.png", "y/A.jpg", "z/a_2.png", "z/a.gif", "z/b.gif")]
    assert list(output_names(paths).values()) == ["a.jpg", "A_2.jpg", "a_2_2.jpg", "a_3.jpg", "b.jpg"]
    videos = [Path("x/a.avi"), Path("x/a.mov")]
    assert list(output_names(paths[:1], videos).values()) == ["a.jpg", "a.mp4", "a_2.mp4"]
    assert output_names([]) == {}


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_links_in_the_output_folder_are_replaced_and_not_followed(fixed, photos, tmp_path, link):
    (tmp_path / "out").mkdir()
    for name in ("b.jpg", "detections.json", "detections.csv"):
        (tmp_path / f"precious {name}").write_text("precious")
        link(tmp_path / f"precious {name}", tmp_path / "out" / name)
    assert run(tmp_path / "out", photos, "--save", "json,csv")[0] == 0
    for name in ("b.jpg", "detections.json", "detections.csv"):
        assert (tmp_path / f"precious {name}").read_text() == "precious"
        assert not (tmp_path / "out" / name).is_symlink()


def test_nothing_is_written_elsewhere(fixed, photos, tmp_path):
    def everything():
        return {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}

    before = everything()
    run(tmp_path / "out", photos, "--recursive", "--save", "json,csv,coco")
    assert {
        path: content for path, content in everything().items() if tmp_path / "out" not in (path, *path.parents)
    } == before


def test_output_where_the_originals_are(photos):
    check_output(photos / "found", {photos / "b.jpg": "b.jpg", Path("lost\0.jpg"): "lost.jpg"})
    with pytest.raises(InputError, match="would replace them"):
        check_output(photos, {photos / "b.jpg": "x.jpg"})


def test_interrupted(fixed, photos, tmp_path, capsys, monkeypatch):
    find = FixedDetector.__call__

    def interrupt(self, images, **options):
        if self.batches:
            raise KeyboardInterrupt
        return find(self, images, **options)

    monkeypatch.setattr(FixedDetector, "__call__", interrupt)
    status, records, copies = run(tmp_path / "out", photos, "--recursive", "--batch-size", 3)
    assert status == 130
    assert len(records) == len(copies) == 3  # what was done is kept


# -- videos

RATE = Fraction(30000, 1001)


def draw_film(path, size=(64, 48), n=10, rate=RATE):
    """A film whose frames go from blue to red."""
    with VideoWriter(path, rate) as film:
        for k in range(n):
            film.write(Image.new("RGB", size, (round(255 * k / (n - 1)), 0, round(255 - 255 * k / (n - 1)))))
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
        for size in ((64, 48), (32, 32), (100, 10)):
            film.write(Image.new("L", size))
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
        film.write(image)
    content = bytearray((tmp_path / "film.mp4").read_bytes())
    place = content.index(b"tkhd") + 44  # the matrix of the track's header: a, b, u, c, d, v, x, y, w
    content[place : place + 24] = struct.pack(">6i", *(65536 * value for value in matrix))
    (tmp_path / "turned.mp4").write_bytes(content)
    with open_video(tmp_path / "turned.mp4") as turned:
        shown = np.asarray(next(turned.frames())[1])
    np.testing.assert_allclose(shown, moved(np.asarray(image)), atol=60)


def test_video_without_the_extra(fixed, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "film.mp4").write_bytes(b"x")
    refused(capsys, detect, [tmp_path / "film.mp4", "--output", tmp_path / "out"], 'pip install -e ".[video]"')
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
    return folder, told | {"sound.mp4": "has sound, but no pictures", "lost.mp4": "no such video"}


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


def test_annotator_counts_across_calls(photos, tmp_path):
    fixed = FixedDetector()
    pictures = find_sources([photos])[0]
    annotator = Annotator(lambda images: [fixed.find(image) for image in images], tmp_path, output_names(pictures))
    annotator.pictures(pictures[:1])
    annotator.pictures([photos / "lost.jpg", *pictures[1:]])
    assert [Path(entry["image"]).name for entry in annotator.records] == ["a.PNG", "b.jpg"]
    assert annotator.n_bad == 1
    assert annotator.summary(0.5) == "2 objects in 2 pictures, 4.0 a second; 1 could not be read, named above"
