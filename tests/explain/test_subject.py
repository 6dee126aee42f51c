"""Where objects come from, pictures of all kinds, and what cannot be explained."""

import json
import shutil

import pytest
import torch
from PIL import Image

from ssd.data import read_data_list
from ssd.errors import InputError
from ssd.explain.sections import explain
from ssd.explain.subject import find_lists, find_model, read_subject
from ssd.model.postprocess import detect_objects
from tests.helpers.annotations import picture as blank_picture
from tests.helpers.annotations import write


def test_objects_of_the_data_lists(subject, picture, data_folder):
    lists = [read_data_list(data_folder, split) for split in ("train", "test")]
    (listed,) = (each for data in lists for each in data if each.path == str(picture))
    assert len(subject.boxes) > 0
    assert torch.allclose(subject.in_pixels(subject.boxes).double(), torch.from_numpy(listed.boxes), atol=1e-3)
    assert subject.labels.tolist() == listed.labels.tolist()
    assert subject.difficulties.tolist() == listed.difficulties.tolist()
    assert not subject.is_own
    assert str(data_folder) in subject.origin


def test_objects_of_an_annotation_file_are_the_same(subject, picture, voc_folder):
    found = read_subject(picture, annotation=voc_folder / "Annotations" / f"{picture.stem}.xml")
    assert torch.equal(found.boxes, subject.boxes)
    assert list(map(found.name_of, found.labels.tolist())) == list(map(subject.name_of, subject.labels.tolist()))


def test_objects_are_the_models_detections_where_there_are_no_others(subject, picture, checkpoint, monkeypatch):
    monkeypatch.setattr("ssd.explain.subject.MIN_SCORE", 0.1)  # the model is not trained
    found = read_subject(picture, checkpoint)
    thresholds = 0.1, 0.45, 20
    boxes, labels, _ = detect_objects(subject.locs[None], subject.scores[None], subject.priors_cxcy, *thresholds)
    assert found.is_own
    assert len(found.boxes) > 0
    assert torch.equal(found.boxes, boxes[0])
    assert torch.equal(found.labels, labels[0])
    assert f"detections with a score above 0.1 stand in for them: {len(found.boxes)}." in found.origin


def test_objects_of_classes_that_the_model_does_not_know_are_left_out(picture, checkpoint, tmp_path, monkeypatch):
    (tmp_path / "classes.txt").write_text("circle\n<b>tractor</b>\n")
    annotation = tmp_path / "objects.txt"
    annotation.write_text("0 0.5 0.5 0.2 0.2\n1 0.5 0.5 0.1 0.1\n")
    found = read_subject(picture, checkpoint, annotation=annotation)
    assert list(map(found.name_of, found.labels.tolist())) == ["circle"]
    assert "does not know them: <b>tractor</b>." in found.origin
    monkeypatch.setattr("ssd.explain.sections.QUESTIONS", ())  # the introduction says it too
    page = explain(found)
    assert "does not know them: &lt;b&gt;tractor" in page
    assert "<b>tractor" not in page


def test_moved_pictures_and_other_sizes(picture, data_folder, tmp_path):
    copy = tmp_path / picture.name
    shutil.copy(picture, copy)
    assert len(read_subject(copy, data=data_folder).boxes) == 0  # another file of the same name
    lists = tmp_path / "lists"
    shutil.copytree(data_folder, lists)
    for file in lists.glob("*_objects.json"):
        entries = json.loads(file.read_text())
        file.write_text(json.dumps([entry | {"size": [1, 1]} for entry in entries]))
    with pytest.raises(InputError, match="write them again"):
        read_subject(picture, data=lists)


@pytest.mark.parametrize(
    "size, mode", [((1, 1), "RGB"), ((2, 3), "L"), ((900, 3), "RGBA"), ((3, 700), "1"), ((40, 30), "RGB")]
)
def test_pictures_of_all_kinds(tmp_path, size, mode):
    path = tmp_path / "a <script>.png"
    Image.new(mode, size).save(path)
    page = explain(read_subject(path))
    assert "a &lt;script&gt;.png" in page
    assert "nan" not in page.partition("<main>")[2].partition("<script>")[0].lower().split()


def test_exif_orientation(tmp_path):
    image = Image.new("RGB", (80, 40))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert read_subject(tmp_path / "a.jpg").shown.size == (300, 600)


@pytest.mark.parametrize("name", ["model.onnx", "model.PT2"])
def test_exports_have_no_layers_to_show(picture, name, tmp_path):
    with pytest.raises(InputError, match="give the checkpoint that it was made from"):
        read_subject(picture, write(tmp_path / name, ""))


def test_usual_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model(None) is None
    assert find_lists(None) is None
    assert find_lists("lists") == "lists"
    write(tmp_path / "data" / "label_map.json", {"background": 0})
    assert find_lists(None) == "data"
    best = write(tmp_path / "runs" / "1" / "best.pth", "")
    assert best.samefile(find_model(None))


def test_a_folder_without_data_lists(tmp_path):
    with pytest.raises(InputError, match="no such data list"):
        read_subject(blank_picture(tmp_path / "a.png"), data=tmp_path)
