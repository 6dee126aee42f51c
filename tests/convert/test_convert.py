"""Other people's SSD300 weights: what comes out of a converted file is what came out of theirs."""

import json
import os
import sys
import urllib.error
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models.detection import SSD300_VGG16_Weights, ssd300_vgg16
from torchvision.models.detection.image_list import ImageList

import detect
from ssd import SSD300, SSDConfig, create_prior_boxes, detect_objects, load_checkpoint
from ssd.checkpoint import write_checkpoint
from ssd.commands import eval as evaluation
from ssd.commands.convert import main
from ssd.config import VOC_CLASSES, prior_sizes
from ssd.convert import building_lines, read_weights, to_torchvision
from ssd.convert.classes import read_class_names
from ssd.convert.layouts import COCO_CLASSES, LAYOUTS
from ssd.convert.torchvision import from_torchvision, torchvision_order
from ssd.errors import InputError, first_line
from ssd.model.boxes import cxcy_to_xy
from ssd.pretrained import coco_checkpoint
from tests.helpers.foreign_models import Amdegroot, Lufficc, Tutorial, randomise, save_tutorial

N_CLASSES = 4
TORCHVISION = next(layout for layout in LAYOUTS if "torchvision" in layout.project)


@pytest.fixture(scope="module")
def images():
    """A batch of one smooth picture, 0-1 RGB."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 20, 20, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(300, 300), mode="bilinear").clamp(0, 1)


@pytest.fixture(scope="module")
def foreign():
    """A model of each project that stores plain tensors or a pickle, made when it is asked for."""
    made = {}

    def model(cls):
        if cls not in made:
            torch.manual_seed(len(made))
            made[cls] = randomise(cls(N_CLASSES))
        return made[cls]

    return model


@pytest.fixture(scope="module")
def theirs():
    """torchvision's own SSD300 with few classes, whose scores are spread out."""
    torch.manual_seed(0)
    model = randomise(ssd300_vgg16(weights=None, weights_backbone=None, num_classes=N_CLASSES))
    for module in model.head.classification_head.module_list:
        module.weight.data.mul_(0.1)
    return model


def normalise(images, config):
    return (images - torch.tensor(config.mean).view(3, 1, 1)) / torch.tensor(config.std).view(3, 1, 1)


@torch.no_grad()
def predictions(config, state, images):
    """Raw predictions of our network, whose state dict has to fit exactly."""
    model = SSD300(config).eval()
    model.load_state_dict(state)
    return model(normalise(images, config))


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert ((a - b).norm() / b.norm()).item() < 1e-5


