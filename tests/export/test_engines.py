"""Exported models, run as a checkpoint is."""

import json
from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from ssd import Detector
from ssd.commands import detect
from ssd.commands import eval as evaluation
from ssd.data import read_data_list
from ssd.errors import InputError
from ssd.export.engines import OnnxRuntimeModel
from ssd.inference.predictor import as_predictor, detections_in_pixels
from ssd.pretrained import load_trained
from tests.helpers.exports import NMS, assert_same_detections
from tests.helpers.scripts import refused


def test_detector(files, model, pictures, expected):
    detector = Detector.from_checkpoint(files / "model.onnx", "cpu", "fp32")
    assert detector.config == model.config
    wanted = zip(
        *detections_in_pixels(detector.predictor, expected, [picture.size for picture in pictures], **NMS), strict=True
    )
    for found, one in zip(detector(pictures, **NMS), wanted, strict=True):
        assert len(found) > 0
        arrays = [tensor.numpy() for tensor in (found.boxes, found.labels, found.scores)]
        assert_same_detections(arrays, [tensor.numpy() for tensor in one])
    assert len(detector(pictures[0], min_score=1.0)) == 0
    assert detector([]) == []


def test_an_export_detects_no_label_without_a_class(files, images):
    exported = load_trained(files / "model.onnx", "cpu", "fp32")
    predictions = exported(images)
    for names, labels in ((None, {1, 2, 3, 4}), (("circle", "", "star", "triangle"), {1, 3, 4})):
        found = as_predictor(exported, class_names=names).detect_objects(*predictions, 0.01, 0.45, 200)
        assert set(torch.cat(found[1]).tolist()) == labels
    assert exported.config.class_names == ("circle", "square", "star", "triangle")


def evaluate(data_folder, checkpoint, folder):
    args = ["--data", data_folder, "--checkpoint", checkpoint, "--json", folder / "figures.json", "--workers", 0]
    assert evaluation.main([*map(str, args), "--device", "cpu"]) == 0
    return json.loads((folder / "figures.json").read_text())["classes"]


@pytest.fixture(scope="module")
def figures(files, data_folder):
    return evaluate(data_folder, files / "model.pth", files)


def test_scripts_take_exports(files, data_folder, figures, tmp_path):
    found = evaluate(data_folder, files / "model.onnx", tmp_path)
    assert sum(one["detections"] for one in found) > 0
    for one, other in zip(found, figures, strict=True):
        assert one.keys() == other.keys()
        for key in ("name", "objects", "detections"):
            assert one[key] == other[key]
        assert one["ap_voc07"] == pytest.approx(other["ap_voc07"], abs=1e-3)
    picture = min(Path(read_data_list(data_folder, "test").paths[0]).parent.iterdir())
    args = [picture, "--checkpoint", files / "model.onnx", "--output", tmp_path / "out", "--min-score=0.1", "--top-k=7"]
    assert detect.main([str(arg) for arg in args]) == 0
    assert len(json.loads((tmp_path / "out/detections.json").read_text())[0]["detections"]) == 7


def test_missing_and_damaged_files(files, tmp_path, capsys, name="x.onnx"):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    args = [tmp_path / "a.png", "--output", tmp_path / "out", "--checkpoint", tmp_path / name]
    refused(capsys, detect, args, f"{name}: no such file", "ssd.export")
    (tmp_path / name).mkdir()
    refused(capsys, detect, args, f"{name}: no such file")
    (tmp_path / name).rmdir()
    good = (files / "model.onnx").read_bytes()
    for content in (b"", b"no model", b"PK\x03\x04", good[: len(good) // 2]):
        (tmp_path / name).write_bytes(content)
        refused(capsys, detect, args, f"{name}: damaged, or no ")


def foreign_file(folder):
    foreign = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[1] x) => (float[1] y) { y = Abs(x) }'
    )
    onnx.helper.set_model_props(foreign, {"format": "their own", "names": "{0: 'person'}"})
    onnx.save(foreign, folder / "x.onnx")
    return folder / "x.onnx"


def test_foreign_files(tmp_path):
    with pytest.raises(InputError, match="x.onnx: not a model that this project exported"):
        load_trained(foreign_file(tmp_path))


def test_exports_that_cannot_be_run_like_that(files):
    with pytest.raises(InputError, match="nms.onnx: was exported with --with-nms, .* export it again without"):
        load_trained(files / "nms.onnx")
    with pytest.raises(InputError, match="model.onnx: ONNX Runtime .* --precision bf16 needs the checkpoint"):
        OnnxRuntimeModel(files / "model.onnx", precision="bf16")


def test_pt2_files_are_not_read(files, tmp_path, capsys):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    args = [tmp_path / "a.png", "--output", tmp_path / "out", "--checkpoint", files / "model.pt2"]
    refused(capsys, detect, args, "model.pt2: .pt2 files are for other programs", "give its checkpoint", ".onnx")


@pytest.mark.parametrize("vnni, exact", [(False, "1"), (True, None)])  # with VNNI the option makes it 2.6 times slower
def test_8_bit_products_are_added_exactly_on_any_processor(tmp_path, monkeypatch, vnni, exact):
    entries = {}
    monkeypatch.setattr("ssd.export.engines.cpu_has", lambda feature: feature == "vnni" and vnni)
    monkeypatch.setattr(
        onnxruntime.SessionOptions, "add_session_config_entry", lambda _, *entry: entries.update([entry])
    )
    with pytest.raises(InputError, match="not a model that this project exported"):
        OnnxRuntimeModel(foreign_file(tmp_path))
    assert entries.get("session.x64quantprecision") == exact


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA")
def test_onnx_runtime_without_cuda(files, monkeypatch):
    monkeypatch.setattr("ssd.export.engines.choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(InputError, match="no CUDA; pip install onnxruntime-gpu, or --device cpu"):
        load_trained(files / "model.onnx", "cuda")
    load_trained(files / "model.onnx")  # unless it is named, the device is one that is there
