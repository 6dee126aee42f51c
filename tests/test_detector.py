"""Pictures in, detections out."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou

import detect
from ssd import SSD300, Detector, SSDConfig, load_checkpoint
from ssd.data import PascalVOCDataset, preprocess
from ssd.data.images import resized
from ssd.detector import BATCH_SIZE, network_input, read_thresholds
from ssd.errors import InputError
from ssd.evaluation.evaluate import detect_dataset
from ssd.inference.predictor import NetworkPredictor
from tests.helpers.small_network import SmallSSD


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = [(640, 480), (120, 300), (300, 300)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


@pytest.fixture(scope="module")
def detector(checkpoint):
    return Detector.from_checkpoint(checkpoint, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def quick():
    """A detector whose network takes no time."""
    torch.manual_seed(1)
    return Detector(SmallSSD(SSDConfig(class_names=("cat", "dog"))), device="cpu", precision="fp32")


@pytest.mark.parametrize("max_overlap, top_k", [(0.45, 200), (0.1, 200), (0.9, 200), (0.45, 3)])
def test_same_path_as_the_model(detector, checkpoint, pictures, max_overlap, top_k):
    model = load_checkpoint(checkpoint)
    with torch.no_grad():
        predictions = model(preprocess(pictures[0], model.config)[None])
    boxes, labels, scores = model.detect_objects(*predictions, 0.1, max_overlap, top_k)
    found = detector(pictures[0], 0.1, max_overlap, top_k)
    assert 0 < len(found) == len(boxes[0]) <= top_k
    torch.testing.assert_close(found.boxes, boxes[0] * torch.tensor([640, 480, 640, 480]), rtol=1e-3, atol=0.05)
    assert torch.equal(found.labels, labels[0])
    assert found.names == [model.config.class_names[label - 1] for label in labels[0].tolist()]


def test_list_equals_one_at_a_time(detector, pictures):
    for many, picture in zip(detector(pictures, min_score=0.1), pictures, strict=True):
        one = detector(picture, min_score=0.1)
        torch.testing.assert_close(many.boxes, one.boxes, rtol=1e-3, atol=0.05)
        torch.testing.assert_close(many.scores, one.scores, rtol=1e-3, atol=1e-4)
    assert detector([]) == []


def test_long_lists_run_in_batches_while_the_next_is_prepared(quick, pictures, monkeypatch):
    expected = [quick(picture, min_score=0.1).to_list() for picture in pictures]
    n, prepared, batches, changed = 3 * BATCH_SIZE + 1, [], [], threading.Condition()
    prepare, network = Detector.prepare, NetworkPredictor.__call__

    def noted(self, picture):
        with changed:
            prepared.append(picture)
            changed.notify()
        return prepare(self, picture)

    def run_when_the_next_are_prepared(self, images):
        batches.append(len(images))
        with changed:  # those, and no others
            assert changed.wait_for(lambda: len(prepared) == min(sum(batches) + BATCH_SIZE, n), timeout=60)
        return network(self, images)

    monkeypatch.setattr(Detector, "prepare", noted)
    monkeypatch.setattr(NetworkPredictor, "__call__", run_when_the_next_are_prepared)
    found = quick([pictures[k % 3] for k in range(n)], min_score=0.1)
    assert batches == [BATCH_SIZE] * 3 + [1]
    assert [one.to_list() for one in found] == [expected[k % 3] for k in range(n)]


def test_stream_of_any_length(quick, pictures):
    found = quick.stream(itertools.cycle(pictures), min_score=0.1)
    for picture in pictures * 4:
        assert next(found).to_list() == quick(picture, min_score=0.1).to_list()
    found.close()
    with pytest.raises(InputError, match="lost.png: no such picture"):
        list(quick.stream([pictures[0], "lost.png"]))
    with pytest.raises(InputError, match="min_score is 2"):
        next(quick.stream([], min_score=2))


def test_nothing_found(detector, pictures):
    found = detector(pictures[0], min_score=1.0)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.to_list() == found.names == []
    assert found.draw(pictures[0]).tobytes() == pictures[0].tobytes()


def test_model_stays_as_it_was(pictures):
    model = SSD300(SSDConfig(class_names=("a",), backbone="vgg16_bn")).train()
    Detector(model, device="cpu", precision="bf16")(pictures[0])
    assert model.training
    assert model.rescale_factors.dtype == torch.float32
    assert model.rescale_factors.requires_grad
    assert isinstance(model.base.conv1_1.norm, torch.nn.BatchNorm2d)


def test_bf16_finds_about_the_same(checkpoint, detector, pictures):
    found = Detector.from_checkpoint(checkpoint, "cpu", "bf16")(pictures[0], min_score=0.1)
    assert found.boxes.dtype == found.scores.dtype == torch.float32
    exact = detector(pictures[0], min_score=0.1)
    torch.testing.assert_close(found.scores[:5], exact.scores[:5], rtol=0, atol=0.05)


def test_data_set_gives_what_the_detector_gives(detector, checkpoint, data_folder):
    dataset = PascalVOCDataset(data_folder, "test")
    found = detect_dataset(load_checkpoint(checkpoint), dataset, batch_size=3)
    assert len(found.boxes) == len(dataset)
    for k, path in enumerate(dataset.data.paths):
        one = detector(Image.open(path), min_score=0.01)
        torch.testing.assert_close(found.scores[k], one.scores, rtol=1e-3, atol=1e-4)


def test_detect_draws_and_suppresses(detector, checkpoint, pictures):
    names = set(detector(pictures[0], min_score=0.1).names)
    annotated = detect.detect(pictures[0], min_score=0.1, checkpoint=detector)
    assert annotated.size == pictures[0].size
    assert annotated.tobytes() != pictures[0].tobytes()
    bare = detect.detect(pictures[0], min_score=0.1, suppress=names, checkpoint=detector)
    assert bare.tobytes() == pictures[0].tobytes()
    name = names.pop()
    others = detect.detect(pictures[0], min_score=0.1, suppress=name, checkpoint=detector)
    assert others.tobytes() == detector(pictures[0], 0.1, 0.5).without({name}).draw(pictures[0]).tobytes()
    with pytest.raises(InputError, match="unknown class unicorn; the classes are circle, square"):
        detect.detect(pictures[0], suppress=["circle", "unicorn"], checkpoint=detector)
    from_path = detect.detect(pictures[0], min_score=1.0, checkpoint=checkpoint)
    assert from_path.tobytes() == pictures[0].tobytes()


def test_detect_draws_on_a_list_of_pictures(quick, pictures):
    copies = detect.detect(pictures, min_score=0.1, checkpoint=quick)
    for copy, picture in zip(copies, pictures, strict=True):
        assert copy.tobytes() == detect.detect(picture, min_score=0.1, checkpoint=quick).tobytes()
    assert detect.detect((), checkpoint=quick) == []


@pytest.mark.parametrize("config", [SSDConfig(), SSDConfig.caffe()])
def test_input_is_that_of_preprocess(pictures, config):
    expected = torch.stack([preprocess(picture, config) for picture in pictures])
    squares = np.stack([np.asarray(resized(picture, 300)) for picture in pictures])
    assert torch.equal(network_input(squares, config, torch.device("cpu")), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_is_given_the_same_input(pictures):
    squares = np.stack([np.asarray(resized(picture, 300)) for picture in pictures])
    on_gpu, on_cpu = (network_input(squares, SSDConfig(), torch.device(name)) for name in ("cuda", "cpu"))
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=1e-6, atol=1e-6)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_finds_the_same(checkpoint, detector, pictures):
    on_gpu = Detector.from_checkpoint(checkpoint, "cuda", "fp32")(pictures, min_score=0.1)
    for gpu, cpu in zip(on_gpu, detector(pictures, min_score=0.1), strict=True):
        assert gpu.boxes.device.type == "cpu"
        torch.testing.assert_close(gpu.scores[:5], cpu.scores[:5], rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("wrong", [
    np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
])  # fmt: skip
def test_arrays_that_are_no_rgb_pictures(detector, wrong):
    with pytest.raises(ValueError, match="is no RGB picture"):
        detector(wrong)


def test_arrays_are_rgb_pictures(detector, pictures):
    expected = detector(pictures, min_score=0.1)
    for found, one in zip(detector([np.array(picture) for picture in pictures], min_score=0.1), expected, strict=True):
        assert torch.equal(found.boxes, one.boxes)
        assert torch.equal(found.scores, one.scores)
    assert detector(np.array(pictures[0]), min_score=0.1).draw(np.array(pictures[0])).size == pictures[0].size


def test_every_kind_of_picture(quick, pictures, tmp_path):
    picture, array = pictures[0], np.array(pictures[0])
    picture.save(tmp_path / "a.png")
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    kinds = [tmp_path / "a.png", str(tmp_path / "a.png"), picture, array, tensor, tensor / 255]
    expected = quick(picture, min_score=0.1, top_k=20)
    drawn = expected.draw(picture).tobytes()
    for found, kind in zip(quick(kinds, 0.1, top_k=20), kinds, strict=True):
        torch.testing.assert_close(found.boxes, expected.boxes, rtol=1e-3, atol=0.05)
        assert quick(kind, 0.1, top_k=20).names == expected.names
        assert expected.draw(kind).tobytes() == drawn
    assert len(quick(tuple(kinds[:2]))) == 2
    assert detect.detect(tmp_path / "a.png", 0.1, 0.45, 20, checkpoint=quick).tobytes() == drawn


@pytest.mark.parametrize("thing", [None, b"a.jpg", (k for k in "ab"), {"a.jpg"}, 5, [None], [["a.jpg"]]])
def test_what_is_no_picture_is_refused_in_a_sentence(quick, thing):
    for use in (quick, lambda thing: detect.detect(thing, checkpoint=quick)):
        with pytest.raises(TypeError, match="is no picture, which is a path, a PIL image, .* several pictures come"):
            use(thing)


@pytest.mark.parametrize("changed, message", [
    ({"top_k": -1}, "top_k is -1, must be a whole number from 0"), ({"top_k": 2.5}, "top_k is 2.5"),
    ({"top_k": None}, "top_k is None"), ({"max_overlap": None}, "max_overlap must be a number, not NoneType"),
    ({"min_score": None}, "min_score must be a number, or a number for each name, not NoneType"),
    ({"min_score": torch.ones(3)}, "min_score must be a number, or a number for each name, not Tensor"),
    ({"min_score": 1.01}, "min_score is 1.01, must be from 0 to 1"),
    ({"min_score": -0.1}, "min_score is -0.1"), ({"min_score": float("nan")}, "min_score is nan"),
    ({"max_overlap": 45}, "max_overlap is 45, must be from 0 to 1"), ({"max_overlap": -0.1}, "max_overlap is -0.1"),
])  # fmt: skip
def test_thresholds_out_of_range(quick, pictures, changed, message):
    for use in (quick, lambda picture, **changed: detect.detect(picture, checkpoint=quick, **changed)):
        with pytest.raises(ValueError, match=message):
            use(pictures[0], **changed)


@pytest.mark.parametrize("names", ["cat", ["cat"], iter(["cat"])])
def test_only_some_classes(quick, pictures, names):
    assert set(quick.only(names)(pictures[0]).names) == {"cat"}


@pytest.mark.parametrize("min_score, names", [
    ({}, {"cat", "dog"}), ({"dog": 0.3}, {"cat", "dog"}), ({"cat": 0.3}, {"dog"}), ({"cat": 0, "dog": 0.35}, {"cat"}),
])  # fmt: skip
def test_a_score_for_each_class(quick, pictures, min_score, names):
    """Every cat here scores 0.29 and every dog 0.33; the default is 0.2."""
    assert set(quick(pictures[0], min_score=min_score).names) == names
    drawn = detect.detect(pictures[0], min_score, 0.45, checkpoint=quick)
    assert drawn.tobytes() == quick(pictures[0], 0.2).without({"cat", "dog"} - names).draw(pictures[0]).tobytes()
    with pytest.raises(InputError, match="unknown class cow; the classes are cat, dog"):
        quick(pictures[0], min_score=min_score | {"cow": 0.5})
    with pytest.raises(InputError, match="min_score of cat must be a number, not str"):
        quick(pictures[0], min_score={"cat": "0.5"})
    with pytest.raises(InputError, match="min_score of cat is 2, must be from 0 to 1"):
        quick(pictures[0], min_score=min_score | {"cat": 2})


@pytest.mark.parametrize("content, message", [
    (None, "no such file; eval.py --save-thresholds FILE writes one"), ("[1]", "holds a list, a dict is expected"),
    ('{"cat": "0.5"}', "the threshold of cat is '0.5', must be a number from 0 to 1"),
    ('{"cat": 1.5}', "the threshold of cat is 1.5, must be"), ('{"cat": null}', "the threshold of cat is None"),
    ('{"cow": 0.5}', "unknown class cow; the classes are cat, dog"),
])  # fmt: skip
def test_bad_files_of_thresholds(quick, tmp_path, content, message):
    if content:
        (tmp_path / "t.json").write_text(content)
    with pytest.raises(InputError, match=f"t.json: {message}"):
        read_thresholds(tmp_path / "t.json", quick.config)


def test_extreme_thresholds(quick, pictures):
    assert len(quick(pictures[0], min_score=0, top_k=0)) == 0
    assert [len(found) for found in quick(pictures[:2], min_score=0, top_k=np.int64(0))] == [0, 0]
    assert len(quick(pictures[0], min_score=1)) == 0
    assert len(quick(pictures[0], min_score=0, max_overlap=1, top_k=3)) == 3
    disjoint = quick(pictures[0], min_score=0, max_overlap=0, top_k=50)
    overlaps = box_iou(disjoint.boxes, disjoint.boxes).fill_diagonal_(0)
    assert not overlaps[disjoint.labels[:, None] == disjoint.labels].any()


def test_arguments_of_the_detector_itself(checkpoint):
    with pytest.raises(InputError, match="precision is 'int8', must be one of auto, fp32, bf16, fp16"):
        Detector.from_checkpoint(checkpoint, precision="int8")
    for wrong in (None, "best.pth", torch.nn.Linear(1, 1)):
        message = rf"takes an SSD300, .* not {type(wrong).__name__}; Detector\.from_checkpoint\(path\) reads a model"
        with pytest.raises(TypeError, match=message):
            Detector(wrong)
    assert Detector.from_checkpoint(checkpoint, torch.device("cpu")).predictor.device.type == "cpu"


def test_threads_share_a_detector(quick, pictures):
    """Each thread gets what it would get alone, with its own pictures and thresholds."""
    tasks = [(pictures[k % 3 :], (0.1, 0.4)[k % 2], 1 + 5 * (k % 4)) for k in range(16)]

    def run(task):
        batch, min_score, top_k = task
        return [found.to_list() for found in quick(batch, min_score=min_score, top_k=top_k)]

    expected = [run(task) for task in tasks]
    assert len({str(found) for found in expected}) > 6
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(run, tasks)) == expected
