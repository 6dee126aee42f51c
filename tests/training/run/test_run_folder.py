"""What a run folder holds beside checkpoints: results.csv, args.json, curves, pictures, logs."""

import csv
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import time
import warnings
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ssd import SSDConfig
from ssd.commands.curves import main as draw_curves
from ssd.data import PascalVOCDataset, collate
from ssd.data.images import denormalise, normalise
from ssd.data.lists import listed_image
from ssd.detector import Detections
from ssd.errors import InputError
from ssd.files import replacing
from ssd.training.run import curves, logs, panels
from ssd.training.run.panels import TrackedPicture
from ssd.training.run.provenance import git_commit, write_arguments
from ssd.training.run.results import COLUMNS, Results, read_results
from ssd.visualize import class_colour

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
    with pytest.raises(InputError, match=r"cannot be written \(disk full\)"), replacing(path) as file:
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


# -- pictures

NAMES = ("cat", "dog")
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def detections(*rows):
    """`Detections` of (box, label, score) rows."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    names = [NAMES[label - 1] for label in labels]
    return Detections(torch.tensor(boxes).view(-1, 4), torch.tensor(labels).long(), torch.tensor(scores), names)


def tracked(path, found, boxes=(), labels=()):
    return TrackedPicture(listed_image(str(path), (1, 1), boxes, labels, [False] * len(labels)), found)


@pytest.fixture
def items(tmp_path):
    """Two tracked pictures: one with an object and two detections, one of which is not confident; one with nothing."""
    Image.new("RGB", (320, 160), "gray").save(tmp_path / "a b.png")
    Image.new("RGB", (30, 60), "gray").save(tmp_path / "empty.png")
    found = detections(([200.0, 40, 300, 120], 2, 0.75), ([0.0, 0, 30, 150], 1, 0.1))
    return [
        tracked(tmp_path / "a b.png", found, [[20.0, 30, 120, 130]], [1]),
        tracked(tmp_path / "empty.png", detections()),
    ]


def pixels_of(picture, colour):
    """(x, y) extents of the pixels of a colour: x_min, y_min, x_max, y_max; None where there are none."""
    rows, columns = np.nonzero((np.asarray(picture) == colour).all(axis=-1))
    return (columns.min(), rows.min(), columns.max(), rows.max()) if len(rows) else None


@given(st.integers(0, 5000), st.integers(1, 20))
def test_tracked_pictures_lie_evenly(n_images, n):
    places = panels.tracked_pictures(n_images, n)
    assert len(places) == min(n_images, n) == len(set(places))
    assert all(isinstance(place, int) and 0 <= place < n_images for place in places)
    gaps = np.diff(places)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1 and places[-1] == n_images - 1)


def test_tracked_pictures_by_hand():
    assert panels.tracked_pictures(15) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert panels.tracked_pictures(3) == [0, 1, 2]
    assert panels.tracked_pictures(0) == []


def test_a_panel_by_hand(items):
    drawn = panels.draw_panel(items[0], NAMES)
    assert drawn.size == (640, 320)  # twice the picture
    x_min, _, x_max, y_max = pixels_of(drawn, panels.HIT)
    assert (x_min, x_max, y_max) == (400, 599, 239)  # the other is not confident
    x_min, _, x_max, y_max = pixels_of(drawn, panels.TRUTH)
    assert (x_min, x_max, y_max) == (40, 239, 259)
    lower_edge = np.asarray(drawn)[259, 40:240]
    assert 0.3 < (lower_edge == panels.TRUTH).all(axis=-1).mean() < 0.9  # dashed
    assert (np.asarray(drawn)[239, 400:600] == panels.HIT).all()  # solid


def test_a_panel_without_anything_is_the_picture(items):
    drawn = panels.draw_panel(items[1], NAMES)
    assert drawn.size == (320, 640) and len(drawn.getcolors()) == 1


def test_the_tags_of_object_and_detection_do_not_hide_each_other(tmp_path):
    Image.new("RGB", (640, 480), "gray").save(tmp_path / "0.png")
    box = [100.0, 100, 300, 300]
    found = detections((box, 2, 0.9))
    drawn = panels.draw_panel(tracked(tmp_path / "0.png", found, [box], [2]), NAMES)
    alone = panels.draw_panel(tracked(tmp_path / "0.png", found), NAMES)
    inside_tag = [np.asarray(picture)[:96] for picture in (drawn, alone)]  # above the box there are tags only
    areas = [(part == panels.HIT).all(axis=-1).sum() for part in inside_tag]
    assert areas[0] == areas[1] > 300
    assert (inside_tag[0] == panels.TRUTH).all(axis=-1).sum() > 200


def test_a_missing_picture_is_named(items):
    with pytest.raises(InputError, match="gone.png"):
        panels.draw_panel(tracked("gone.png", detections()), NAMES)


def test_the_validation_sheet_has_every_panel(items):
    sheet = panels.draw_validation(items, NAMES, 1200)
    assert sheet.size == (2 * panels.VALIDATION_TILE, panels.HEADER + panels.VALIDATION_TILE)
    header, tiles = sheet.crop((0, 0, sheet.width, panels.HEADER)), sheet.crop((0, panels.HEADER, *sheet.size))
    for colour in (panels.TRUTH, panels.HIT):  # the legend
        assert pixels_of(header, colour)
    assert pixels_of(tiles, panels.HIT)[2] < panels.VALIDATION_TILE  # the first picture has boxes, not the second
    assert pixels_of(tiles.crop((panels.VALIDATION_TILE, 0, *tiles.size)), (128, 128, 128))
    assert panels.draw_validation([], NAMES, 0).size == (panels.VALIDATION_TILE, panels.HEADER + panels.VALIDATION_TILE)


@given(st.integers(0, 2**32 - 1), st.sampled_from([SSDConfig(), SSDConfig.caffe(), SSDConfig.torchvision()]))
@settings(max_examples=10)
def test_denormalise_is_the_inverse_of_normalise(seed, config):
    levels = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    back = denormalise(normalise(Image.fromarray(levels), config), config)
    np.testing.assert_array_equal(np.asarray(back), levels)


def test_a_batch_by_hand():
    config = SSDConfig.caffe(class_names=NAMES)
    colours = [(10, 20, 30), (200, 150, 100)]
    images = [normalise(Image.new("RGB", (300, 300), colour), config) for colour in colours]
    none = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
    one = torch.tensor([[0.1, 0.5, 0.4, 0.9]]), torch.tensor([2]), torch.tensor([True])
    sheet = panels.draw_batch(zip(*collate([(images[0], *one), (images[1], *none)]), strict=True), config)
    assert sheet.size == (604, 302)
    first, second = sheet.crop((1, 1, 301, 301)), sheet.crop((303, 1, 603, 301))
    assert second.getcolors() == [(300 * 300, colours[1])]
    assert first.getpixel((299, 299)) == colours[0]
    assert pixels_of(first.crop((0, 160, 300, 300)), class_colour(2)) == (30, 0, 119, 109)  # below the tag
    assert one[0].tolist() == torch.tensor([[0.1, 0.5, 0.4, 0.9]]).tolist()


def test_a_batch_shows_the_first_sixteen(data_folder, tmp_path):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    sheet = panels.draw_batch((dataset[0, k % len(dataset)] for k in range(20)), dataset.config)
    assert sheet.size == (4 * 302, 4 * 302)
    panels.write_jpeg(sheet, tmp_path / "train_batch.jpg")
    with Image.open(tmp_path / "train_batch.jpg") as saved:
        assert saved.format == "JPEG" and saved.size == sheet.size


# -- logs

ROWS = [row(k, train_loc=float("nan")) for k in range(1, 11)]
ROWS[4]["val_mAP"] = ROWS[9]["val_mAP"] = 0.5


def log_session(folder, choice, start, stop, items, closed=True):
    """A session of a run: iterations from `start` to `stop`, pictures after every fifth."""
    results = Results(folder / "results.csv", start)
    (logger,) = logs.loggers(folder, choice, start, {"lr": 1e-3, "output": folder}, NAMES)
    for k in range(start, stop):
        results.append([ROWS[k]])
        logger.scalars(k + 1, ROWS[k])
        if (k + 1) % 5 == 0:
            logger.panels(k + 1, items)
    if closed:
        logger.close()
    return logger


def test_tensorboard_has_each_iteration_once(tmp_path, items):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    killed = log_session(tmp_path, "tensorboard", 0, 8, items, closed=False)  # its last checkpoint was of iteration 6
    log_session(tmp_path, "tensorboard", 6, 10, items)
    events = EventAccumulator(str(tmp_path)).Reload()
    killed.close()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [
        (k, pytest.approx(10 / k)) for k in range(1, 11)
    ]
    assert [(e.step, e.value) for e in events.Scalars("val/mAP")] == [(5, 0.5), (10, 0.5)]
    assert sorted(events.Tags()["scalars"]) == ["lr", "train/loss", "val/mAP"]  # none of NaN
    assert events.Tags()["images"] == ["validation/0 a b", "validation/1 empty"]
    pictures = events.Images("validation/0 a b")
    assert [picture.step for picture in pictures] == [5, 10]
    drawn = Image.open(io.BytesIO(pictures[0].encoded_image_string))
    difference = np.abs(np.asarray(drawn).astype(int) - np.asarray(panels.draw_panel(items[0], NAMES)))
    assert drawn.size == (640, 320) == (pictures[0].width, pictures[0].height) and difference.mean() < 4
    (text,) = events.Tensors("arguments/text_summary")[:1]
    assert b"| lr | 0.001 |" in text.tensor_proto.string_val[0]


def wandb_records(folder):
    """The history that a session of Weights & Biases wrote offline: step -> {name: value}."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = folder.glob("*.wandb")
    history = {}
    for content in leveldb_records(file.read_bytes()):
        record = Record.FromString(content)
        if record.WhichOneof("record_type") == "history":
            values = {entry.key or "/".join(entry.nested_key): entry.value_json for entry in record.history.item}
            step = json.loads(values["_step"])
            assert step not in history
            history[step] = {k: json.loads(v) for k, v in values.items() if not k.startswith("_")}
    return history


