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
from ssd.convert.layouts import (
    CAFFE,
    CAFFE_512,
    COCO_CLASSES,
    LAYOUTS,
    LUFFICC,
    LUFFICC_512,
    MMDETECTION,
    MMDETECTION_512,
    convert,
)
from ssd.errors import InputError
from tests.helpers.foreign_models import Amdegroot, Lufficc, Tutorial, save_tutorial
from tests.helpers.weights import assert_close, normalise, predictions, shapes_of

OLD_MMDETECTION = next(layout for layout in LAYOUTS if layout.project == "mmdetection before 2.14")
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
    ("torchvision", 2, None), ("sgrvinod", 91, None), ("the Caffe release", 21, VOC_CLASSES),
    ("the Caffe release", 81, COCO_CLASSES), ("mmdetection", 21, VOC_CLASSES), ("mmdetection", 81, COCO_CLASSES),
    ("mmdetection", 5, None),
])  # fmt: skip
def test_class_names(project, n_outputs, expected):
    layout = next(layout for layout in LAYOUTS if project in layout.project)
    config = layout.config(n_outputs)
    assert config.n_classes == n_outputs
    assert config.class_names == (expected or tuple(f"class_{k}" for k in range(1, n_outputs)))


VOC, COCO = (30, 60, 111, 162, 213, 264, 315), (21, 45, 99, 153, 207, 261, 315)
VOC_512, COCO_512 = (35, 76, 153, 230, 307, 384, 460, 537), (20, 51, 133, 215, 296, 378, 460, 542)
LUFFICC_COCO_512 = (20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72)


@pytest.mark.parametrize("layout, n_outputs, sizes, clip", [
    (LUFFICC, 81, COCO, "all"), (CAFFE, 81, COCO, "none"), (MMDETECTION, 81, COCO, "none"),
    (MMDETECTION, 5, COCO, "none"), (MMDETECTION, 21, VOC, "none"), (CAFFE, 5, VOC, "none"),
    (LUFFICC_512, 81, LUFFICC_COCO_512, "all"), (CAFFE_512, 5, VOC_512, "none"), (CAFFE_512, 81, COCO_512, "none"),
    (MMDETECTION_512, 5, COCO_512, "none"), (MMDETECTION_512, 21, VOC_512, "none"),
])  # fmt: skip
def test_priors_in_the_caffe_style(layout, n_outputs, sizes, clip):
    """COCO's networks begin with smaller sizes, and in mmdetection those of others than VOC's classes too."""
    config = layout.config(n_outputs)
    *smaller, last = sizes
    assert [round(cell[0][0] * config.input_size, 6) for cell in config.prior_sizes] == pytest.approx(smaller)
    assert config.prior_sizes[-1][1][0] * config.input_size == pytest.approx((smaller[-1] * last) ** 0.5)
    assert config.clip == clip


def numbered(layout, n_outputs=4):
    """A state dict of few numbers in a layout, all of which differ."""
    sizes = {layout.loc[0]: 4, layout.cl[0]: n_outputs}  # a map with one prior a cell
    state, n = {}, 0
    for name in layout.names.values():
        shape = (sizes.get(name.rpartition(".")[0], n_outputs), *((3, 1, 1) if name.endswith("weight") else ()))
        n += 100
        state[name] = torch.arange(n, n + np.prod(shape)).reshape(shape)
    return state


@pytest.mark.parametrize("layout", [CAFFE, CAFFE_512, MMDETECTION, MMDETECTION_512, OLD_MMDETECTION])
def test_only_the_first_weights_or_the_scores_are_reordered(layout):
    """Blue, green, red becomes red, green, blue; the last of the scores, the background's, comes first."""
    state = numbered(layout)
    config, ours = convert(layout, state)
    for name, theirs in layout.names.items():
        expected = state[theirs].float()
        if layout.bgr and name == "base.conv1_1.weight":
            expected = expected[:, [2, 1, 0]]
        elif not layout.bgr and name.startswith("pred_convs.cl"):
            expected = expected[[3, 0, 1, 2]]
        assert torch.equal(ours[name].flatten(), expected.flatten()), name
    mean = SSDConfig.caffe().mean if layout.bgr else (123.675 / 255, 116.28 / 255, 103.53 / 255)
    assert (config.mean, config.std, config.clip) == (mean, (1 / 255,) * 3, "none")


class HistoryBuffer(dict):
    """As in mmengine, whose file it is pickled in: an object of a class that is not there, with arrays inside."""

    def __init__(self):
        super().__init__(a=1)
        self.log = np.array([0.5, 0.25])


@pytest.mark.parametrize("key, holder", [("CLASSES", "meta"), ("classes", "dataset_meta")])
@pytest.mark.parametrize("layout", [MMDETECTION, OLD_MMDETECTION])
def test_mmdetection_with_what_is_pickled_beside_the_weights(layout, key, holder, tmp_path, monkeypatch):
    names = {key: ("car", "bus", "van")}
    meta = names if holder == "meta" else {"dataset_meta": names}
    meta |= {"epoch": np.int64(24), "loss": np.float64(0.5), "history": HistoryBuffer(), "rest": [np.bool_(True)]}
    monkeypatch.setattr(HistoryBuffer, "__module__", "mmengine")
    monkeypatch.setitem(sys.modules, "mmengine", sys.modules[__name__])
    torch.save({"meta": meta, "state_dict": shapes_of(layout, 4), "optimizer": {}}, tmp_path / "a.pth")
    monkeypatch.delitem(sys.modules, "mmengine")
    project, config, _ = read_weights(tmp_path / "a.pth")
    assert (project, config.class_names) == (f"{layout.project} with priors taken to be COCO's", ("car", "bus", "van"))


