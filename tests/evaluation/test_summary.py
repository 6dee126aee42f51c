import json
import sys

import numpy as np
import pytest
import torch

from ssd.evaluation import average_precisions, format_summary, match_detections, summarize
from ssd.evaluation.summary import best_thresholds, summary_lines
from tests.helpers.detection_cases import EIGHT_DETECTIONS, FIVE_CATS, random_case


def test_summary_of_a_case_with_every_kind_of_class():
    case = random_case(3, n_images=30)
    matches = match_detections(*case)
    summary = summarize(matches)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert [c["name"] for c in summary["classes"]] == ["bird", "cat", "dog", "sofa"]
    labels, difficult, found = torch.cat(case[4]), torch.cat(case[5]), torch.cat(case[1])
    voc07, voc10 = (average_precisions(matches, kind) for kind in ("voc07", "voc10"))
    for label, figures in enumerate(summary["classes"], start=1):
        assert figures["objects"] == int(((labels == label) & (difficult == 0)).sum())
        assert figures["difficult"] == int(((labels == label) & (difficult == 1)).sum())
        assert figures["detections"] == int((found == label).sum())
    for figures in summary["classes"][:2]:
        assert (figures["ap_voc07"], figures["ap_voc10"]) == (voc07[figures["name"]], voc10[figures["name"]])
        assert 0 < figures["best_f1"] <= 1 and figures["best_f1_score"] in np.arange(1, 8) / 8
    for figures in summary["classes"][2:]:  # only difficult objects, no objects
        assert [figures[key] for key in ("ap_voc07", "ap_voc10", "best_f1", "best_f1_score")] == [None] * 4
    assert summary["map_voc07"] == pytest.approx((voc07["bird"] + voc07["cat"]) / 2)
    assert summary["map_voc10"] == pytest.approx((voc10["bird"] + voc10["cat"]) / 2)
    assert summary["images"] == 30


def test_table_of_classes_by_hand():
    """The cats of `test_eight_detections_by_hand`; AP voc07 is 4/11, voc10 3/8, the best F1 3/5 at 0.3."""
    summary = summarize(match_detections(*EIGHT_DETECTIONS, *FIVE_CATS, {"background": 0, "cat": 1, "guinea pig": 2}))
    assert format_summary(summary).split("\n\n")[0] == (
        "class       objects  difficult  detections  AP voc07  AP voc10  best F1  at score\n"
        "cat               4          1           8    0.3636    0.3750   0.6000    0.3000\n"
        "guinea pig        0          0           0       n/a       n/a      n/a       n/a"
    )


@pytest.mark.parametrize("seed", range(3))
def test_what_exceeds_the_best_thresholds_has_the_best_f1(seed):
    det_boxes, det_labels, det_scores, *true, label_map = random_case(seed, n_images=30)
    matches = match_detections(det_boxes, det_labels, det_scores, *true, label_map)
    summary, thresholds = summarize(matches), best_thresholds(matches)
    assert set(thresholds) == {"bird", "cat"}  # dogs are difficult, and there are no sofas
    for figures in summary["classes"][:2]:  # the scores are eighths, from 1/8
        lowest = figures["best_f1_score"]
        assert thresholds[figures["name"]] == pytest.approx(lowest - 1 / 16 if lowest > 1 / 8 else lowest)
    least = torch.tensor([thresholds.get(name, 1) for name in label_map])
    kept = [scores > least[labels] for scores, labels in zip(det_scores, det_labels, strict=True)]
    chosen = [[rows[k] for rows, k in zip(part, kept, strict=True)] for part in (det_boxes, det_labels, det_scores)]
    matches = match_detections(*chosen, *true, label_map)
    for k, figures in enumerate(summary["classes"][:2]):
        own = matches.det_classes == k
        found, counted = (matches.correct & own).sum(), (own & ~matches.ignored).sum()
        assert 2 * found / (counted + figures["objects"]) == pytest.approx(figures["best_f1"])


def test_summary_lines_by_hand():
    summary = {
        "images": 120,
        "iou_threshold": 0.5,
        "map_voc07": 0.1,
        "map_voc10": 0.2,
        "coco": {"ap": 0.3, "ap50": 0.4, "ap75": None, "ap_small": None, "ap_medium": 0.25, "ap_large": 0.35},
        "localisation": {"accuracy": 0.5, "mean_iou": 0.6, "both": 0.7},
        "images_per_second": {"all": 20.0, "data": 120.0, "network": 60.0, "post-processing": 40.0},
        "classes": [],
    }
    lines = [
        ("mAP voc07", "0.1000"),
        ("mAP voc10", "0.2000"),
        ("COCO AP", "0.3000"),
        ("COCO AP50", "0.4000"),
        ("COCO AP75", "n/a"),
        ("COCO AP small", "n/a"),
        ("COCO AP medium", "0.2500"),
        ("COCO AP large", "0.3500"),
        ("top-1 class right", "0.5000"),
        ("top-1 mean IoU", "0.6000"),
        ("top-1 both right", "0.7000 (class, and IoU of at least 0.5)"),
        ("images", "120"),
        ("images per second", "20.0 (data 120.0, network 60.0, post-processing 40.0)"),
    ]
    assert summary_lines(summary) == lines
    assert format_summary(summary).splitlines()[-len(lines) :] == [f"{name:<20}{text}" for name, text in lines]
    assert summary_lines(summary | {"iou_threshold": 0.7})[:2] == [
        ("mAP voc07 at IoU 0.7", "0.1000"),
        ("mAP voc10 at IoU 0.7", "0.2000"),
    ]
    less = summary | {"localisation": None, "images_per_second": {}}
    assert summary_lines(less)[8:] == [("images", "120")]
    assert summary_lines(less | {"constant_box_map_voc07": None})[8:] == [("images", "120")]
    floor = ("constant box", "0.5000 (mAP voc07 of one box a class, the same in every picture)")
    assert summary_lines(less | {"constant_box_map_voc07": 0.5})[8:] == [floor, ("images", "120")]


def test_thresholds_between_neighbouring_numbers():
    """The middle between two of them would be one of them; the lower one is the last that keeps the other out."""
    for lower in np.linspace(0.1, 0.9, 9, dtype=np.float32):
        box, scores = (
            torch.tensor([[0.0, 0, 9, 9], [50, 50, 60, 60]]),
            np.array([np.nextafter(lower, np.float32(1)), lower]),
        )
        found = [box], [torch.tensor([1, 1])], [torch.from_numpy(scores)]
        true = [box[:1]], [torch.tensor([1])], [torch.tensor([0])]
        assert best_thresholds(match_detections(*found, *true, {"background": 0, "cat": 1})) == {"cat": lower}


def test_summary_of_nothing():
    none = ([], [], [])
    summary = summarize(match_detections(*none, *none, {"background": 0, "cat": 1}))
    assert summary["map_voc07"] is None and summary["localisation"] is None and summary["classes"][0]["objects"] == 0
    assert format_summary(summary).splitlines()[1].split() == ["cat", "0", "0", "0"] + ["n/a"] * 4


def test_without_the_coco_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    summary = summarize(match_detections(*random_case(0)))
    assert summary["coco"] is None
    text = format_summary(summary)
    assert "COCO AP             n/a (pip install hotcoco)" in text and "small" not in text
