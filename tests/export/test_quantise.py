"""Eight-bit exports: the arithmetic of a few layers, and a whole model."""

import copy
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ssd.commands import export as command
from ssd.evaluation.evaluate import dataset_for
from ssd.export.engines import OnnxRuntimeModel, OpenVinoModel
from ssd.export.quantise import calibration_pictures, quantise
from ssd.export.write import OPSET
from tests.helpers.exports import session
from tests.helpers.scripts import refused


class Layers(nn.Module):
    """A few layers with names of the real ones, two with one bias, one with a bias of zeros."""

    def __init__(self):
        super().__init__()
        self.base = nn.Module()
        self.base.conv1_1, self.base.conv1_2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3)
        self.base.conv2_1 = nn.Conv2d(16, 16, 1)
        self.base.conv2_1.bias = self.base.conv1_2.bias  # the exporter keeps equal constants once
        self.pred_convs = nn.Module()
        self.pred_convs.cl_conv7 = nn.Conv2d(16, 4, 3)
        nn.init.zeros_(self.pred_convs.cl_conv7.bias)

    def forward(self, x):
        x = self.base.conv1_2(self.base.conv1_1(x).relu()).relu()
        return self.pred_convs.cl_conv7(nn.functional.max_pool2d(self.base.conv2_1(x).relu(), 2))


class Wrapped(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(images)


def to_onnx(network, images):
    batch = {"images": {0: torch.export.Dim("batch")}}
    program = torch.export.export(Wrapped(network), (images,), dynamic_shapes=batch, strict=False)
    exported = torch.onnx.export(program, dynamo=True, input_names=["images"], opset_version=OPSET, verbose=False)
    return exported.model_proto


@pytest.fixture(scope="module")
def layers():
    """The network, its ONNX graph in float32, and images."""
    torch.manual_seed(0)
    network, images = Layers().eval().requires_grad_(False), torch.randn(16, 3, 40, 40)
    network.base.conv1_2.weight[1] = 0  # a channel without weights has a bias alone
    return network, to_onnx(network, images), images


def in_eight_bits(proto, images):
    proto = quantise(onnx, copy.deepcopy(proto), images)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def test_a_few_layers_return_almost_the_same(layers):
    network, proto, images = layers
    expected = network(images).numpy()
    (found,) = session(in_eight_bits(proto, images).SerializeToString()).run(None, {"images": images.numpy()})
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


def test_what_is_in_integers(layers):
    _, proto, images = layers
    eight_bit = in_eight_bits(proto, images)
    constants = {each.name: onnx.numpy_helper.to_array(each) for each in eight_bit.graph.initializer}
    assert [str(array.dtype) for array in constants.values() if array.ndim == 4] == ["float32", "int8", "int8", "int8"]
    made_by = {name: node for node in eight_bit.graph.node for name in node.output}
    first, second, _, prediction = (node for node in eight_bit.graph.node if node.op_type == "Conv")
    assert first.input[0] == "images"
    pool = made_by[made_by[prediction.input[0]].input[0]].input[0]  # through the pair behind the pooling
    assert made_by[pool].op_type == "MaxPool"
    for read in (second.input[0], prediction.input[0], made_by[pool].input[0]):
        assert made_by[read].op_type == "DequantizeLinear"
        assert made_by[made_by[read].input[0]].op_type == "QuantizeLinear"
    assert eight_bit.graph.output[0].name == prediction.output[0]


@pytest.fixture(scope="module")
def lists(voc_folder, tmp_path_factory):
    """Data lists with twelve training pictures and nothing else: neither objects nor classes."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures = sorted(map(str, (voc_folder / "JPEGImages").iterdir()))
    (folder / "TRAIN_images.json").write_text(json.dumps((2 * pictures)[:12]))
    return folder


@pytest.fixture(scope="module")
def exported(files, lists):
    path = files / "int8.onnx"
    assert command.main([str(files / "model.pth"), str(path), "--int8", str(lists), "--calibration", "10"]) == 0
    return path


@pytest.mark.parametrize("engine", [OnnxRuntimeModel, OpenVinoModel])
def test_a_whole_model(engine, exported, model, images, expected):
    if engine is OpenVinoModel:
        pytest.importorskip("openvino")
    predictor = engine(exported, precision="fp32")
    assert predictor.config == model.config
    assert predictor.engine.endswith(", int8 and fp32")
    boxes, probabilities = predictor(images)
    assert (boxes - expected[0]).abs().mean() < 0.01
    assert (probabilities - expected[1]).abs().mean() < 0.02
    assert (boxes - expected[0]).abs().mean() > 1e-5
    with ThreadPoolExecutor(2) as threads:  # that share the model
        for found, *alone in zip(threads.map(predictor, images.split(1)), boxes, probabilities, strict=True):
            for one, other in zip(found, alone, strict=True):
                torch.testing.assert_close(one[0], other)


def test_size_and_description(exported, model):
    n_parameters = sum(tensor.numel() for tensor in model.parameters())
    assert exported.stat().st_size <= 1.05 * n_parameters
    loaded = onnx.load(exported)
    facts = {entry.key: json.loads(entry.value) for entry in loaded.metadata_props}
    assert (facts["precision"], facts["calibration_pictures"]) == ("int8", 10)


def test_pictures_are_drawn_with_a_seed(lists):
    paths = json.loads((lists / "TRAIN_images.json").read_text())
    drawn = [calibration_pictures(lists, 11, seed) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(drawn[0]) == 11
    assert set(drawn[0]) <= set(paths)
    assert sorted(calibration_pictures(lists, 200)) == sorted(paths)


def test_comparison_with_the_checkpoint(exported, model, data_folder):
    lines = command.compare(model, str(exported), dataset_for(model.config, data_folder)).splitlines()
    assert lines[0].split() == ["checkpoint", "int8.onnx"]
    rows = {line[:12].strip(): line.split()[-2:] for line in lines[1:]}
    assert all(0 <= float(text) <= 1 for text in rows["mAP voc07"])
    assert rows["images"] == ["4", "4"]


def test_wrong_input(files, lists, data_folder, tmp_path, capsys):
    checkpoint, out = files / "model.pth", tmp_path / "x.onnx"
    refused(capsys, command, [checkpoint, out, "--int8", tmp_path], "TRAIN_images.json: no such data list")
    refused(capsys, command, [checkpoint, out, "--int8", data_folder], "lists 4 pictures", "at least 10")
    refused(capsys, command, [checkpoint, out, "--int8", lists, "--calibration", 3], "--calibration", "at least 10")
    refused(capsys, command, [checkpoint, tmp_path / "x.pt2", "--int8", lists], "--int8 is for .onnx files")
    refused(capsys, command, [checkpoint, out, "--evaluate"], "--evaluate needs --int8")
    refused(capsys, command, [checkpoint, out, "--int8", lists, "--evaluate", "--with-nms"], "leave out one")
    refused(capsys, command, [checkpoint, out, "--int8", lists, "--evaluate"], "TEST_images.json: no such data list")
    assert not list(tmp_path.iterdir())
