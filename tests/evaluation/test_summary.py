import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssd.evaluation import average_precisions, format_summary, match_detections, summarize
from ssd.evaluation.coco_metrics import coco_figures
from ssd.evaluation.localisation import top1_localisation
from ssd.evaluation.summary import summary_lines
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


def test_summary_lines_by_hand():
    summary = {
        "images": 120,
        "iou_threshold": 0.5,
        "map_voc07": 0.1,
        "map_voc10": 0.2,
        "coco": {"ap": 0.3, "ap50": 0.4, "ap75": None},
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
    assert summary_lines(summary | {"localisation": None, "images_per_second": {}})[5:] == [("images", "120")]


def test_summary_of_nothing():
    none = ([], [], [])
    summary = summarize(match_detections(*none, *none, {"background": 0, "cat": 1}))
    assert summary["map_voc07"] is None and summary["localisation"] is None and summary["classes"][0]["objects"] == 0
    assert format_summary(summary).splitlines()[1].split() == ["cat", "0", "0", "0"] + ["n/a"] * 4


def test_without_the_coco_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    summary = summarize(match_detections(*random_case(0)))
    assert summary["coco"] is None
    assert 'COCO AP             n/a (pip install -e ".[eval]")' in format_summary(summary)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes, n_detections", [(4, 30), (4, 150), (1, 150)])  # the 100 best of a class count
def test_coco_figures_equal_pycocotools(seed, n_classes, n_detections):
    pytest.importorskip("hotcoco")
    pytest.importorskip("pycocotools")
    case = random_case(seed, n_images=20, n_classes=n_classes, n_detections=n_detections)
    matches = match_detections(*case)
    precision = _pycocotools_precision(matches)
    expected = [precision, precision[0], precision[5]]
    assert list(coco_figures(matches).values()) == pytest.approx([p[p > -1].mean() for p in expected], abs=1e-12)


def _pycocotools_precision(matches):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, found = COCO(), COCO()
    images = [{"id": k + 1} for k in range(matches.n_images)]
    categories = [{"id": k + 1} for k in range(len(matches.names))]
    rows = zip(matches.true_images, matches.true_classes, matches.true_boxes, matches.true_difficult, strict=True)
    truth.dataset = {
        "images": images,
        "categories": categories,
        "annotations": [_annotation(k, *row[:3]) | {"iscrowd": int(row[3])} for k, row in enumerate(rows, start=1)],
    }
    rows = zip(matches.det_images, matches.det_classes, matches.det_boxes, matches.det_scores, strict=True)
    found.dataset = {
        "images": images,
        "categories": categories,
        "annotations": [_annotation(k, *row[:3]) | {"score": row[3]} for k, row in enumerate(rows, start=1)],
    }
    truth.createIndex()
    found.createIndex()
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1]


def _annotation(number, image, category, box):
    x1, y1, x2, y2 = box.tolist()
    return {
        "id": number,
        "image_id": int(image) + 1,
        "category_id": int(category) + 1,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "area": (x2 - x1) * (y2 - y1),
    }


def test_coco_figures_without_detections_and_without_objects():
    pytest.importorskip("hotcoco")
    case = random_case(0)
    none = [[values[:0] for values in case[k]] for k in range(6)]
    assert coco_figures(match_detections(*none[:3], *case[3:])) == {"ap": 0, "ap50": 0, "ap75": 0}
    nothing = {"ap": None, "ap50": None, "ap75": None}
    assert coco_figures(match_detections(*case[:3], *none[3:], case[6])) == nothing
    assert coco_figures(match_detections(*[[]] * 6, case[6])) == nothing


def one_object_each(boxes, labels, scores):
    """Four pictures with one cat each at (0, 0, 10, 10)."""
    true = [torch.tensor([[0.0, 0, 10, 10]])] * 4, [torch.tensor([1])] * 4, [torch.tensor([0])] * 4
    return match_detections(boxes, labels, scores, *true, {"cat": 1, "dog": 2})


def test_top1_localisation_by_hand():
    boxes = [
        torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 5]]),  # the better score is the worse box: IoU 0.5
        torch.tensor([[0.0, 0, 10, 10]]),  # right box, wrong class
        torch.tensor([[0.0, 0, 10, 4], [0, 0, 10, 10]]),  # equal scores: the cat's, IoU 0.4
        torch.zeros(0, 4),
    ]
    labels = [torch.tensor([1, 1]), torch.tensor([2]), torch.tensor([1, 2]), torch.zeros(0, dtype=torch.int64)]
    scores = [torch.tensor([0.5, 0.9]), torch.tensor([0.9]), torch.tensor([0.7, 0.7]), torch.zeros(0)]
    matches = one_object_each(boxes, labels, scores)
    assert top1_localisation(matches) == pytest.approx({"accuracy": 0.5, "mean_iou": 1.9 / 4, "both": 0.25})
    assert top1_localisation(replace(matches, iou_threshold=0.6))["both"] == 0
    assert "top-1 mean IoU      0.4750" in format_summary(summarize(matches))


def test_top1_localisation_only_for_one_object_a_picture():
    case = random_case(0)
    assert top1_localisation(match_detections(*case)) is None
    cat = [torch.tensor([[0.0, 0, 10, 10]])], [torch.tensor([1])]
    for difficult, expected in ((0, {"accuracy": 1, "mean_iou": 1, "both": 1}), (1, None)):
        matches = match_detections(*cat, [torch.tensor([0.5])], *cat, [torch.tensor([difficult])], {"cat": 1})
        assert top1_localisation(matches) == expected
