"""Weights of each project: what comes out of a converted file is what came out of theirs."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ssd import SSDConfig, load_checkpoint
from ssd.commands.convert import main
from ssd.config import VOC_CLASSES
from ssd.convert import read_weights
from ssd.convert.layouts import COCO_CLASSES, LAYOUTS
from tests.helpers.foreign_models import Amdegroot, Lufficc, Tutorial, save_tutorial
from tests.helpers.weights import assert_close, normalise, predictions

TORCHVISION = next(layout for layout in LAYOUTS if "torchvision" in layout.project)


@pytest.mark.parametrize("cls, wrapped", [(Amdegroot, False), (Lufficc, True)])
@pytest.mark.parametrize("zipped", [True, False])
def test_state_dicts(cls, wrapped, zipped, foreign, images, tmp_path):
    model = foreign(cls)
    content = {"model": model.state_dict(), "iteration": 5} if wrapped else model.state_dict()
    torch.save(content, tmp_path / "theirs.pth", _use_new_zipfile_serialization=zipped)
    _, config, state = read_weights(tmp_path / "theirs.pth")
    assert config == SSDConfig.caffe(class_names=("class_1", "class_2", "class_3"), clip="all")
    if zipped:
        assert_close(
            predictions(config, state, images), model(images * 255 - torch.tensor([123, 117, 104]).view(3, 1, 1))
        )


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_tutorial(zipped, foreign, images, tmp_path):
    model = foreign(Tutorial)
    path = tmp_path / "checkpoint_ssd300.pth.tar"
    save_tutorial(path, model, _use_new_zipfile_serialization=zipped)
    assert "model" not in sys.modules
    _, config, state = read_weights(path)
    assert config.mean == (0.485, 0.456, 0.406)
    assert_close(predictions(config, state, images), model(normalise(images, config)))
    assert not any(isinstance(tensor, torch.nn.Parameter) for tensor in state.values())


def test_tutorial_rounds_its_last_ratio():
    sizes, default = SSDConfig.tutorial().prior_sizes, SSDConfig().prior_sizes
    assert [len(cell) for cell in sizes] == [4, 6, 6, 6, 4, 4]
    for cell, default_cell, scale in zip(sizes, default, (0.1, 0.2, 0.375, 0.55, 0.725, 0.9), strict=True):
        assert cell[:5] == default_cell[:5]
        if len(cell) == 6:
            assert cell[5] == pytest.approx((scale * 0.333**0.5, scale / 0.333**0.5), abs=1e-15)


def test_torchvision(theirs, images, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    _, config, state = read_weights(tmp_path / "theirs.pth")
    assert config == SSDConfig.torchvision(class_names=("class_1", "class_2", "class_3"))
    with torch.no_grad():
        transformed, _ = theirs.transform(list(images))
        head = theirs.head(list(theirs.backbone(transformed.tensors).values()))
    assert_close(predictions(config, state, images), (head["bbox_regression"], head["cls_logits"]))


@pytest.mark.parametrize("project, n_outputs, expected", [
    ("amdegroot", 21, VOC_CLASSES), ("lufficc", 21, VOC_CLASSES), ("sgrvinod", 21, VOC_CLASSES),
    ("lufficc", 81, COCO_CLASSES), ("amdegroot", 201, COCO_CLASSES + ("",) * 120), ("torchvision", 21, None),
    ("torchvision", 2, None), ("sgrvinod", 91, None),
])  # fmt: skip
def test_class_names(project, n_outputs, expected):
    layout = next(layout for layout in LAYOUTS if project in layout.project)
    config = layout.config(n_outputs)
    assert config.n_classes == n_outputs
    assert config.class_names == (expected or tuple(f"class_{k}" for k in range(1, n_outputs)))


def test_coco_has_smaller_priors_in_the_caffe_style():
    """The pixel sizes of the release for COCO: 21, 45, 99, 153, 207, 261 and 315."""
    config = next(layout for layout in LAYOUTS if "lufficc" in layout.project).config(81)
    sides = [round(cell[0][0] * 300, 6) for cell in config.prior_sizes]
    assert sides == [21, 45, 99, 153, 207, 261]
    assert config.prior_sizes[5][1][0] * 300 == pytest.approx((261 * 315) ** 0.5)
    assert (config.clip, config.mean) == ("all", SSDConfig.caffe().mean)


def test_trained_on_several_gpus_and_in_half_precision(foreign, tmp_path):
    state = foreign(Amdegroot).state_dict()
    torch.save({f"module.{name}": tensor.half() for name, tensor in state.items()}, tmp_path / "a.pth")
    _, _, ours = read_weights(tmp_path / "a.pth")
    assert torch.equal(ours["base.conv4_2.weight"], state["vgg.19.weight"].half().float())
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}


def test_own_checkpoint(checkpoint):
    _, config, state = read_weights(checkpoint)
    model = load_checkpoint(checkpoint)
    assert config == model.config
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def golden_formats():
    folder = os.environ.get("SSD_WEIGHTS_FORMATS")
    if not folder:
        pytest.skip("SSD_WEIGHTS_FORMATS names no folder")
    return Path(folder)


@pytest.mark.parametrize("name", ["amdegroot", "lufficc", "sgrvinod", "torchvision"])
def test_golden(name, tmp_path, monkeypatch):
    folder = golden_formats()
    monkeypatch.syspath_prepend(str(folder))
    import deterministic

    golden = np.load(folder / f"{name}.golden.npz")
    shapes = json.loads((folder / f"{name}.json").read_text())["tensors"]
    state = {key: torch.from_numpy(value) for key, value in deterministic.weights(shapes, int(golden["seed"])).items()}
    torch.save({"model": state} if name == "lufficc" else state, tmp_path / "theirs.pth")
    assert main([str(tmp_path / "theirs.pth"), str(tmp_path / "ours.pth")]) == 0
    model = load_checkpoint(tmp_path / "ours.pth")
    pictures = torch.stack([torch.from_numpy(deterministic.image(seed)) for seed in (10, 11)])
    with torch.no_grad():
        outputs = model(normalise(pictures.permute(0, 3, 1, 2) / 255, model.config))
    stride = int(golden["stride"])
    assert_close([o[:, ::stride] for o in outputs], [torch.from_numpy(golden[k]) for k in ("locs", "scores")])
    np.testing.assert_allclose(model.priors_cxcy[::stride], golden["priors"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.priors_cxcy.double().sum(0), golden["priors_sum"], rtol=0, atol=1e-3)


def test_labels_without_a_class():
    config = TORCHVISION.config(91)
    assert (config.n_classes, len(config.class_names)) == (91, 90)
    assert config.unused_labels == (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    assert config.label_map["person"] == 1
    assert config.label_map["toothbrush"] == 90
    assert len(config.label_map) == 81
    assert len(COCO_CLASSES) == 80
