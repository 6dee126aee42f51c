"""Odd and damaged pictures through the scripts: each has its pixels or its sentence, and none stops the others."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssd import Detections, Detector
from ssd.commands import data as create_data_lists
from ssd.commands import detect, train
from ssd.commands import eval as evaluation
from ssd.data import PascalVOCDataset, preprocess, write_data_lists
from ssd.text import one_line
from tests.helpers.picture_files import DAMAGED, JPEG, ODD, PICTURE, not_files, write_files
from tests.helpers.scripts import SHORT, refused
from tests.helpers.voc_folders import data_list, make_voc, voc_object

posix = pytest.mark.skipif(os.name == "nt", reason="pipes and links as POSIX has them")


def run(tmp_path, checkpoint, *args):
    """What detect.py says on stderr, its status and its records."""
    output = tmp_path / "out"
    args = [*args, "--checkpoint", checkpoint, "--output", output, "--device", "cpu"]
    status = detect.main([str(arg) for arg in args])
    return status, json.loads((output / "detections.json").read_text())


# -- odd ones


NOTHING = Detections(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0), [])


@pytest.fixture(scope="module")
def seen(checkpoint, tmp_path_factory):
    """Name of the file -> the picture as the detector gets it, from one run of detect.py over all odd pictures."""
    folder = tmp_path_factory.mktemp("odd")
    images = []

    def recorded(self, batch, *args, **kwargs):
        images.extend(batch)
        return [NOTHING] * len(batch)

    with pytest.MonkeyPatch.context() as patched:  # the network would take a minute
        patched.setattr(Detector, "prepare", lambda self, image: image)
        patched.setattr(Detector, "find", recorded)
        status, records = run(folder, checkpoint, write_files(folder / "odd", ODD))
    assert status == 0
    pairs = zip(records, images, strict=True)
    first = [(entry, image) for entry, image in pairs if not entry.get("frame")]  # without later frames of animations
    assert len(first) == len(ODD)
    for entry, image in first:
        with Image.open(folder / "out" / entry["annotated"]) as annotated:
            assert annotated.size == image.size == (entry["width"], entry["height"])
    return {Path(entry["image"]).name: image for entry, image in first}


@pytest.mark.parametrize("name", ODD)
def test_odd_picture_is_detected_in(seen, name):
    expected = ODD[name][1]
    expected, tolerance = expected if isinstance(expected, tuple) else (expected, 0)
    assert seen[name].mode == "RGB"
    np.testing.assert_allclose(np.asarray(seen[name], dtype=np.float64), expected, rtol=0, atol=tolerance)


def test_network_takes_the_oddest(checkpoint, tmp_path):
    names = ["high.png", "longer than a JPEG can be.png", "pixel.png"]
    folder = write_files(tmp_path / "odd", {name: ODD[name] for name in names})
    status, records = run(tmp_path, checkpoint, folder, "--min-score", 0.1, "--top-k", 5)
    assert status == 0
    assert [entry["annotated"] for entry in records] == ["high.jpg", "longer than a JPEG can be.png", "pixel.jpg"]
    assert [(entry["width"], entry["height"]) for entry in records] == [(10, 20000), (70000, 2), (1, 1)]
    for entry in records:
        assert len(entry["detections"]) == 5
        for found in entry["detections"]:
            x_min, y_min, x_max, y_max = found["box"]
            assert 0 <= x_min <= x_max <= entry["width"]
            assert 0 <= y_min <= y_max <= entry["height"]


def test_evaluation_has_the_same_pixels_as_detection(seen, tmp_path):
    names = ["16 bits.tif", "float.tif", "orientation 6.png", "alpha.png", "animated.gif", "wide.png"]
    folder = write_files(tmp_path / "odd", {name: ODD[name] for name in names})
    entries = [{"size": seen[name].size, "boxes": [], "labels": [], "difficulties": []} for name in names]
    write_data_lists(tmp_path, test=data_list([folder / name for name in names], entries, ("cat",)))
    dataset = PascalVOCDataset(tmp_path, "test")
    for k, name in enumerate(names):
        assert torch.equal(dataset[k][0], preprocess(seen[name], dataset.config))


# -- damaged ones


@pytest.fixture(scope="module")
def told(checkpoint, tmp_path_factory):
    """What detect.py says of a folder with all damaged pictures and two good ones; name of the file -> its lines."""
    folder = tmp_path_factory.mktemp("damaged")
    files = write_files(folder / "damaged", DAMAGED)
    if os.name != "nt":
        not_files(files)
    for name in ("a good one.png", "zz good one.png"):
        PICTURE.save(files / name)
    lines = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ssd.media.annotator.tqdm.write", lambda line, file: lines.append(line))
        status, records = run(folder, checkpoint, files)
    assert status == 2
    assert [Path(entry["image"]).name for entry in records] == ["a good one.png", "zz good one.png"]
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "a good one.jpg", "detections-0.jsonl", "detections.json", "detections_of.json", "zz good one.jpg",
    ]  # fmt: skip
    return files, lines


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_picture_is_named(told, name):
    folder, lines = told
    about = [line for line in lines if line.startswith(f"error: {folder / name}: ")]
    assert len(about) == 1
    assert DAMAGED[name][1] in about[0]
    assert "\n" not in about[0]


@posix
def test_what_is_no_file_is_named(told, tmp_path):
    folder, lines = told
    others = not_files(tmp_path)
    assert len(lines) == len(DAMAGED) + len(others)
    for name, sentence in others.items():
        assert f"error: {folder / name}: {sentence}" in lines


def test_bad_paths_of_a_list_are_named(checkpoint, tmp_path, capsys):
    PICTURE.save(tmp_path / "good.png")
    (tmp_path / "folder.jpg").mkdir()
    paths = [str(tmp_path / name) for name in ("folder.jpg", "lost.jpg", "x" * 300, "null\0byte.jpg", "good.png")]
    (tmp_path / "list.json").write_text(json.dumps(paths))
    status, records = run(tmp_path, checkpoint, tmp_path / "list.json")
    said = capsys.readouterr()
    assert status == 2
    assert [entry["image"] for entry in records] == [str(tmp_path / "good.png")]
    for path, sentence in zip(paths, ("a folder, not a picture", *["no such picture"] * 3), strict=False):
        assert one_line(f"error: {path}: {sentence}") in said.err
    assert "1 picture" in said.out
    assert "4 could not be read" in said.out


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_picture_is_named(checkpoint, tmp_path, capsys):
    PICTURE.save(tmp_path / "secret.png")
    (tmp_path / "secret.png").chmod(0)
    refused(capsys, detect, [tmp_path / "secret.png", "--checkpoint", checkpoint, "--output", tmp_path / "out"],
            "secret.png: cannot be read (Permission denied)")  # fmt: skip


def test_bomb_with_the_limit_lifted(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 299)  # 599 pixels are refused
    PICTURE.save(tmp_path / "large.png")
    args = [tmp_path / "large.png", "--checkpoint", checkpoint, "--output", tmp_path / "out"]
    refused(capsys, detect, args, "large.png: perhaps a decompression bomb", "--no-pixel-limit")
    assert detect.main([*map(str, args), "--no-pixel-limit"]) == 0
    assert (tmp_path / "out/large.jpg").exists()


def test_every_picture_is_bad(checkpoint, tmp_path, capsys):
    (tmp_path / "a.jpg").write_bytes(b"")
    refused(capsys, detect, [tmp_path / "a.jpg", "--checkpoint", checkpoint, "--output", tmp_path / "out"], "is empty")
    assert json.loads((tmp_path / "out/detections.json").read_text()) == []


# -- the other scripts

BAD = {
    "empty": (b"", "not a picture, the file is empty"),
    "cut": (JPEG[:-100], "damaged picture"),
    "bomb": DAMAGED["bomb.png"],
}


@pytest.fixture
def lists(data_folder, tmp_path):
    """A copy of the data lists, and a function that puts bytes in the place of a split's first picture."""
    shutil.copytree(data_folder, tmp_path / "lists")

    def replace(split, content):
        file = tmp_path / "lists" / f"{split}_images.json"
        images = json.loads(file.read_text())
        (tmp_path / "replaced.jpg").write_bytes(content)
        file.write_text(json.dumps([str(tmp_path / "replaced.jpg"), *images[1:]]))
        return tmp_path / "lists"

    return replace


