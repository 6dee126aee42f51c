"""The command that converts weights."""

import torch

from ssd import SSD300, SSDConfig, load_checkpoint, save_checkpoint
from ssd.checkpoint import chosen_list
from ssd.commands import convert
from ssd.convert.layouts import LAYOUTS
from ssd.inference.predictor import for_inference
from tests.helpers.foreign_models import Amdegroot, randomise
from tests.helpers.networks import randomise_batch_norm
from tests.helpers.scripts import refused
from tests.helpers.weights import run_lines, shapes_of


def test_command(checkpoint, tmp_path, capsys):
    theirs = randomise(Amdegroot(4))
    torch.save(theirs.state_dict(), tmp_path / "theirs.pth")
    (tmp_path / "names.txt").write_text("__background__\nCâche\nN/A\nzebra crossing\n\n", encoding="utf-8")
    args = [tmp_path / "theirs.pth", tmp_path / "ours.pth", "--classes", tmp_path / "names.txt"]
    assert convert.main([str(arg) for arg in args]) == 0
    classes = "2 classes, 1 output without a class: Câche, zebra crossing"
    assert f"amdegroot/ssd.pytorch with priors taken to be VOC's, SSD300, {classes}" in capsys.readouterr().out
    assert load_checkpoint(tmp_path / "ours.pth").config.class_names == ("Câche", "", "zebra crossing")

    assert convert.main([str(tmp_path / "ours.pth"), str(tmp_path / "back.pth"), "--to-torchvision"]) == 0
    model, names = run_lines(capsys.readouterr().out)  # everything printed is Python
    assert names == ["__background__", "Câche", "N/A", "zebra crossing"]
    assert torch.equal(model.backbone.features[0].weight, theirs.vgg[0].weight)


def test_batch_normalisation_is_folded_for_torchvision(tmp_path, capsys):
    model = SSD300(SSDConfig(class_names=("cat", "dog"), backbone="vgg16_bn"))
    randomise_batch_norm(model)
    save_checkpoint(tmp_path / "ours.pth", model)
    assert convert.main([str(tmp_path / "ours.pth"), str(tmp_path / "theirs.pth"), "--to-torchvision"]) == 0
    told = capsys.readouterr().out
    assert "2 classes: cat, dog; batch normalisation, which torchvision's network lacks, is folded into" in told
    theirs, _ = run_lines(told)
    folded = for_inference(model, "cpu", torch.float32)
    assert torch.equal(theirs.backbone.features[0].weight, folded.base.conv1_1.weight)


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
        "tensor": ("not a known SSD format", "found no names"), "empty": ("found no names",),
        "numbers": ("the first names are 1",), "vgg": ("VGG16 without a detector", "train.py --weights"),
        "lacking": ("looks like lufficc/SSD, but lacks backbone.vgg.33.bias;",),
        "ssd512": ("also has backbone.extras.8.weight and 1 more",), "shape": ("base.conv1_2.weight",),
        "values": ("looks like lufficc/SSD",), "strings": ("looks like lufficc/SSD",), "scores": ("16 offsets and 13",),
    }.items():  # fmt: skip
        torch.save(contents[name], tmp_path / f"{name}.pth")
        refused(capsys, convert, [tmp_path / f"{name}.pth", tmp_path / "x.pth"], f"{name}.pth: ", *words)
    (tmp_path / "text.pth").write_text("hello")
    for name, words in {"text.pth": "damaged", "missing.pth": "no such file", "": "a folder"}.items():
        refused(capsys, convert, [tmp_path / name, tmp_path / "x.pth"], words)
    assert not (tmp_path / "x.pth").exists()


def test_destinations(checkpoint, tmp_path, capsys):
    refused(capsys, convert, [checkpoint, checkpoint], "is the source itself")
    refused(capsys, convert, [checkpoint, tmp_path / "no" / "x.pth"], "no such folder")
    refused(capsys, convert, [checkpoint, tmp_path], "a folder; name the file")
    (tmp_path / "a.txt").write_text("one")
    refused(capsys, convert, [checkpoint, tmp_path / "x.pth", "--classes", tmp_path / "a.txt"], "1 class names")
    assert not (tmp_path / "x.pth").exists()
    assert load_checkpoint(checkpoint)


def test_to_torchvision_is_a_pth_file(checkpoint, tmp_path, capsys):
    args = [checkpoint, tmp_path / "a.safetensors", "--to-torchvision"]
    refused(capsys, convert, args, "--to-torchvision writes a .pth file")


def test_own_checkpoint_as_safetensors(checkpoint, tmp_path, capsys):
    model, choice = load_checkpoint(checkpoint), {"split": "val", "digest": "abc"}
    save_checkpoint(tmp_path / "a.pth", model, chosen_on=choice)
    for source, destination in (("a.pth", "a.safetensors"), ("a.safetensors", "b.pth")):
        assert convert.main([str(tmp_path / source), str(tmp_path / destination)]) == 0
        assert "a checkpoint of ours, SSD300, 4 classes" in capsys.readouterr().out
    again = load_checkpoint(tmp_path / "b.pth")
    assert again.config == model.config
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert chosen_list(tmp_path / "b.pth") == choice
