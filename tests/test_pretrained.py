"""COCO weights on the first day: downloaded, converted, or refused in a sentence."""

import json
import os
import shutil
import urllib.error
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torchvision.models.detection import SSD300_VGG16_Weights, ssd300_vgg16

import detect
from ssd import Detector, SSDConfig, load_checkpoint
from ssd.commands import convert, export
from ssd.commands import eval as evaluate
from ssd.convert.layouts import COCO_CLASSES, LAYOUTS
from ssd.errors import InputError
from ssd.pretrained import coco_checkpoint, load_trained, model_line, newest_checkpoint, was_chosen_on
from ssd.training.weights import initial_model
from tests.helpers.foreign_models import Tutorial, randomise, save_tutorial
from tests.helpers.scripts import refused

TORCHVISION = next(layout for layout in LAYOUTS if "torchvision" in layout.project)


@pytest.fixture
def coco_download(tmp_path, monkeypatch):
    """An empty cache, and a download that gives 91 outputs at once; how often it was asked for."""
    asked = []
    theirs = randomise(ssd300_vgg16(weights=None, weights_backbone=None, num_classes=4))

    def download(url, path, hash_prefix):
        asked.append((url, hash_prefix))
        state = theirs.state_dict()
        for k, n_priors in enumerate((4, 6, 6, 6, 4, 4)):
            name = f"head.classification_head.module_list.{k}"
            state[f"{name}.weight"] = 0.01 * torch.randn(n_priors * 91, *state[f"{name}.weight"].shape[1:])
            state[f"{name}.bias"] = torch.zeros(n_priors * 91)
        torch.save(state, path)

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    return asked


def test_coco_on_the_first_day(coco_download, voc_folder, tmp_path, capsys):
    picture = min((voc_folder / "JPEGImages").iterdir())
    args = [str(picture), "--checkpoint", "coco", "--output", str(tmp_path / "out"), "--min-score", "0"]
    assert detect.main(args) == 0
    found = json.loads((tmp_path / "out" / "detections.json").read_text())[0]["detections"]
    names = {entry["name"] for entry in found}
    assert len(found) == 200
    assert names <= set(COCO_CLASSES)
    first = coco_checkpoint()
    assert coco_download == [(SSD300_VGG16_Weights.COCO_V1.url, "b556d3b4")]  # once: the rest comes from the cache
    assert load_checkpoint(first).config == TORCHVISION.config(91)
    assert Detector.from_checkpoint("coco", "cpu", "fp32")(picture, 0, top_k=1)[0].name in COCO_CLASSES
    args = ["coco", str(tmp_path / "copy.pth")]
    assert convert.main(args) == 0
    assert "80 classes, 10 outputs without a class: person, bicycle" in capsys.readouterr().out


def test_coco_without_a_network(tmp_path, capsys, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    address = "https://download.pytorch.org/"
    refused(
        capsys, convert, ["coco", tmp_path / "x.pth"], "no network here", address, "python -m ssd.convert", "train.py"
    )
    with pytest.raises(InputError, match="no network here"):
        detect.detect(None, checkpoint="coco")


def test_damaged_download_of_coco(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "torch.hub.download_url_to_file", lambda url, path, hash_prefix: Path(path).write_bytes(b"PK\x03\x04")
    )
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"ssd300_vgg16_coco-b556d3b4\.pth: damaged.*delete it"):
        coco_checkpoint()
    assert len(list((tmp_path / "hub" / "checkpoints").iterdir())) == 1


def test_the_newest_run_that_is_no_test(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, starts in enumerate(([{}], [{"overfit": None}], [{"overfit": 1}], [{"overfit": 1}, {"overfit": 1}])):
        run = Path("runs") / str(k)
        run.mkdir(parents=True)
        shutil.copy(checkpoint, run / "best.pth")
        os.utime(run / "best.pth", (k, k))
        (run / "args.json").write_text(json.dumps({"starts": [{"arguments": start} for start in starts]}))
    assert newest_checkpoint() == Path("runs/1/best.pth")
    (Path("runs/0") / "args.json").write_text("damaged")
    shutil.rmtree("runs/1")
    assert newest_checkpoint() == Path("runs/0/best.pth")  # nothing says that it is a test
    shutil.rmtree("runs/0")
    with pytest.raises(InputError, match="no checkpoint in runs/ but of runs with --overfit"):
        newest_checkpoint()


def test_model_in_one_line(checkpoint, tmp_path):
    config = load_checkpoint(checkpoint).config
    assert model_line(Path("a.pth"), config) == "a.pth: SSD300 with vgg16, 4 classes (circle, square, star, triangle)"
    many = replace(config, class_names=tuple(f"c{k}" if k % 2 else "" for k in range(60)))
    text = "a?.pth: SSD300 with vgg16, 30 classes (c1, c3, c5, c7, c9, c11, c13, c15 and 22 more)"
    assert model_line(Path("a\n.pth"), many) == text


def test_weights_of_others_as_they_are(data_folder, voc_folder, tmp_path, capsys):
    path = tmp_path / "checkpoint_ssd300.pth.tar"
    theirs = randomise(Tutorial(4))
    save_tutorial(path, theirs)
    said, told = f"{path}: weights of sgrvinod's object detection tutorial, converted in memory", []
    model = load_trained(path, "cpu", tell=told.append)
    assert told == [said]
    assert model.config == SSDConfig.tutorial(class_names=("class_1", "class_2", "class_3"))
    assert torch.equal(model.base.conv7.weight, theirs.base.conv7.weight)
    assert not was_chosen_on(path, "any list")

    _, words = initial_model(("class_2", "dog"), str(path))
    assert words == f"the detector {said.replace(': ', ' (')}), except for the scores of dog, which start at random"
    picture = min((voc_folder / "JPEGImages").iterdir())
    for command, args, refusal in (
        (detect, [picture, "--classes", "unicorn", "--output", tmp_path / "out"], "unknown class unicorn"),
        (evaluate, ["--data", data_folder], "class_1, class_2, class_3, but the classes of"),
        (export, [tmp_path / "x.txt"], "x.txt"),
    ):
        given = [path] if command is export else ["--checkpoint", path]
        assert command.main([str(arg) for arg in (*given, *args)]) == 2
        output = capsys.readouterr()
        assert output.out == f"{said}\n"
        assert refusal in output.err


def test_own_weights_need_no_conversion(checkpoint):
    told = []
    load_trained(checkpoint, "cpu", tell=told.append)
    assert told == []