def leveldb_records(content):
    """The records of a file in LevelDB's log format, blocks of 32 KiB, below a header of 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        left_of_block = -at % 32768
        if 0 < left_of_block < 7:
            at += left_of_block
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)  # behind a checksum
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


def test_which_rows_are_logged():
    nan = dict.fromkeys(COLUMNS[1:], float("nan"))
    assert [k for k in range(1, 31) if logs.is_logged({"iteration": k, **nan})] == [10, 20, 30]
    assert logs.is_logged({"iteration": 3, "val_loss": 0.0}) and not logs.is_logged({"iteration": 3, "train_loss": 1})


def test_wandb_offline_sessions_are_complete(tmp_path, items, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    run = tmp_path / "run"
    run.mkdir()
    log_session(run, "wandb", 0, 5, items)
    log_session(run, "wandb", 6, 10, items)
    run_id = (run / "wandb_id.txt").read_text()
    first, second = sorted(run.glob("wandb/offline-run-*"))  # named by the time
    assert f"-{run_id}" in first.name and f"-{run_id}" in second.name
    for _ in range(200):  # another process writes the file, and may do so after `close` has returned
        history = wandb_records(second)
        if 10 in history:
            break
        time.sleep(0.1)
    assert [(step, values["train/loss"]) for step, values in history.items()] == [
        (k, pytest.approx(10 / k))
        for k in (5, 7, 8, 9, 10)  # of the first session what is worth telling
    ]
    assert history[5]["val/mAP"] == history[10]["val/mAP"] == 0.5 and "train/loc" not in history[10]
    picture = {key.removeprefix("validation/0 a b/"): value for key, value in history[10].items()}
    assert (picture["width"], picture["height"], picture["caption"]) == (640, 320, "a b.png")
    assert (second / "files" / picture["path"]).suffix == ".jpg" and (second / "files" / picture["path"]).exists()
    boxes = {
        kind: json.loads((second / "files" / picture[f"boxes/{kind}/path"]).read_text())["box_data"]
        for kind in ("ground_truth", "predictions")
    }
    assert [box["box_caption"] for box in boxes["ground_truth"]] == ["cat"]
    (box,) = boxes["predictions"]
    assert box["position"] == {"minX": 400, "minY": 80, "maxX": 600, "maxY": 240}
    assert (box["class_id"], box["box_caption"], box["scores"]) == (2, "dog 0.75", {"score": 0.75})


class FakeWandb(ModuleType):
    """Weights & Biases as it answers online, where the server has the steps below `known`; `logged` is what it is told.

    Steps must not go down, as with the real one.
    """

    class Error(Exception):
        pass

    def __init__(self, known=0, mode="online", error=None):
        super().__init__("wandb")
        self.step, self.error, self.logged, self.options = known, error, {}, None
        self.settings, self.Image = SimpleNamespace(mode=mode), lambda picture, **options: options

    def setup(self):
        return self

    def init(self, **options):
        if self.error:
            raise self.Error(self.error)
        self.options = options
        return self

    def log(self, values, step):
        assert step >= self.step
        self.step = step
        self.logged.setdefault(step, {}).update(values)

    def finish(self):
        self.logged["finished"] = True


def test_wandb_online_is_told_what_the_server_does_not_know(tmp_path, items, monkeypatch):
    for server in (FakeWandb(), FakeWandb(known=9)):  # the session that was killed had logged iteration 8
        monkeypatch.setitem(sys.modules, "wandb", server)
        start, stop = (6, 10) if server.step else (0, 6)
        log_session(tmp_path, "wandb", start, stop, items)
        assert server.options["resume"] == "allow" and server.options["dir"] == tmp_path
        assert server.options["id"] == (tmp_path / "wandb_id.txt").read_text()
    assert list(server.logged) == [9, 10, "finished"]
    assert sorted(server.logged[10]) == ["lr", "train/loss", "val/mAP", "validation/0 a b", "validation/1 empty"]
    assert server.logged[10]["validation/1 empty"]["boxes"]["predictions"]["box_data"] == []


def test_wandb_that_does_not_start_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(error="No API key configured.\nTraceback"))
    with pytest.raises(InputError, match=r"start \(No API key configured\); .*WANDB_MODE=offline$"):
        logs.loggers(tmp_path, "wandb", 0, {}, NAMES)


def test_missing_loggers(tmp_path, monkeypatch):
    """`None` in sys.modules is a package that is not installed."""
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))  # a folder of that name
    for choice, package in (("tensorboard", "torch.utils.tensorboard"), ("wandb", None)):
        if package:
            monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(InputError, match=rf'{choice} needs {choice}: pip install -e "\.\[log\]"'):
            logs.loggers(tmp_path, choice, 0, {}, NAMES)
    assert logs.loggers(tmp_path, "auto", 0, {}, NAMES) == logs.loggers(tmp_path, "none", 0, {}, NAMES) == []
    assert list(tmp_path.iterdir()) == []


def test_auto_is_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    (logger,) = logs.loggers(tmp_path, "auto", 0, {}, NAMES)
    logger.close()
    assert isinstance(logger, logs.TensorBoard)


def test_unknown_loggers_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'mlflow', must be one of auto, tensorboard, wandb, none"):
        logs.loggers(tmp_path, "mlflow", 0, {}, NAMES)


# -- curves


def test_smoothing_by_hand():
    values = np.array([1.0, 2, np.nan, 4, 6])
    np.testing.assert_allclose(curves.smooth(values, 3), [1.5, 1.5, np.nan, 5, 5])
    np.testing.assert_array_equal(curves.smooth(values, 1), values)
    assert curves.smooth(values[:0], 1).shape == (0,)


@settings(max_examples=20)
@given(st.integers(0, 60), st.sampled_from([1, 3, 7, 21]), st.integers(0, 99))
def test_smoothing_is_the_mean_of_the_neighbours(n, window, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    around = [values[max(k - window // 2, 0) : k + window // 2 + 1] for k in range(n)]
    expected = [np.nan if np.isnan(v) else np.nanmean(part) for v, part in zip(values, around, strict=True)]
    np.testing.assert_allclose(curves.smooth(values, window), expected, atol=1e-12)


def test_thinning_keeps_the_extremes():
    y = np.random.default_rng(0).normal(size=10_001)
    y[[137, 9000]] = 50, -50
    x = np.arange(10_001.0)
    few_x, few_y = curves.thin_out(x, y, most=100)
    assert 50 <= len(few_x) <= 100 and (np.diff(few_x) > 0).all()
    assert {137, 9000} <= set(few_x) and (y[few_x.astype(int)] == few_y).all()
    np.testing.assert_array_equal(curves.thin_out(x[:100], y[:100], most=100), (x[:100], y[:100]))


def run_of(n):
    rows = [
        {"lr": 1e-3, "train_loss": 100 / k + 2, "train_iou": 0.5}
        | ({"val_mAP": k / n / 2} if k % (n // 2) == 0 else {})
        for k in range(1, n + 1)
    ]
    return {c: np.array([{"iteration": k, **r}.get(c, np.nan) for k, r in enumerate(rows, 1)]) for c in COLUMNS}


def drawn_panels(results):
    pytest.importorskip("matplotlib")
    figure = curves.results_figure(results)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    return {panel.get_title(): panel for panel in figure.axes}


def test_curves_of_a_long_run():
    found = drawn_panels(run_of(10_000))
    loss = found["loss, in all"]
    faint, smoothed = (line for line in loss.get_lines() if len(line.get_xdata()))
    assert faint.get_alpha() < 0.5 and max(faint.get_ydata()) == 102  # which is out of sight
    assert smoothed.get_ydata()[-1] == pytest.approx(2.01, abs=0.01)
    assert 2.1 < loss.get_ylim()[1] < 2.4 and loss.get_xlim() == (0, 10_200)
    (mean_ap, best) = found["mAP, best 0.5000 at 10,000"].get_lines()
    assert mean_ap.get_xydata().tolist() == [[5000, 0.25], [10_000, 0.5]]
    assert best.get_xydata().tolist() == [[10_000, 0.5]]
    assert found["learning rate"].get_yscale() == "log"
    assert [text.get_text() for text in found["localisation loss"].texts] == ["none yet"]


def test_curves_of_a_short_run_show_every_point():
    loss = drawn_panels(run_of(4))["loss, in all"]
    (line,) = (line for line in loss.get_lines() if len(line.get_xdata()))
    np.testing.assert_allclose(line.get_xydata(), [[k, 100 / k + 2] for k in (1, 2, 3, 4)])
    assert line.get_marker() == "o" and loss.get_ylim()[1] > 102


def test_curves_of_no_rows():
    found = drawn_panels({column: np.zeros(0) for column in COLUMNS})
    assert all([text.get_text() for text in panel.texts] == ["none yet"] for title, panel in found.items() if title)


def test_curves_drawn_anew_by_the_command(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    write(tmp_path / "results.csv", [row(1), row(2, val_mAP=0.5)])
    assert draw_curves([str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'results.png'}\n"
    with Image.open(tmp_path / "results.png") as picture:
        assert picture.format == "PNG" and picture.width > 1500
    assert draw_curves([str(tmp_path / "gone")]) == 2
    assert "no such file" in capsys.readouterr().err


def test_curves_without_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    write(tmp_path / "results.csv", [row(1)])
    assert draw_curves([str(tmp_path)]) == 2
    assert capsys.readouterr().err == 'error: diagrams need matplotlib: pip install -e ".[plots]"\n'
    assert not (tmp_path / "results.png").exists()
