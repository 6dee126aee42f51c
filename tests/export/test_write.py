"""Exported files against the model that they were made of."""

import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ssd import SSD300
from ssd.commands import export as command
from ssd.errors import InputError
from ssd.export.engines import OnnxRuntimeModel, OpenVinoModel
from ssd.export.write import FACTS, export, selection
from ssd.model.postprocess import select_detections
from ssd.pretrained import load_trained
from tests.helpers.exports import NMS, assert_same_detections, session
from tests.helpers.scripts import refused


def run_pt2(path, images):
    return torch.export.load(path).module()(images)


def run_onnx(path, images):
    return OnnxRuntimeModel(path, "cpu")(images)


def run_openvino(path, images):
    pytest.importorskip("openvino")
    return OpenVinoModel(path, "fp32")(images)


@pytest.mark.parametrize("name, run", [("model.onnx", run_onnx), ("model.onnx", run_openvino), ("model.pt2", run_pt2)])
@pytest.mark.parametrize("n", [1, 3])
def test_raw_outputs(files, images, expected, name, run, n):
    boxes, probabilities = run(files / name, images[:n])
    assert boxes.shape == (n, 8732, 4)
    assert (probabilities.sum(dim=2) - 1).abs().max() < 1e-5
    torch.testing.assert_close(boxes, expected[0][:n], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probabilities, expected[1][:n], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n", [1, 3])
def test_detections_of_the_file_with_nms(files, images, expected, n):
    outputs = session(files / "nms.onnx").run(["boxes", "labels", "scores", "counts"], {"images": images[:n].numpy()})
    wanted = select_detections(*(tensor[:n] for tensor in expected), **NMS)
    for boxes, labels, scores, count, *one in zip(*outputs, *wanted, strict=True):
        assert boxes.shape == (50, 4)
        assert 0 < count == len(one[0])
        found = boxes[:count], labels[:count], scores[:count]
        assert_same_detections(found, [tensor.numpy() for tensor in one], side=300)
        assert (np.diff(scores) <= 0).all()
        assert not boxes[count:].any() and not labels[count:].any() and not scores[count:].any()


@pytest.mark.parametrize("settings", [
    NMS, {"min_score": 0.0, "max_overlap": 0.0, "top_k": 10}, {"min_score": 1e-5, "max_overlap": 1.0, "top_k": 9999},
    {"min_score": 0.01, "max_overlap": 0.45, "top_k": 200}, {"min_score": 1.0, "max_overlap": 0.5, "top_k": 3},
])  # fmt: skip
@pytest.mark.parametrize("n_priors", [30, 900])
@pytest.mark.parametrize("unused", [(), (2,)])
def test_selection_alone(settings, n_priors, unused, n=3, columns=4):
    generator = torch.Generator().manual_seed(n_priors)
    corner = torch.rand(n, n_priors, 2, generator=generator)
    boxes = torch.cat([corner, corner + 0.3 * torch.rand(n, n_priors, 2, generator=generator)], dim=2).clamp(0, 1)
    boxes[:, ::10] = boxes[:, :1]  # the same box again, and one without an area
    boxes[:, 5, 2:] = boxes[:, 5, :2]
    logits = 3 * torch.randn(n, n_priors, columns, generator=generator)
    logits[1, :, 0] = 200  # nothing but background in the second image
    probabilities = logits.softmax(dim=2)
    chooser = session(selection(onnx, n_priors, columns, **settings, unused=unused).SerializeToString())
    for start, stop in ((0, 3), (1, 2), (2, 3)):
        inputs = {"all_boxes": boxes[start:stop].numpy(), "all_probabilities": probabilities[start:stop].numpy()}
        outputs = chooser.run(["boxes", "labels", "scores", "counts"], inputs)
        wanted = select_detections(boxes[start:stop], probabilities[start:stop], **settings, unused=unused)
        for *found, count, wanted_boxes, wanted_labels, wanted_scores in zip(*outputs, *wanted, strict=True):
            assert count == len(wanted_boxes)
            assert len(found[0]) == min(settings["top_k"], 3 * min(400, n_priors))
            for theirs, ours in zip(found, (wanted_boxes, wanted_labels, wanted_scores), strict=True):
                assert np.array_equal(theirs[:count], ours.numpy())
                assert not theirs[count:].any()


def test_onnx_metadata(files, model):
    loaded = onnx.load(files / "nms.onnx", load_external_data=False)
    onnx.checker.check_model(loaded)
    facts = {entry.key: json.loads(entry.value) for entry in loaded.metadata_props}
    assert facts["class_names"] == ["circle", "square", "star", "triangle"]
    assert facts["mean"] == list(model.config.mean)
    assert facts["std"] == list(model.config.std)
    assert {name: facts[name] for name in NMS} == NMS
    shapes = {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in loaded.graph.output}
    assert shapes == {"boxes": ["batch", 50, 4], "labels": ["batch", 50], "scores": ["batch", 50], "counts": ["batch"]}
    assert [d.dim_param for d in loaded.graph.input[0].type.tensor_type.shape.dim] == ["batch", "", "", ""]


def test_pt2_description(files, model):
    with zipfile.ZipFile(files / "model.pt2") as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(FACTS)]
        facts = json.loads(archive.read(name))
    assert (facts["format"], facts["nms"], facts["min_score"]) == ("ssd300 export", False, 0.2)
    assert facts["class_names"] == list(model.config.class_names)


