import json
import pickle
import re
import sys

import pytest
import torch
from safetensors.torch import save_file

from ssd import SSD300, SSD512, SSDConfig, load_checkpoint, save_checkpoint
from ssd.checkpoint import chosen_list, load_training_state, write_checkpoint
from ssd.errors import InputError

CONFIG = SSDConfig.caffe(class_names=("cat", "dog"), backbone="vgg16_bn")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SSD300(CONFIG)


def test_round_trip(model, tmp_path):
    save_checkpoint(tmp_path / "a.pth", model)
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert loaded.config == CONFIG
    assert not loaded.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert torch.equal(loaded.priors_cxcy, model.priors_cxcy)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]  # no temporary file is left


def test_safetensors(model, tmp_path):
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, model, chosen_on={"split": "val", "digest": "abc"})
    loaded = load_checkpoint(path)
    assert loaded.config == CONFIG
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert chosen_list(path) == {"split": "val", "digest": "abc"}
    with pytest.raises(InputError, match="contains a model but no training state"):
        load_training_state(path)
    with pytest.raises(InputError, match=r"b\.safetensors: .*cannot hold the state of a training run; name a \.pth"):
        save_checkpoint(tmp_path / "b.safetensors", model, {"iteration": 7})
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_safetensors_of_others(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"a\.safetensors: not a checkpoint of this project"):
        load_checkpoint(path)
    with pytest.raises(InputError, match=r"b\.safetensors: no such file"):
        load_checkpoint(tmp_path / "b.safetensors")


NO_OBJECT = r"damaged, or no file of weights \(the metadata ssd300 is no JSON object\); give"
OTHER_TYPE = r"contents do not fit \(a part is missing or of another type\); give"


@pytest.mark.parametrize("metadata, message", [
    ("{", NO_OBJECT), ("[]", NO_OBJECT), ("null", NO_OBJECT), ("[" * 100_000, NO_OBJECT),
    ({"version": "1\n2"}, r"checkpoint version '1\\n2', but this program reads 1"), ({}, OTHER_TYPE),
    ({"config": 5}, r"contents do not fit \(the config is no dict\)"),
    ({"config": {"n": 1}}, r"contents do not fit \(the config has the unknown field 'n'\)"),
    ({"config": {"prior_sizes": 5}}, OTHER_TYPE),
])  # fmt: skip
def test_hostile_metadata(metadata, message, tmp_path):
    """One plain sentence, never Python's words."""
    if isinstance(metadata, dict):
        metadata = json.dumps({"format": "ssd300", "version": 1} | metadata)
    save_file({"x": torch.ones(1)}, tmp_path / "a.safetensors", {"ssd300": metadata})
    with pytest.raises(InputError, match=rf"a\.safetensors: .*{message}"):
        load_checkpoint(tmp_path / "a.safetensors")


@pytest.mark.parametrize("chosen_on", [5, [], {}, "digest"])
def test_choice_that_cannot_be_read(chosen_on, tmp_path):
    metadata = json.dumps({"format": "ssd300", "version": 1, "chosen_on": chosen_on})
    save_file({"x": torch.ones(1)}, tmp_path / "a.safetensors", {"ssd300": metadata})
    assert chosen_list(tmp_path / "a.safetensors") is None


def test_without_safetensors(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    missing = r'safetensors is needed for \.safetensors files \(extra "weights"\): pip install safetensors'
    with pytest.raises(InputError, match=missing):
        save_checkpoint(tmp_path / "a.safetensors", model)
    with pytest.raises(InputError, match=missing):
        load_checkpoint(tmp_path / "a.safetensors")


def test_the_class_is_the_one_of_the_config(tmp_path):
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in SSD512().state_dict().items()}
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}  # hardly any memory
    write_checkpoint(tmp_path / "a.pth", SSD512.default, state)
    loaded = load_checkpoint(tmp_path / "a.pth")
    assert type(loaded) is SSD512 and loaded.config == SSDConfig.of_size(512)


def test_names_of_before(model, tmp_path):
    """Batch normalisation stood beside its convolution: base.bn1_1.weight, now base.conv1_1.norm.weight."""
    state = model.state_dict()
    old = {re.sub(r"conv(\w+)\.norm", r"bn\1", name): tensor for name, tensor in state.items()}
    assert {"base.bn1_1.running_var", "base.bn7.weight", "aux_convs.bn10_2.bias"} <= old.keys()
    write_checkpoint(tmp_path / "old.pth", CONFIG, old, {"iteration": 1, "average": old})
    loaded = load_checkpoint(tmp_path / "old.pth").state_dict()
    average = load_training_state(tmp_path / "old.pth")["average"]
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor), name
        assert torch.equal(average[name], tensor), name


