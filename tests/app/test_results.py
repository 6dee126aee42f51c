"""What the page shows, without the page."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ssd.app import results
from ssd.app.results import Choice, annotate_film, choose, load_models, predict, records, show
from ssd.data.formats.single import read_single
from ssd.errors import InputError
from ssd.media.outputs import record
from tests.app.conftest import small_model
from tests.media.test_video import draw_film


def assert_same(found, expected):
    assert found.names == expected.names
    torch.testing.assert_close(found.boxes, expected.boxes)
    torch.testing.assert_close(found.scores, expected.scores)


def test_other_thresholds_need_no_other_predictions(models, photo, monkeypatch):
    expected = {
        thresholds: {name: detector(photo, *thresholds) for name, detector in models.items()}
        for thresholds in ((0.2, 0.45), (0.35, 0.45), (0.01, 0.1), (0.9, 0.5))
    }
    predicted = predict(models, photo)
    for detector in models.values():
        monkeypatch.setattr(type(detector), "predict", None)
    for thresholds, by_model in expected.items():
        found = choose(models, predicted, Choice(*thresholds))
        for name in models:
            assert_same(found[name], by_model[name])
    assert len({len(by_model["a/best.pth"]) for by_model in expected.values()}) > 2


@pytest.mark.parametrize("classes, kept", [(["dog"], ["dog", "dog"]), (["cat", "owl"], ["cat", "owl"])])
def test_some_classes_alone(models, photo, classes, kept):
    found = choose(models, predict(models, photo), Choice(0.01, 0.45, classes))
    for name, own in zip(models, kept, strict=True):
        assert_same(found[name], models[name].only(own)(photo, 0.01))


def test_what_is_shown_and_written(models, photo, tmp_path):
    predicted = predict(models, photo)
    for name, shown in zip(models, show(models, predicted, Choice(0.3, 0.3)), strict=True):
        found = models[name](photo, 0.3, 0.3)
        assert shown.title == f"{name}: {len(found)} object{'s' * (len(found) != 1)}"
        assert [row[0] for row in shown.rows] == found.names
        boxes = [list(map(int, box.split(", "))) for _, _, box in shown.rows] or np.zeros((0, 4))
        np.testing.assert_allclose(boxes, found.boxes, atol=0.5)
        files = {Path(file).name: Path(file) for file in shown.files}
        assert list(files) == ["my photo.jpg", "detections.json", "my photo.xml", "my photo.txt", "data.yaml"]
        assert shown.picture == str(files["my photo.jpg"])
        with Image.open(shown.picture) as copy:
            assert (copy.format, copy.size) == ("JPEG", (320, 200))
        (record,) = json.loads(files["detections.json"].read_text())
        assert (record["image"], len(record["detections"])) == ("my photo.png", len(found))
        downloads = tmp_path / name.replace("/", " ")
        downloads.mkdir()
        for file in files.values():
            shutil.copy(file, downloads)
        for ending in (".xml", ".txt"):
            read, _ = read_single(downloads / f"my photo{ending}", photo, models[name].config.class_names)
            assert [each.name for each in read.objects] == found.names
            np.testing.assert_allclose([each.box for each in read.objects] or np.zeros((0, 4)), found.boxes, atol=0.01)


def test_files_are_gone_with_the_predictions(models, photo):
    predicted = predict(models, photo)
    file = Path(show(models, predicted, Choice(0.2, 0.45))[0].picture)
    assert file.exists()
    with pytest.warns(ResourceWarning):  # Python's, since nobody closed the folder
        del predicted
    assert not file.parents[1].exists()


def test_records_for_programs(models, photo):
    predicted = predict(models, photo)
    found = records(models, predicted, Choice(0.3, 0.45))
    assert json.loads(json.dumps(found)) == found
    assert [entry["model"] for entry in found] == list(models)
    own = models["a/best.pth"](photo, 0.3)
    assert found[0] == {"model": "a/best.pth", **record(Path(photo.name), None, predicted.size, own)}


def test_short_names_of_models_differ(monkeypatch):
    monkeypatch.setattr(results, "load_trained", lambda *args: small_model("cat"))
    said = []
    assert list(load_models(["runs/1/best.pth", "runs/2/best.pth"], "cpu", "fp32", said.append)) == [
        "1/best.pth",
        "2/best.pth",
    ]
    assert [line.partition(":")[0] for line in said] == ["runs/1/best.pth", "runs/2/best.pth"]
    same = ["x/1/best.pth", "y/1/best.pth"]
    assert list(load_models(same, "cpu", "fp32", said.append)) == same


@pytest.fixture
def film(tmp_path):
    pytest.importorskip("av")
    return draw_film(tmp_path / "film.mp4")


def test_film(models, film):
    told = []
    detector = models["a/best.pth"]
    done = annotate_film(detector, film, Choice(0.2, 0.45, ["cat"]), lambda *numbers: told.append(numbers))
    assert told == [(k, 10) for k in range(1, 11)]
    copy, journal = map(Path, done.files)
    assert (copy.name, copy.read_bytes()[4:8]) == ("film.mp4", b"ftyp")
    frames = list(map(json.loads, journal.read_text().splitlines()))
    assert [(entry["image"], entry["frame"]) for entry in frames] == [("film.mp4", k) for k in range(10)]
    names = [found["name"] for entry in frames for found in entry["detections"]]
    assert set(names) == {"cat"}
    assert done.message == f"film.mp4: {len(names)} objects in 10 frames"


def test_a_film_that_is_stopped(models, film, capsys):
    def stop(n, n_frames):
        if n == 3:
            raise InputError("film.mp4: stopped")

    done = annotate_film(models["a/best.pth"], film, Choice(0.9, 0.45), stop)
    assert done.message == "film.mp4: stopped; 0 objects in 2 frames"
    assert len(done.files) == 2
    assert "error" not in capsys.readouterr().err


def test_what_is_no_film(models, photo):
    pytest.importorskip("av")
    with pytest.raises(InputError, match="no such video"):
        annotate_film(models["a/best.pth"], photo.with_name("lost.mp4"), Choice(0.2, 0.45), print)
