"""Exported models against the model that they were made of, and files that must not be run."""

import contextlib
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from ssd import SSD300, Detector, SSDConfig, save_checkpoint
from ssd.commands import detect
from ssd.commands import eval as evaluation
from ssd.commands.export import main as export_main
from ssd.data import preprocess, read_data_list
from ssd.errors import InputError
from ssd.export.engines import FACTS
from ssd.export.write import export, selection
from ssd.inference.predictor import NetworkPredictor, as_predictor, detections
from ssd.model.network import MAP_CHANNELS
from ssd.model.postprocess import select_detections
from ssd.pretrained import load_trained
from tests.helpers.networks import randomise_batch_norm
from tests.helpers.scripts import refused

NMS = {"min_score": 0.15, "max_overlap": 0.3, "top_k": 50}


@pytest.fixture(scope="module")
def model(data_folder, pictures):
    """Untrained, with a config that is not the default, moderate offsets, and scores that differ."""
    torch.manual_seed(0)
    classes = read_data_list(data_folder, "train").class_names
    model = SSD300(SSDConfig.torchvision(class_names=classes, backbone="vgg16_bn", variances=(0.2, 0.3)))
    randomise_batch_norm(model.eval())
    with torch.no_grad():
        conv4_3, conv7 = model.base(torch.stack([preprocess(picture, model.config) for picture in pictures]))
        maps = model.l2_normalise(conv4_3), conv7, *model.aux_convs(conv7)
        for name, x in zip(MAP_CHANNELS, maps, strict=True):
            for kind, spread in (("loc", 0.5), ("cl", 2)):
                convolution = model.pred_convs.get_submodule(f"{kind}_{name}")
                convolution.weight *= spread / convolution(x).std()
    return model


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    """The checkpoint and its exports, written by the command."""
    folder = tmp_path_factory.mktemp("exports")
    save_checkpoint(folder / "model.pth", model)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in NMS.items()]
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        for name, *more in (("model.onnx",), ("model.pt2",), ("nms.onnx", "--with-nms", *options)):
            assert export_main([str(folder / "model.pth"), str(folder / "new" / name), *more]) == 0
            (folder / "new" / name).rename(folder / name)
    (folder / "said.txt").write_text(said.getvalue())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    small = [rng.integers(0, 256, (n, n + 2, 3), dtype=np.uint8) for n in (5, 9, 20)]
    return [Image.fromarray(s).resize(size) for s, size in zip(small, [(640, 480), (120, 300), (50, 50)], strict=True)]


@pytest.fixture(scope="module")
def images(model, pictures):
    return torch.stack([preprocess(picture, model.config) for picture in pictures])


@pytest.fixture(scope="module")
def expected(model, images):
    """Boxes and probabilities."""
    return model.decode_predictions(*NetworkPredictor(model)(images))


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])


def assert_same_detections(found, expected, side=1.0, atol=0.5):
    """Triples of boxes, labels and scores: the same but for the order of scores that differ by rounding alone."""
    assert len(found[0]) == len(expected[0])
    assert sorted(found[1]) == sorted(expected[1])
    near = np.abs(found[0][:, None] - expected[0][None]).max(axis=2) * side < atol  # (n, n)
    near &= found[1][:, None] == expected[1][None]
    near &= np.abs(found[2][:, None] - expected[2][None]) < 1e-4
    assert near.any(axis=0).all()
    assert near.any(axis=1).all()


# -- the same as PyTorch


def run_onnx(path, images):
    return load_trained(path, "cpu")(images)


def run_pt2(path, images):
    return torch.export.load(path).module()(images)


@pytest.mark.parametrize("name, run", [("model.onnx", run_onnx), ("model.pt2", run_pt2)])
@pytest.mark.parametrize("n", [1, 3])
def test_raw_outputs(files, images, expected, name, run, n):
    boxes, probabilities = run(files / name, images[:n])
    assert boxes.shape == (n, 8732, 4)
    assert (probabilities.sum(dim=2) - 1).abs().max() < 1e-5
    torch.testing.assert_close(boxes, expected[0][:n], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probabilities, expected[1][:n], rtol=1e-4, atol=1e-6)