def refused(capsys, args, *words):
    """The command refuses with one line that has these words."""
    assert main([str(arg) for arg in args]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    for word in words:
        assert str(word) in lines[0]


# -- the layouts


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


def shapes_of(layout, n_outputs, n_priors=(4, 6, 6, 6, 4, 4)):
    """A state dict in a layout whose tensors take no memory, though their shapes are right."""
    with torch.device("meta"):
        own = SSD300(SSDConfig(class_names=[f"c{k}" for k in range(n_outputs - 1)])).state_dict()
    state = {theirs: torch.zeros(()).expand(own[ours].shape) for ours, theirs in layout.names.items()}
    state[layout.scale] = torch.zeros(1, 512, 1, 1) if "rescale" in layout.scale else torch.zeros(512)
    return state


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


# -- files of all four projects with known outputs


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


# -- labels without a class


def test_labels_without_a_class():
    config = TORCHVISION.config(91)
    assert (config.n_classes, len(config.class_names)) == (91, 90)
    assert config.unused_labels == (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
    assert config.label_map["person"] == 1
    assert config.label_map["toothbrush"] == 90
    assert len(config.label_map) == 81
    assert len(COCO_CLASSES) == 80


def test_labels_without_a_class_are_never_detected():
    torch.manual_seed(0)
    locs, scores, priors = torch.randn(1, 50, 4), torch.randn(1, 50, 4), create_prior_boxes(SSDConfig())[:50]
    scores[0, :, 2] += 5  # nearly every prior's best
    everything = detect_objects(locs, scores, priors, 0.0, 0.45, 1000)
    assert 2 in everything[1][0]
    boxes, labels, found = detect_objects(locs, scores, priors, 0.0, 0.45, 1000, unused=(2,))
    kept = everything[1][0] != 2  # what else is found stays as it is: scores, boxes and order
    for a, b in zip((boxes, labels, found), everything, strict=True):
        assert torch.equal(a[0], b[0][kept])


@torch.no_grad()
def test_a_model_detects_no_label_without_a_class(ours, images):
    locs, scores = ours(normalise(images, ours.config))
    scores[:, ::2, 2] += 5
    _, labels, _ = ours.detect_objects(locs, scores, 0.0, 0.45, 10_000)
    assert {label for image in labels for label in image.tolist()} == {1, 3}


# -- to torchvision and back


@pytest.fixture(scope="module")
def ours():
    torch.manual_seed(0)
    model = randomise(SSD300(SSDConfig(class_names=("cat", "", "dog"))))
    for name, parameter in model.pred_convs.named_parameters():
        parameter.data.mul_(0.1 if name.startswith("cl") else 0.01)  # torchvision clamps offsets that are out of reason
    return model


CONVENTIONS = {
    "default": SSDConfig, "tutorial": SSDConfig.tutorial, "caffe": SSDConfig.caffe,
    "clipped caffe": lambda **changes: SSDConfig.caffe(clip="all", **changes),
}  # fmt: skip


def run_lines(lines):
    scope = {}
    exec(lines, scope)
    return scope["model"], scope["names"]


@pytest.mark.parametrize("convention", CONVENTIONS)
@torch.no_grad()
def test_to_torchvision_and_back(convention, ours, images, tmp_path):
    """The printed lines build the model that has the same priors and detections; the file comes back bit for bit."""
    ours.config = CONVENTIONS[convention](class_names=("cat", "", "dog"))
    ours.priors_cxcy.copy_(create_prior_boxes(ours.config))
    ours.base.conv1_1.weight.div_(ours.base.conv1_1.weight.std() / ours.config.std[0])  # activations alike in all
    path = tmp_path / "it's.pth"
    torch.save(to_torchvision(ours.config, ours.state_dict()), path)

    _, config, state = read_weights(path)
    assert config == ours.config
    assert all(torch.equal(state[name], tensor) for name, tensor in ours.state_dict().items())
    assert state.keys() == ours.state_dict().keys()

    model, names = run_lines(building_lines(ours.config, path))
    assert names == ["__background__", "cat", "N/A", "dog"]
    maps = [torch.zeros(1, 1, cells, cells) for cells in config.feature_maps]
    anchors = model.anchor_generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)[0]
    sizes = tuple(tuple(cell[k] for k in torchvision_order(cell)) for cell in config.prior_sizes)
    priors = create_prior_boxes(replace(config, prior_sizes=sizes))
    torch.testing.assert_close(anchors, cxcy_to_xy(priors) * 300, rtol=0, atol=1e-3)

    model.score_thresh, model.nms_thresh, model.detections_per_img = 0.3, 0.45, 200
    found = model(list(images))
    locs, scores = ours(normalise(images, ours.config))
    expected = detect_objects(locs, scores, ours.priors_cxcy, 0.3, 0.45, 200)  # torchvision knows no unused labels
    assert all(len(image["scores"]) > 20 for image in found)
    for image, boxes, labels, image_scores in zip(found, *expected, strict=True):
        torch.testing.assert_close(image["scores"], image_scores, rtol=1e-3, atol=1e-5)
        assert torch.equal(image["labels"], labels)
        torch.testing.assert_close(image["boxes"], boxes * 300, rtol=0, atol=0.01)


def test_torchvision_to_ours_and_back(theirs):
    state = theirs.state_dict()
    config, ours = from_torchvision(state)
    again = to_torchvision(config, ours)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    lines = building_lines(config, "x.pth")
    assert "scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]" in lines  # those of torchvision
    assert "steps=[8.0, 16.0, 32.0, 64.0, 100.0, 300.0]" in lines
    assert "Clipped" not in lines
    assert "_wh_pairs" not in lines


def test_torchvision_order():
    order = (2, 1 / 3, 1, 1 / 2, "extra", 3)
    sizes = prior_sizes((0.2,) * 6, (0.3,) * 6, order)[1]
    expected = [1, "extra", 2, 1 / 2, 3, 1 / 3]
    assert [order[k] for k in torchvision_order(sizes)] == expected


def test_what_torchvision_has_no_network_for(tmp_path, capsys):
    with pytest.raises(InputError, match="no batch normalisation"):
        to_torchvision(SSDConfig(backbone="vgg16_bn"), {})
    with pytest.raises(InputError, match="variances"):
        to_torchvision(SSDConfig(variances=(0.1, 0.1)), {})


# -- the command


def test_command(foreign, checkpoint, tmp_path, capsys):
    torch.save(foreign(Amdegroot).state_dict(), tmp_path / "theirs.pth")
    (tmp_path / "names.txt").write_text("__background__\nCâche\nN/A\nzebra crossing\n\n", encoding="utf-8")
    args = [tmp_path / "theirs.pth", tmp_path / "ours.pth", "--classes", tmp_path / "names.txt"]
    assert main([str(arg) for arg in args]) == 0
    assert (
        "amdegroot/ssd.pytorch, 2 classes, 1 outputs without a class: Câche, zebra crossing" in capsys.readouterr().out
    )
    assert load_checkpoint(tmp_path / "ours.pth").config.class_names == ("Câche", "", "zebra crossing")

    assert main([str(tmp_path / "ours.pth"), str(tmp_path / "back.pth"), "--to-torchvision"]) == 0
    model, names = run_lines(capsys.readouterr().out)  # everything printed is Python
    assert names == ["__background__", "Câche", "N/A", "zebra crossing"]
    assert torch.equal(model.backbone.features[0].weight, foreign(Amdegroot).vgg[0].weight)


@pytest.mark.parametrize("name, text, message", [
    ("a.txt", "one\ntwo\n", "2 class names, but the network has 3 classes"),
    ("a.txt", "one\ntwo\ntwo\n", "two comes twice"),
    ("a.txt", "one\ntwo\nbackground\n", 'a class is called "background"'),
    ("a.txt", b"\xff\xfe", "not a text in UTF-8"),
    ("a.json", '["one"]', "holds no label map"),
    ("a.json", '{"one": "1", "two": 2}', "holds no label map"),
    ("a.json", '{"one": 1, "two": 2, "too": 2, "three": 3}', "holds no label map"),
    ("a.json", '{"one": 0, "two": 1, "three": 2}', "2 class names"),
    ("a.json", "{}", "holds no label map"),
    ("a.json", "one", "holds no label map"),
])  # fmt: skip
def test_bad_class_names(name, text, message, tmp_path):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        read_class_names(tmp_path / name, 3)


def test_label_map_as_class_names(tmp_path):
    (tmp_path / "label_map.json").write_text('{"wolf": 4, "background": 0, "cat": 1, "dog": 2}')
    assert read_class_names(tmp_path / "label_map.json", 4) == ("cat", "dog", "", "wolf")


def test_files_that_are_none_of_these(tmp_path, capsys):
    lufficc = next(layout for layout in LAYOUTS if "lufficc" in layout.project)
    state = {name: tensor for name, tensor in shapes_of(lufficc, 3).items()}
    wrong_shape = state | {"backbone.vgg.2.weight": torch.zeros(64, 64, 1, 1)}
    contents = {
        "other": {"layer1.weight": torch.zeros(1), "layer1.bias": torch.zeros(1)},
        "tensor": torch.zeros(3), "empty": {}, "numbers": {1: 2},
        "vgg": {f"{k}.weight": torch.zeros(1) for k in (0, 33)},
        "lacking": {name: tensor for name, tensor in state.items() if name != "backbone.vgg.33.bias"},
        "ssd512": state | {"backbone.extras.8.weight": torch.zeros(1), "backbone.extras.8.bias": torch.zeros(1)},
        "shape": wrong_shape, "values": dict.fromkeys(state, 3), "strings": dict.fromkeys(state, "x"),
        "scores": state | {"box_head.predictor.cls_headers.0.bias": torch.zeros(13)},
    }  # fmt: skip
    for name, words in {
        "other": ("vgg.0.weight (amdegroot", "backbone.vgg.0.weight (lufficc", "base.conv1_1.weight (sgrvinod",
                  "backbone.features.0.weight (torchvision", "the first names are layer1.weight, layer1.bias"),
        "tensor": ("holds no SSD300 that is known", "found no names"), "empty": ("found no names",),
        "numbers": ("the first names are 1",), "vgg": ("VGG16 without a detector", "train.py --weights"),
        "lacking": ("begins as lufficc/SSD, but lacks backbone.vgg.33.bias;",),
        "ssd512": ("has backbone.extras.8.weight and 1 more besides",), "shape": ("base.conv1_2.weight",),
        "values": ("begins as lufficc/SSD",), "strings": ("begins as lufficc/SSD",), "scores": ("16 offsets and 13",),
    }.items():  # fmt: skip
        torch.save(contents[name], tmp_path / f"{name}.pth")
        refused(capsys, [tmp_path / f"{name}.pth", tmp_path / "x.pth"], f"{name}.pth: ", *words)
    (tmp_path / "text.pth").write_text("hello")
    for name, words in {"text.pth": "damaged", "missing.pth": "no such file", "": "a folder"}.items():
        refused(capsys, [tmp_path / name, tmp_path / "x.pth"], words)
    assert not (tmp_path / "x.pth").exists()


def test_what_an_exception_says():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError(" ")) == "ValueError"
    assert first_line(KeyError(101)) == "KeyError"