def test_training_state(model, tmp_path):
    save_checkpoint(tmp_path / "a.pth", model, {"iteration": 7, "tensor": torch.ones(2)})
    assert load_training_state(tmp_path / "a.pth")["iteration"] == 7
    save_checkpoint(tmp_path / "b.pth", model)
    with pytest.raises(InputError, match=r"b\.pth: contains a model but no training state"):
        load_training_state(tmp_path / "b.pth")


def test_the_list_that_chose_the_model(model, tmp_path):
    save_checkpoint(tmp_path / "chosen.pth", model, chosen_on={"split": "val", "digest": "abc"})
    assert chosen_list(tmp_path / "chosen.pth") == {"split": "val", "digest": "abc"}
    save_checkpoint(tmp_path / "only.pth", model)
    assert chosen_list(tmp_path / "only.pth") is None
    content = torch.load(tmp_path / "only.pth", weights_only=True)
    del content["chosen_on"]  # as earlier versions wrote it
    torch.save(content, tmp_path / "older.pth")
    assert chosen_list(tmp_path / "older.pth") is None


def test_file_is_plain_data(model, tmp_path):
    save_checkpoint(tmp_path / "a.pth", model)
    content = torch.load(tmp_path / "a.pth", weights_only=True)
    assert content["config"]["class_names"] == ("cat", "dog")


def test_failed_save_leaves_the_old_file(model, tmp_path):
    save_checkpoint(tmp_path / "a.pth", model)
    before = (tmp_path / "a.pth").read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        save_checkpoint(tmp_path / "a.pth", model, {"not data": lambda: None})
    assert (tmp_path / "a.pth").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


class Payload:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_bad_files(model, tmp_path):
    save_checkpoint(tmp_path / "good.pth", model)
    content = torch.load(tmp_path / "good.pth", weights_only=True)
    good = (tmp_path / "good.pth").read_bytes()
    (tmp_path / "truncated.pth").write_bytes(good[: len(good) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    (tmp_path / "text.pth").write_text("hello")
    torch.save({"weights": torch.ones(1)}, tmp_path / "other.pth")
    torch.save(content | {"version": 99}, tmp_path / "newer.pth")
    torch.save(content | {"config": content["config"] | {"colour": 1}}, tmp_path / "config.pth")
    torch.save(content | {"config": content["config"] | {"backbone": "vgg16"}}, tmp_path / "misfit.pth")
    lacking = {name: tensor for name, tensor in content["model"].items() if name != "base.conv7.bias"}
    torch.save(content | {"model": lacking}, tmp_path / "lacking.pth")
    torch.save(content | {"model": [1]}, tmp_path / "no_model.pth")
    torch.save(Payload(str(tmp_path / "created")), tmp_path / "payload.pth")
    for name, message in {
        "missing": "no such file", "truncated": "damaged", "empty": "damaged", "text": "damaged",
        "other": "not a checkpoint of this project", "newer": "version 99", "config": "do not fit.*colour",
        "lacking": "conv7.bias is missing", "no_model": "do not fit",
        "misfit": "do not fit.*tensor base.conv1_1.norm.weight", "payload": "damaged, or no file of weights",
    }.items():  # fmt: skip
        with pytest.raises(InputError, match=rf"{name}\.pth: .*{message}") as error:
            load_checkpoint(tmp_path / f"{name}.pth")
        assert "\n" not in str(error.value) and "weights_only" not in str(error.value)
    assert not (tmp_path / "created").exists()


def test_reasons_are_short(model, tmp_path):
    """Not PyTorch's three sentences on its zip library, nor the name of an exception."""
    save_checkpoint(tmp_path / "cut.pth", model)
    whole = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "onnx.pth").write_bytes(b"hello")
    (tmp_path / "model.pt2").write_bytes(whole)
    for name, message in {
        "cut.pth": r"damaged, or no file of weights \([^.]*: [^.]*\); give",
        "onnx.pth": "damaged, or no file of weights; give",
        "model.pt2": "an exported model, which can only be run; give the checkpoint that it was made from",
    }.items():
        with pytest.raises(InputError, match=f"{name}: {message}"):
            load_checkpoint(tmp_path / name)