def test_detector(files, model, pictures, expected):
    detector = Detector.from_checkpoint(files / "model.onnx", "cpu")
    assert detector.config == model.config
    wanted = zip(*detections(detector.predictor, expected, [picture.size for picture in pictures], **NMS), strict=True)
    for found, one in zip(detector(pictures, **NMS), wanted, strict=True):
        assert len(found) > 0
        arrays = [tensor.numpy() for tensor in (found.boxes, found.labels, found.scores)]
        assert_same_detections(arrays, [tensor.numpy() for tensor in one])
    assert len(detector(pictures[0], min_score=1.0)) == 0
    assert detector([]) == []


def test_an_export_detects_no_label_without_a_class(files, images):
    exported = load_trained(files / "model.onnx", "cpu")
    predictions = exported(images)
    for names, labels in ((None, {1, 2, 3, 4}), (("circle", "", "star", "triangle"), {1, 3, 4})):
        found = as_predictor(exported, class_names=names).detect_objects(*predictions, 0.01, 0.45, 200)
        assert set(torch.cat(found[1]).tolist()) == labels
    assert exported.config.class_names == ("circle", "square", "star", "triangle")


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


# -- what the files say


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


# -- the scripts


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


def test_what_the_command_says(files):
    lines = (files / "said.txt").read_text().splitlines()
    for line, name in zip(lines, ("model.onnx", "model.pt2", "nms.onnx"), strict=True):
        gives = "boxes, labels, scores, counts" if name == "nms.onnx" else "boxes, probabilities"
        assert line.startswith(f"{files / 'new' / name}: images (N, 3, 300, 300) -> {gives}; ")


@pytest.mark.parametrize("name", ["x.onnx", "x.pt2"])
def test_a_file_that_cannot_be_written_is_refused_before_the_work(name, model, tmp_path, monkeypatch):
    monkeypatch.setattr("ssd.export.write._trace", lambda model: pytest.fail("began"))
    with pytest.raises(InputError):
        export(model, tmp_path / ("x" * 300 + name))


# -- bad input


class Command:
    """`python -m ssd.export` as `refused` runs it."""

    main = staticmethod(export_main)


def test_bad_arguments(files, tmp_path, capsys):
    checkpoint = files / "model.pth"
    refused(capsys, Command, [checkpoint, tmp_path / "x.pb"], "x.pb", ".onnx or .pt2")
    refused(capsys, Command, [checkpoint, tmp_path / "x.pt2", "--with-nms"], "--with-nms is for .onnx")
    refused(capsys, Command, [checkpoint, tmp_path / "x.onnx", "--min-score", "2"], "--min-score", "from 0 to 1")
    refused(capsys, Command, [tmp_path / "no.pth", tmp_path / "x.onnx"], "no.pth: no such file")
    refused(capsys, Command, [files / "model.onnx", tmp_path / "x.onnx"], "model.onnx: damaged, or no file of weights")
    assert not list(tmp_path.iterdir())


def test_missing_packages(files, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match=r"x.onnx needs onnxscript: pip install -e \"\.\[onnx\]\""):
        export(model, tmp_path / "x.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r"model.onnx needs ONNX Runtime: pip install -e \"\.\[onnx\]\""):
        load_trained(files / "model.onnx")


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


def test_foreign_files(tmp_path, capsys):
    foreign = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[1] x) => (float[1] y) { y = Abs(x) }'
    )
    onnx.helper.set_model_props(foreign, {"format": "their own", "names": "{0: 'person'}"})
    onnx.save(foreign, tmp_path / "x.onnx")
    with pytest.raises(InputError, match="x.onnx: not a model that this project exported"):
        load_trained(tmp_path / "x.onnx")


def test_exports_that_cannot_be_run_like_that(files):
    with pytest.raises(InputError, match="nms.onnx: gives final detections, .* without --with-nms"):
        load_trained(files / "nms.onnx")
    with pytest.raises(InputError, match="model.onnx: .* --precision bf16 needs the checkpoint"):
        load_trained(files / "model.onnx", precision="bf16")


def test_pt2_files_are_not_read(files, tmp_path, capsys):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    args = [tmp_path / "a.png", "--output", tmp_path / "out", "--checkpoint", files / "model.pt2"]
    refused(capsys, detect, args, "model.pt2: .pt2 files are for other programs", "give its checkpoint", ".onnx")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA")
def test_onnx_runtime_without_cuda(files, monkeypatch):
    monkeypatch.setattr("ssd.export.engines.choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(InputError, match="no CUDA; pip install onnxruntime-gpu, or --device cpu"):
        load_trained(files / "model.onnx", "cuda")
    load_trained(files / "model.onnx")  # unless it is named, the device is one that is there