@pytest.mark.parametrize("names", [
    ("car", "bus"), ("car", "car", "bus"), ("car", "car", "bus", "van"), ("background", "car", "bus"), "abc", None,
])  # fmt: skip
def test_mmdetection_with_names_that_do_not_fit(names, tmp_path):
    torch.save({"meta": {"CLASSES": names}, "state_dict": shapes_of(MMDETECTION, 4)}, tmp_path / "a.pth")
    assert read_weights(tmp_path / "a.pth").config.class_names == ("class_1", "class_2", "class_3")


OWN = tuple(f"part {k}" for k in range(20))


@pytest.mark.parametrize("layout, names, n_outputs, sizes, guess", [
    (MMDETECTION, OWN, 21, COCO, "COCO"), (MMDETECTION, VOC_CLASSES, 21, VOC, ""), (MMDETECTION, None, 21, VOC, "VOC"),
    (MMDETECTION, COCO_CLASSES, 81, COCO, ""), (LUFFICC, None, 81, COCO, "COCO"), (TORCHVISION, None, 4, None, ""),
])  # fmt: skip
def test_whose_priors(layout, names, n_outputs, sizes, guess, tmp_path):
    """The stored names count more than their number; where there are none, a line says that the priors are a guess."""
    meta = {"meta": {"classes": names}} if names else {}
    torch.save(meta | {"state_dict": shapes_of(layout, n_outputs)}, tmp_path / "a.pth")
    weights = read_weights(tmp_path / "a.pth")
    assert weights.config.class_names[:3] == (names or layout.config(n_outputs).class_names)[:3]
    assert not sizes or weights.config.prior_sizes[0][0][0] * 300 == pytest.approx(sizes[0])
    words = f"{layout.project} with priors taken to be {guess}'s" if guess else layout.project
    assert weights.origin == f"weights of {words}, converted in memory"


def test_trained_on_several_gpus_and_in_half_precision(foreign, tmp_path):
    state = foreign(Amdegroot).state_dict()
    torch.save({f"module.{name}": tensor.half() for name, tensor in state.items()}, tmp_path / "a.pth")
    _, _, ours = read_weights(tmp_path / "a.pth")
    assert torch.equal(ours["base.conv4_2.weight"], state["vgg.19.weight"].half().float())
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}


def test_numbers_that_are_not_finite(tmp_path):
    state = shapes_of(MMDETECTION, 4)
    state["backbone.features.2.bias"] = torch.full((64,), torch.nan)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: tensor base\.conv1_2\.bias holds numbers that are not finite"):
        read_weights(tmp_path / "a.pth")


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


def write_golden(path, name, tensors):
    """The file that the project would write."""
    if name.startswith("caffe"):
        from caffemodel_writer import make_caffemodel

        return make_caffemodel(path, tensors)
    state = {key: torch.from_numpy(value) for key, value in tensors.items()}
    key = {"lufficc": "model", "mmdet": "state_dict"}.get(name.split("_")[0])
    return torch.save({"meta": {"epoch": 24}, key: state} if key else state, path)


@pytest.mark.parametrize("name", [
    "amdegroot", "lufficc", "sgrvinod", "torchvision", "caffe_ssd300_voc", "mmdet_ssd300_coco", "lufficc_ssd512_voc",
    "caffe_ssd512_voc", "mmdet_ssd512_coco",
])  # fmt: skip
def test_golden(name, tmp_path, monkeypatch):
    folder = golden_formats()
    monkeypatch.syspath_prepend(str(folder))
    import deterministic

    golden = np.load(folder / f"{name}.golden.npz")
    shapes = json.loads((folder / f"{name}.json").read_text())["tensors"]
    source = tmp_path / ("theirs.caffemodel" if name.startswith("caffe") else "theirs.pth")
    write_golden(source, name, deterministic.weights(shapes, int(golden["seed"])))
    assert main([str(source), str(tmp_path / "ours.pth")]) == 0
    model = load_checkpoint(tmp_path / "ours.pth")
    side = np.arange(model.config.input_size) % 300
    pictures = [torch.from_numpy(deterministic.image(seed)[np.ix_(side, side)]) for seed in (10, 11)]
    with torch.no_grad():
        locs, scores = model(normalise(torch.stack(pictures).permute(0, 3, 1, 2) / 255, model.config))
    if name.startswith("mmdet"):  # the background comes last
        scores = scores.roll(-1, dims=2)
    parts = {"": slice(None, None, int(golden["stride"]))} | ({"tail_": slice(-40, None)} if "tail" in golden else {})
    for prefix, part in parts.items():
        expected = [torch.from_numpy(golden[f"{prefix}{kind}"]) for kind in ("locs", "scores")]
        assert_close([locs[:, part], scores[:, part]], expected)
        np.testing.assert_allclose(model.priors_cxcy[part], golden[f"{prefix}priors"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.priors_cxcy.double().sum(0), golden["priors_sum"], rtol=0, atol=1e-3)


def test_labels_without_a_class():
    config = TORCHVISION.config(91)
    assert (config.n_classes, len(config.class_names)) == (91, 90)
    assert config.unused_labels == (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    assert config.label_map["person"] == 1
    assert config.label_map["toothbrush"] == 90
    assert len(config.label_map) == 81
    assert len(COCO_CLASSES) == 80
