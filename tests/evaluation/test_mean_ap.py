import contextlib
import io
from math import isnan, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.errors import InputError
from ssd.evaluation import average_precisions, best_f1, calculate_mAP, curves, match_detections
from tests.helpers.detection_cases import (
    EIGHT_DETECTIONS,
    FIVE_CATS,
    FIVE_CATS_IN_ONE,
    LABEL_MAP,
    ONE_CLASS,
    lists,
    random_case,
)

SEEDS = st.integers(0, 2**32 - 1)


def test_eight_detections_by_hand():
    matches = match_detections(*EIGHT_DETECTIONS, *FIVE_CATS, ONE_CLASS)
    assert matches.correct.tolist() == [True, False, False, False, True, False, False, True]
    assert matches.ignored.tolist() == [False, False, True, True, False, False, False, False]
    assert matches.det_objects.tolist() == [0, 0, 2, 2, 1, 3, 3, 3]
    assert matches.true_found.tolist() == [0, 4, -1, 7, -1]
    assert matches.n_images == 2 and matches.true_images.tolist() == [0, 0, 0, 1, 1]
    curve = curves(matches)["cat"]
    # FP .95, TP .9, FP .8, ignored .7 and .6, TP .5, FP .4, TP .3
    assert curve.precision.tolist() == [0, 1 / 2, 1 / 3, 1 / 3, 1 / 3, 2 / 4, 2 / 5, 3 / 6]
    assert curve.recall.tolist() == [0, 1 / 4, 1 / 4, 1 / 4, 1 / 4, 2 / 4, 2 / 4, 3 / 4]
    # Precision is 1/2 at the recalls 0 to 0.7 and 0 at 0.8, 0.9 and 1.
    aps, mean = calculate_mAP(*EIGHT_DETECTIONS, *FIVE_CATS, ONE_CLASS)
    assert aps == {"cat": pytest.approx(8 * 0.5 / 11, abs=1e-15)} and mean == aps["cat"]
    aps, _ = calculate_mAP(*EIGHT_DETECTIONS, *FIVE_CATS, ONE_CLASS, interpolation="voc10")
    assert aps["cat"] == 0.75 * 0.5
    # F1 = 2 * 3 / (6 detections + 4 objects) with all of them
    assert best_f1(curve) == (pytest.approx(0.6), np.float32(0.3))


def test_voc07_compares_recall_in_float64_with_the_thresholds_of_arange():
    """Three of ten objects found is recall 0.3, below np.arange's 0.30000000000000004: precision 1 counts thrice."""
    boxes = [[20.0 * i, 0, 20 * i + 10, 10] for i in range(10)]
    det = lists((boxes[:3], [1] * 3, [0.9, 0.8, 0.7]))
    assert calculate_mAP(*det, *lists((boxes, [1] * 10, [0] * 10)), ONE_CLASS)[1] == pytest.approx(3 / 11, abs=1e-15)


def test_equal_scores_keep_their_order():
    """The first of two equal detections is the true positive: AP 1 if it is the right one, 1/2 if not."""
    true = lists(([[0, 0, 10, 10]], [1], [0]), ([], [], []))
    right, wrong = ([[0, 0, 10, 10]], [1], [0.5]), ([[0, 0, 10, 10]], [1], [0.5])
    assert calculate_mAP(*lists(right, wrong), *true, ONE_CLASS)[1] == 1
    assert calculate_mAP(*lists(wrong, right), *[values[::-1] for values in true], ONE_CLASS)[1] == 0.5