def test_destinations(checkpoint, tmp_path, capsys):
    refused(capsys, [checkpoint, checkpoint], "is the source itself")
    refused(capsys, [checkpoint, tmp_path / "no" / "x.pth"], "no such folder")
    refused(capsys, [checkpoint, tmp_path], "a folder; name the file")
    (tmp_path / "a.txt").write_text("one")
    refused(capsys, [checkpoint, tmp_path / "x.pth", "--classes", tmp_path / "a.txt"], "1 class names")
    assert not (tmp_path / "x.pth").exists()
    assert load_checkpoint(checkpoint)


# -- COCO on the first day


@pytest.fixture
def coco_download(tmp_path, monkeypatch, theirs):
    """An empty cache, and a download that gives 91 outputs at once; how often it was asked for."""
    asked = []

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
    args = ["coco", str(tmp_path / "copy.pth")]
    assert main(args) == 0
    assert "80 classes, 10 outputs without a class: person, bicycle" in capsys.readouterr().out


def test_evaluation_of_a_model_of_more_classes(data_folder, checkpoint, tmp_path):
    """The same network with its outputs in another order and others without a class gives the same figures."""
    _, config, state = read_weights(checkpoint)  # circle, square, star, triangle
    names = ("triangle", "hexagon", "", "circle", "star", "square")
    old = ("background", *config.class_names)
    columns = [old.index(name) if name in old else None for name in ("background", *names)]
    for name in [name for name in state if name.startswith("pred_convs.cl_")]:
        by_class = state[name].unflatten(0, (-1, 5))  # (n_priors, n_classes, ...)
        never = -1e4 if name.endswith("bias") else 0.0
        columns_of = [by_class[:, c] if c is not None else torch.full_like(by_class[:, 0], never) for c in columns]
        columns_of[2] = by_class[:, 1] if name.endswith("weight") else by_class[:, 1] - 20  # hexagon: low scores
        state[name] = torch.stack(columns_of, 1).flatten(0, 1)
    write_checkpoint(tmp_path / "more.pth", replace(config, class_names=names), state)
    figures = []
    for path in (checkpoint, tmp_path / "more.pth"):
        args = ["--checkpoint", path, "--data", data_folder, "--json", tmp_path / "figures.json", "--workers", 0]
        assert evaluation.main([str(arg) for arg in args]) == 0
        figures.append(json.loads((tmp_path / "figures.json").read_text())["classes"])
    assert [entry["name"] for entry in figures[1]] == ["circle", "square", "star", "triangle"]
    for a, b in zip(*figures, strict=True):
        assert a["detections"] == pytest.approx(b["detections"], rel=0.02)
        assert a["ap_voc07"] == pytest.approx(b["ap_voc07"], abs=1e-3)


def test_coco_without_a_network(tmp_path, capsys, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    refused(
        capsys,
        ["coco", tmp_path / "x.pth"],
        "no network here",
        "https://download.pytorch.org/",
        "python -m ssd.convert",
        "train.py",
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