@pytest.mark.parametrize("name, workers", [("empty", 0), ("cut", 0), ("cut", 1), ("bomb", 0)])
def test_evaluation_names_a_bad_picture(lists, checkpoint, capsys, name, workers):
    content, sentence = BAD[name]
    args = ["--data", lists("TEST", content), "--checkpoint", checkpoint, "--workers", workers, "--device", "cpu"]
    refused(capsys, evaluation, args, f"replaced.jpg: {sentence}")


def test_evaluation_names_a_picture_that_was_changed(lists, checkpoint, capsys):
    args = ["--data", lists("TEST", JPEG), "--checkpoint", checkpoint, "--workers", 0, "--device", "cpu"]
    refused(capsys, evaluation, args, "replaced.jpg: upright it has 30 x 20 pixels, in the data lists")


def test_data_lists_name_a_bad_picture(tmp_path, capsys):
    for name, (content, sentence) in {**BAD, "text": (b"text", "not a picture, or an unsupported format")}.items():
        folder = make_voc(tmp_path / name, {"trainval": ["a"], "test": ["b"]}, voc_object("dog", 1, 1, 9, 9))
        (folder / "JPEGImages/a.jpg").write_bytes(content)
        if name != "cut":  # the lists are made from headers
            refused(capsys, create_data_lists, ["--voc", folder, "--output", tmp_path / "lists"], f"a.jpg: {sentence}")
    assert not (tmp_path / "lists").exists()


# -- a checkpoint that is a program


class Payload:
    """What unpickling runs: it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(params=["a pickle", "torch.save", "inside a checkpoint"])
def hostile(request, checkpoint, tmp_path):
    path, ran = tmp_path / "hostile.pth", Payload(tmp_path / "it ran")
    if request.param == "a pickle":
        path.write_bytes(pickle.dumps(ran, protocol=2))
    elif request.param == "torch.save":
        torch.save(ran, path)
    else:
        torch.save({**torch.load(checkpoint, weights_only=True), "training": {"epoch": ran}}, path)
    return path


def test_payload_of_a_checkpoint_is_never_run(hostile, data_folder, tmp_path, capsys):
    PICTURE.save(tmp_path / "a.png")
    lists, new = ["--data", data_folder], ["--output", tmp_path / "run"]
    says = "hostile.pth: refused", "would have to be run"
    refused(capsys, detect, [tmp_path / "a.png", "--checkpoint", hostile, *new], *says)
    refused(capsys, evaluation, [*lists, "--checkpoint", hostile], *says)
    refused(capsys, train, [*lists, *new, *SHORT, "--weights", hostile], *says)
    refused(capsys, train, [*lists, *new, *SHORT, "--resume", hostile], "hostile.pth: damaged")
    assert not (tmp_path / "it ran").exists()
    assert not (tmp_path / "run").exists()