def test_classes_without_objects_and_without_detections():
    label_map = {"background": 0, "absent": 1, "difficult": 2, "missed": 3, "found": 4}
    true = lists(([[0, 0, 9, 9], [20, 0, 29, 9], [40, 0, 49, 9]], [2, 3, 4], [1, 0, 0]))
    det = lists(([[0, 0, 9, 9], [0, 0, 9, 9], [40, 0, 49, 9]], [1, 2, 4], [0.9, 0.9, 0.9]))
    aps, mean = calculate_mAP(*det, *true, label_map)
    assert isnan(aps["absent"]) and isnan(aps["difficult"]) and list(aps) == ["absent", "difficult", "missed", "found"]
    assert (aps["missed"], aps["found"], mean) == (0, 1, 0.5)
    f1 = {name: best_f1(curve) for name, curve in curves(match_detections(*det, *true, label_map)).items()}
    assert np.isnan(f1["absent"]).all() and f1["missed"][0] == 0 and isnan(f1["missed"][1])
    assert f1["found"] == (1, np.float32(0.9))


@pytest.mark.parametrize("interpolation", ["voc07", "voc10"])
def test_nothing_at_all(interpolation):
    none = ([], [], [])
    aps, mean = calculate_mAP(*none, *none, ONE_CLASS, interpolation=interpolation)
    assert list(aps) == ["cat"] and isnan(aps["cat"]) and isnan(mean)
    assert calculate_mAP(*lists(([], [], [])), *FIVE_CATS_IN_ONE, ONE_CLASS, interpolation=interpolation)[1] == 0
    assert isnan(calculate_mAP(*none, *none, {"background": 0}, interpolation=interpolation)[1])
    legacy = [torch.zeros(0)]  # an empty tensor without its four columns
    assert isnan(calculate_mAP(legacy, legacy, legacy, legacy, legacy, legacy, ONE_CLASS)[1])


def test_f1_threshold_cannot_part_equal_scores():
    true = lists(([[0, 0, 10, 10]], [1], [0]))
    det = lists(([[0, 0, 10, 10], [50, 0, 60, 10], [70, 0, 80, 10]], [1, 1, 1], [0.5, 0.5, 0.25]))
    curve = curves(match_detections(*det, *true, ONE_CLASS))["cat"]
    assert best_f1(curve) == (pytest.approx(2 / 3), 0.5)


def test_boxes_without_area_match_nothing():
    true = lists(([[5, 5, 5, 5]], [1], [0]))
    assert calculate_mAP(*lists(([[5, 5, 5, 5], [9, 9, 1, 1]], [1, 1], [0.9, 0.8])), *true, ONE_CLASS)[1] == 0


def devkit_ap(det, true, label, interpolation, threshold=0.5):
    """VOCevaldet.m and VOCap.m, detection by detection, in 1-based inclusive pixels."""
    ranked = sorted(
        ((-float(s), i, j) for i, scores in enumerate(det[2]) for j, s in enumerate(scores)), key=lambda d: d[0]
    )
    used, tps, fps = set(), [], []
    for _, i, j in ranked:
        if det[1][i][j] != label:
            continue
        x1, y1, x2, y2 = (float(v) for v in det[0][i][j])
        best, best_iou = None, -np.inf
        for k, box in enumerate(true[0][i]):
            a1, b1, a2, b2 = (float(v) for v in box)
            w = min(x2, a2) - (max(x1, a1) + 1) + 1
            h = min(y2, b2) - (max(y1, b1) + 1) + 1
            if true[1][i][k] != label or w <= 0 or h <= 0:
                continue
            area = (x2 - (x1 + 1) + 1) * (y2 - (y1 + 1) + 1) + (a2 - (a1 + 1) + 1) * (b2 - (b1 + 1) + 1) - w * h
            if w * h / area > best_iou:
                best, best_iou = k, w * h / area
        matched = best_iou >= threshold
        if matched and true[2][i][best]:
            tp, fp = 0, 0
        elif matched and (i, best) not in used:
            used.add((i, best))
            tp, fp = 1, 0
        else:
            tp, fp = 0, 1
        tps.append(tp), fps.append(fp)
    n = sum(
        int(lab == label and not diff)
        for labs, diffs in zip(true[1], true[2], strict=True)
        for lab, diff in zip(labs, diffs, strict=True)
    )
    if n == 0:
        return nan
    points, tp, fp = [], 0, 0
    for a, b in zip(tps, fps, strict=True):
        tp, fp = tp + a, fp + b
        points.append((tp / n, tp / max(tp + fp, 1)))
    if interpolation == "voc07":
        return sum(max([p for r, p in points if r >= t], default=0) / 11 for t in np.arange(0.0, 1.1, 0.1))
    recalls = [0.0] + [r for r, _ in points]
    return sum(
        (recalls[k + 1] - recalls[k]) * max(p for r, p in points if r >= recalls[k + 1]) for k in range(len(points))
    )


