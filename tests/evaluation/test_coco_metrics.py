from dataclasses import replace

import numpy as np
import pytest

from ssd.evaluation import match_detections
from ssd.evaluation.coco_metrics import coco_figures
from tests.helpers.detection_cases import random_case


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_classes, n_detections", [(4, 30), (4, 150), (1, 150)])  # the 100 best of a class count
def test_coco_figures_equal_pycocotools(seed, n_classes, n_detections):
    pytest.importorskip("hotcoco")
    pytest.importorskip("pycocotools")
    case = random_case(seed, n_images=20, n_classes=n_classes, n_detections=n_detections)
    matches = match_detections(*case)
    scale = 1 + 2 * (seed % 2)  # with 1, no object is large
    matches = replace(matches, det_boxes=scale * matches.det_boxes, true_boxes=scale * matches.true_boxes)
    of_all, small, medium, large = _pycocotools_precision(matches)
    expected = {"ap": of_all, "ap50": of_all[0], "ap75": of_all[5]}
    expected |= {"ap_small": small, "ap_medium": medium, "ap_large": large}
    means = {name: p[p > -1].mean() if (p > -1).any() else None for name, p in expected.items()}
    assert coco_figures(matches) == pytest.approx(means, abs=1e-12)
    assert (means["ap_large"] is None) == (scale == 1)


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
    return np.moveaxis(evaluation.eval["precision"][..., -1], 3, 0)


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
    nothing = dict.fromkeys(("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"))
    assert coco_figures(match_detections(*none[:3], *case[3:])) == dict.fromkeys(nothing, 0) | {"ap_large": None}
    assert coco_figures(match_detections(*case[:3], *none[3:], case[6])) == nothing
    assert coco_figures(match_detections(*[[]] * 6, case[6])) == nothing
