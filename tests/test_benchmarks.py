"""The benchmarks measure what they say, and refuse contenders that do not agree."""

import json

import pytest
import torch

from benchmarks import augmentation, detection, files, mean_ap
from benchmarks.__main__ import main
from benchmarks.models import background_bias, count_candidates, with_bias
from benchmarks.timing import Measured, Memory, Timer, agree
from ssd import Detector, SSDConfig, create_prior_boxes, detect_objects
from tests.helpers.small_network import SmallSSD

CPU = torch.device("cpu")


def test_contenders_take_turns_after_the_warm_up():
    calls, now = [], [0.0]

    def contender(name, seconds):
        def run():
            calls.append(name)
            now[0] += seconds

        return run

    timer = Timer(CPU, rounds=3, clock=lambda: now[0])
    seconds = timer.measure({"ours": contender("a", 1.0), "theirs": contender("b", 4.0)}, warm_up=2)
    assert calls == ["a", "b"] * 5
    assert seconds == {"ours": [1.0] * 3, "theirs": [4.0] * 3}


def test_medians_spread_and_ratio():
    measured = Measured("x", {"ours": [0.003, 0.001, 0.002], "theirs": [0.009, 0.008, 0.007]}, units=4)
    assert measured.quartiles("ours") == pytest.approx([0.0015, 0.002, 0.0025])
    assert measured.ratio("theirs") == pytest.approx(4)
    ours, theirs = measured.lines()
    assert ours.split() == ["ours", "2.0", "1.5", "-", "2.5", "2000.0", "1.00"]
    assert theirs.split()[-2:] == ["500.0", "4.00"]
    assert json.loads(json.dumps(measured.to_dict()))["contenders"]["theirs"]["ratio"] == pytest.approx(4)


def test_memory():
    ours, theirs = Memory("x", {"ours": 2**30, "theirs": 3 * 2**29}).lines()
    assert (ours.split(), theirs.split()) == (["ours", "1024", "MiB", "1.00"], ["theirs", "1536", "MiB", "1.50"])


def test_results_that_differ_are_refused():
    agree("x", torch.ones(3), torch.ones(3) + 1e-5, 1e-4)
    for other in (torch.ones(3) + 1e-3, torch.ones(4), torch.full((3,), torch.nan)):
        with pytest.raises(RuntimeError, match="x: the results differ"):
            agree("x", torch.ones(3), other, 1e-4)


def test_detections_that_differ_are_refused():
    torch.manual_seed(0)
    priors = create_prior_boxes(SSDConfig())
    locs, scores = 0.3 * torch.randn(1, 8732, 4), torch.randn(1, 8732, 5)
    ours = detect_objects(locs, scores, priors, 0.3, 0.45, 100)
    theirs = [{"boxes": ours[0][0].flip(0) * 300, "labels": ours[1][0].flip(0), "scores": ours[2][0].flip(0)}]
    detection.check_detections(ours, theirs, 300)  # in any order
    theirs[0]["labels"] = theirs[0]["labels"].roll(7)
    with pytest.raises(RuntimeError, match="not among ours"):
        detection.check_detections(ours, theirs, 300)


def test_the_background_is_raised_until_so_many_candidates_remain():
    torch.manual_seed(0)
    scores = torch.randn(2, 8732, 21)
    raised = with_bias(scores, background_bias(scores, 6000))
    assert count_candidates(raised) == pytest.approx(6000, rel=0.02)
    assert torch.equal(raised[..., 1:], scores[..., 1:])


def test_mAP_of_all_contenders_agrees():
    measured = mean_ap.mean_average_precision(Timer(CPU, rounds=1), n_images=60)
    assert len(measured.seconds["ours"]) == 1
    assert len(measured.seconds) >= 2  # the libraries are in the extra "dev"


def test_wrong_mAP_is_refused(monkeypatch):
    monkeypatch.setattr(mean_ap, "LIBRARIES", {"wrong": lambda *case: 0.3})
    with pytest.raises(RuntimeError, match="mAP: the results differ"):
        mean_ap.mean_average_precision(Timer(CPU, rounds=1), n_images=20)


def test_stages_of_detection_in_files():
    torch.manual_seed(0)
    measured = files.measure(Detector(SmallSSD(SSDConfig(class_names=("cat",))), "cpu"), 3)
    stages = ["decoding", "resizing", "network", "post-processing", "drawing", "writing"]
    assert list(measured.processor) == stages
    assert min(*measured.processor.values(), measured.wall) > 0
    measured = files.Stages("x", {"decoding": 0.002, "network": 0.006}, wall=0.005, cores=2)
    assert [line.split()[-1] for line in measured.lines()] == ["25.0%", "75.0%", "4.00", "1.25x"]
    assert json.loads(json.dumps(measured.to_dict()))["ratio"] == pytest.approx(1.25)
    with pytest.raises(RuntimeError, match="add --device cpu"):
        files.stages(Timer(torch.device("cuda")))


def test_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(augmentation, "PICTURES", 2)
    names = ["--only", "augmentation", "--only", "decoding"]
    assert main(["--device", "cpu", "--rounds", "1", *names, "--json", str(tmp_path / "a.json")]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["benchmarks"]["augmentation"]["pictures"] == 2
    assert set(found["benchmarks"]["augmentation"]["contenders"]) == {"ours", "torchvision v2"}
    assert "pictures/s" in capsys.readouterr().out


def test_bad_arguments(capsys):
    assert main(["--only", "nothing"]) == 2
    assert "nothing" in capsys.readouterr().err