@pytest.mark.parametrize("interpolation", ["voc07", "voc10"])
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, threshold=st.sampled_from([0.3, 0.5, 0.75, 1.0]))
def test_equals_the_devkit_detection_by_detection(interpolation, seed, threshold):
    case = random_case(seed)
    aps, mean = calculate_mAP(*case, iou_threshold=threshold, interpolation=interpolation)
    expected = {
        name: devkit_ap(case[:3], case[3:6], label, interpolation, threshold)
        for name, label in case[-1].items()
        if label > 0
    }
    assert aps == pytest.approx(expected, abs=1e-12, nan_ok=True)
    present = [ap for ap in expected.values() if not isnan(ap)]
    assert mean == pytest.approx(np.mean(present) if present else nan, abs=1e-12, nan_ok=True)


def pycocotools_ap(case, recalls, label):
    """AP of one class as the mean of pycocotools' precisions at these recalls, at IoU 0.5."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def rows(boxes, labels, values):
        for i, image in enumerate(zip(boxes, labels, values, strict=True)):
            for box, lab, value in zip(*(tensor.tolist() for tensor in image), strict=True):
                x1, y1, x2, y2 = box
                yield i + 1, [x1, y1, x2 - x1, y2 - y1], lab, value

    truth = [
        {"id": k, "image_id": i, "category_id": lab, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for k, (i, box, lab, _) in enumerate(rows(*case[3:6]), start=1)
    ]
    found = [{"image_id": i, "category_id": lab, "bbox": box, "score": score} for i, box, lab, score in rows(*case[:3])]
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = {
            "images": [{"id": i + 1} for i in range(len(case[0]))],
            "categories": [{"id": label} for label in case[-1].values() if label > 0],
            "annotations": truth,
        }
        ground_truth.createIndex()
        evaluation = COCOeval(ground_truth, ground_truth.loadRes(found), "bbox")
        evaluation.params.iouThrs, evaluation.params.recThrs = np.array([0.5]), np.asarray(recalls)
        evaluation.params.maxDets, evaluation.params.catIds = [1000], [label]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][0, :, 0, 0, 0]
    return precision.mean() if (precision > -1).all() else nan


def without_difficult(case):
    return (*case[:5], [torch.zeros_like(difficult) for difficult in case[5]], case[6])


@pytest.mark.parametrize("seed", range(8))
def test_equals_pycocotools_where_objects_stand_apart(seed):
    """No detection reaches two objects, so COCO's matching rule gives the devkit's matches."""
    pytest.importorskip("pycocotools")
    case = without_difficult(random_case(seed, apart=True))
    voc07, voc10 = calculate_mAP(*case)[0], calculate_mAP(*case, interpolation="voc10")[0]
    objects = torch.bincount(torch.cat(case[4]), minlength=5)
    for name, label in list(case[-1].items())[1:]:
        n = int(objects[label])
        assert voc07[name] == pytest.approx(
            pycocotools_ap(case, np.arange(0.0, 1.1, 0.1), label), abs=1e-9, nan_ok=True
        )
        # The area under the curve is the mean of the precisions at the recalls 1/n, 2/n, ..., 1.
        recalls = np.arange(1, n + 1) / n if n else [1.0]
        assert voc10[name] == pytest.approx(pycocotools_ap(case, recalls, label), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", range(3))
def test_equals_torchmetrics_where_objects_stand_apart(seed):
    detection = pytest.importorskip("torchmetrics.detection")
    case = without_difficult(random_case(seed, n_images=30, apart=True))
    metric = detection.MeanAveragePrecision(
        iou_thresholds=[0.5], rec_thresholds=np.arange(0.0, 1.1, 0.1).tolist(), max_detection_thresholds=[1, 10, 100]
    )
    keys = ("boxes", "labels", "scores")
    metric.update(
        [dict(zip(keys, image, strict=True)) for image in zip(*case[:3], strict=True)],
        [dict(zip(keys[:2], image, strict=True)) for image in zip(*case[3:5], strict=True)],
    )
    assert calculate_mAP(*case)[1] == pytest.approx(float(metric.compute()["map"]), abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_difficult_objects_neither_reward_nor_punish(seed):
    """Detections that lie on difficult objects can be taken out, and nothing changes."""
    case = random_case(seed)
    matches = match_detections(*case)
    kept = np.split(~matches.ignored, np.cumsum([len(scores) for scores in case[2]])[:-1])
    without = [[t[torch.from_numpy(k)] for t, k in zip(values, kept, strict=True)] for values in case[:3]]
    for interpolation in ("voc07", "voc10"):
        fewer = average_precisions(match_detections(*without, *case[3:]), interpolation)
        assert fewer == pytest.approx(average_precisions(matches, interpolation), abs=1e-15, nan_ok=True)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_perfect_detections(seed):
    case = random_case(seed, apart=True)
    scores = [torch.ones(len(labels)) for labels in case[4]]
    for interpolation in ("voc07", "voc10"):
        aps, mean = calculate_mAP(case[3], case[4], scores, *case[3:], interpolation=interpolation)
        assert all(isnan(ap) or ap == pytest.approx(1, abs=1e-12) for ap in aps.values())
        assert isnan(mean) or mean == pytest.approx(1, abs=1e-12)


def test_arguments_are_left_alone():
    case, same = random_case(1), random_case(1)
    calculate_mAP(*case)
    assert all(torch.equal(a, b) for x, y in zip(case[:6], same[:6], strict=True) for a, b in zip(x, y, strict=True))


def test_label_map_in_any_order_and_with_gaps():
    case = random_case(2)
    spread = [[labels * 10 for labels in case[k]] for k in (1, 4)]
    label_map = {name: label * 10 for name, label in reversed(case[-1].items())}
    aps, _ = calculate_mAP(case[0], spread[0], case[2], case[3], spread[1], case[5], label_map)
    assert aps == pytest.approx(calculate_mAP(*case)[0], nan_ok=True) and list(aps) == list(LABEL_MAP)[1:]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"iou_threshold": 0}, "the IoU threshold is 0"),
        ({"interpolation": "coco"}, "the interpolation is 'coco'"),
        ({"det_scores": [torch.tensor([0.5, nan])]}, "image 0 has the score NaN"),
        ({"det_labels": [torch.tensor([1, 2])]}, "image 0 has the label 2 in det_labels"),
        ({"true_labels": [torch.tensor([0])]}, "image 0 has the label 0 in true_labels"),
        ({"det_labels": [torch.tensor([1])]}, "image 0 has 2 rows in det_boxes and 1 in det_labels"),
        ({"det_labels": []}, "det_labels has 0 images and true_boxes 1"),
    ],
)
def test_bad_input(change, message):
    good = {
        "det_boxes": [torch.zeros(2, 4)],
        "det_labels": [torch.tensor([1, 1])],
        "det_scores": [torch.tensor([0.5, 0.5])],
        "true_boxes": [torch.zeros(1, 4)],
        "true_labels": [torch.tensor([1])],
        "true_difficulties": [torch.tensor([0])],
        "label_map": ONE_CLASS,
    }
    calculate_mAP(**good)
    with pytest.raises(InputError, match=message):
        calculate_mAP(**(good | change))