@pytest.mark.parametrize("name", ["model.onnx", "nms.onnx", "model.pt2"])
def test_nothing_of_this_machine_is_in_the_file(files, name):
    content = (files / name).read_bytes()
    assert str(Path(__file__).parents[2]).encode() not in content
    assert b"site-packages" not in content


def test_batch_norm_is_folded(files):
    nodes = onnx.load(files / "model.onnx").graph.node
    assert "Conv" in {node.op_type for node in nodes}
    assert "BatchNormalization" not in {node.op_type for node in nodes}


class Normalised(nn.Module):
    rescale_factors = torch.full((1, 512, 1, 1), 20.0)
    forward = SSD300.l2_normalise


def test_a_cell_of_zeros_is_normalised_to_zeros():
    x = torch.randn(1, 512, 3, 3)
    x[..., 1, 1] = 0
    exported = torch.onnx.export(Normalised().eval(), (x,), dynamo=True, input_names=["x"], verbose=False)
    (found,) = session(exported.model_proto.SerializeToString()).run(None, {"x": x.numpy()})
    np.testing.assert_allclose(found, Normalised()(x).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["x.onnx", "x.pt2"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(name, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ssd.export.write._trace", lambda model: pytest.fail("began"))
    with pytest.raises(InputError):
        export(model, tmp_path / ("x" * 300 + name))


def test_what_the_command_says(files):
    lines = (files / "said.txt").read_text().splitlines()
    for line, name in zip(lines, ("model.onnx", "model.pt2", "nms.onnx"), strict=True):
        gives = "boxes, labels, scores, counts" if name == "nms.onnx" else "boxes, probabilities"
        assert line.startswith(f"{files / 'new' / name}: images (N, 3, 300, 300) -> {gives}; ")


def test_bad_arguments(files, tmp_path, capsys):
    checkpoint = files / "model.pth"
    refused(capsys, command, [checkpoint, tmp_path / "x.pb"], "x.pb", ".onnx or .pt2")
    refused(capsys, command, [checkpoint, tmp_path / "x.pt2", "--with-nms"], "--with-nms is for .onnx")
    refused(capsys, command, [checkpoint, tmp_path / "x.onnx", "--min-score", "2"], "--min-score", "from 0 to 1")
    refused(capsys, command, [tmp_path / "no.pth", tmp_path / "x.onnx"], "no.pth: no such file")
    refused(
        capsys,
        command,
        [files / "model.onnx", tmp_path / "x.onnx"],
        "model.onnx: an exported model, which can only be run",
    )
    assert not list(tmp_path.iterdir())


def test_missing_quantiser_is_told_before_the_work(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    monkeypatch.setattr("ssd.export.write._trace", lambda model: pytest.fail("began"))
    with pytest.raises(InputError, match="onnxruntime is needed"):
        export(model, tmp_path / "x.onnx", calibration=["a.jpg"])


def test_missing_packages(files, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"onnxscript is needed for .*x.onnx \(extra .onnx.\): pip install onnxscript"):
        export(model, tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(InputError, match=r"onnxruntime is needed for .*model.onnx \(extra .onnx.\): pip"):
        load_trained(files / "model.onnx")
