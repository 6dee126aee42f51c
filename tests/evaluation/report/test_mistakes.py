import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.evaluation import curves, match_detections
from ssd.evaluation.report.mistakes import KINDS, classify_errors, error_breakdown, without_errors
from tests.helpers.detection_cases import (
    BY_HAND,
    CATS_AND_DOGS,
    agreeable_case,
    hotcoco_evaluation,
    one_image,
    random_case,
    xywh,
)


def test_kinds_by_hand():
    errors = classify_errors(one_image(*BY_HAND))
    kinds = [KINDS[k] if k >= 0 else None for k in errors.det_kinds]
    assert kinds == [
        None,
        "duplicate",
        "localisation",
        "classification",
        "both",
        "background",
        None,
        "background",
        "localisation",
    ]
    assert errors.det_targets.tolist() == [-1, -1, 1, 2, -1, -1, -1, -1, 1]
    assert errors.missed.tolist() == [False, False, False, False, True]


def test_ap_lost_by_hand():
    """Cats: TP, then 6 FP, of 2 cats: AP 1/2 (area). Dogs: 1 FP, of 2 dogs: AP 0."""
    lost = error_breakdown(one_image(*BY_HAND), "voc10")
    assert {kind: values["count"] for kind, values in lost.items()} == {
        "classification": 1,
        "localisation": 2,
        "both": 1,
        "duplicate": 1,
        "background": 2,
        "missed": 1,
    }
    base = 1 / 4
    expected = {
        # The dog of 0.6 is found before the false dog of 0.2: AP 1/2; the cats gain nothing.
        "classification": (1 / 2 + 1 / 2) / 2,
        # The second cat is found third: precision 2/3 at recall 1.
        "localisation": (1 / 2 + 1 / 2 * 2 / 3 + 0) / 2,
        "both": base,
        "duplicate": base,
        "background": base,
        # One dog less, and the other is still not found.
        "missed": base,
    }
    assert {kind: values["ap_lost"] for kind, values in lost.items()} == pytest.approx(
        {kind: value - base for kind, value in expected.items()}
    )


def test_one_candidate_for_each_object():
    """Two dogs' boxes called cats on one dog: one is fixed, the other is gone; the object is not missed."""
    detections = [([0, 0, 10, 10], 1, 0.9), ([0, 0, 10, 9], 1, 0.8)]
    matches = one_image(detections, [([0, 0, 10, 10], 2, 0)])
    fixed = without_errors(matches, classify_errors(matches), "classification")
    assert fixed.det_classes.tolist() == [1, 0] and fixed.correct.tolist() == [True, False]
    assert fixed.ignored.tolist() == [False, True]
    assert error_breakdown(matches)["classification"] == {"count": 2, "ap_lost": pytest.approx(1)}
    assert error_breakdown(matches)["missed"] == {"count": 0, "ap_lost": 0}


def test_classes_that_are_wholly_missed():
    missed = one_image([([0, 0, 10, 10], 1, 0.9)], [([0, 0, 10, 10], 1, 0), ([20, 0, 30, 10], 2, 0)])
    assert error_breakdown(missed)["missed"] == {"count": 1, "ap_lost": pytest.approx(0.5)}
    all_missed = one_image([], [([20, 0, 30, 10], 2, 0)])
    assert error_breakdown(all_missed)["missed"] == {"count": 1, "ap_lost": 1}


def test_without_objects_nothing_is_lost_that_could_be_told():
    breakdown = error_breakdown(one_image([([0, 0, 10, 10], 1, 0.9)], []))
    assert breakdown["background"]["count"] == 1 and np.isnan(breakdown["background"]["ap_lost"])
    assert error_breakdown(one_image([], []))["missed"]["count"] == 0
    assert error_breakdown(match_detections(*[[]] * 6, CATS_AND_DOGS))["both"]["count"] == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_false_positive_has_a_kind_and_fixing_never_costs(seed):
    matches = match_detections(*random_case(seed))
    errors = classify_errors(matches)
    assert ((errors.det_kinds >= 0) == matches.false).all()
    assert not (errors.missed & matches.true_difficult).any()
    for values in error_breakdown(matches, "voc10").values():
        assert values["ap_lost"] >= -1e-12 or np.isnan(values["ap_lost"])


def mean_ap_at(matches, recalls):
    """mAP as the mean precision at these recalls, as tidecv and hotcoco take it at 101 of them."""
    aps = []
    for curve in curves(matches).values():
        best = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0)
        aps.append(best[np.searchsorted(curve.recall, recalls)].mean())
    return np.mean(aps)


def losses(matches, recalls):
    errors, base = classify_errors(matches), mean_ap_at(matches, recalls)
    return {kind: mean_ap_at(without_errors(matches, errors, kind), recalls) - base for kind in KINDS}


SHORT_NAMES = dict(zip(KINDS, ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_breakdown_equals_tidecv(seed):
    tidecv = pytest.importorskip("tidecv")
    from tidecv.data import Data

    matches = match_detections(*agreeable_case(seed))
    truth, found = Data("truth"), Data("found", max_dets=1000)
    for image in range(matches.n_images):
        truth.add_image(image, str(image))
    for image, label, box in zip(matches.true_images, matches.true_classes, xywh(matches.true_boxes), strict=True):
        truth.add_ground_truth(int(image), int(label), box.tolist())
    rows = zip(matches.det_images, matches.det_classes, matches.det_scores, xywh(matches.det_boxes), strict=True)
    for image, label, score, box in rows:
        found.add_detection(int(image), int(label), float(score), box.tolist())
    tide = tidecv.TIDE()
    run = tide.evaluate(truth, found, mode=tidecv.TIDE.BOX)
    counts = {kind.short_name: count for kind, count in run.count_errors().items()}
    assert {SHORT_NAMES[kind]: values["count"] for kind, values in error_breakdown(matches).items()} == counts
    lost = {SHORT_NAMES[kind]: 100 * value for kind, value in losses(matches, np.arange(101) / 100).items()}
    assert lost == pytest.approx(tide.get_main_errors()["found"], abs=1e-9)
    assert min(counts.values()) > 0 and 100 * mean_ap_at(matches, np.arange(101) / 100) == pytest.approx(run.ap)


@pytest.mark.parametrize("difficult", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_breakdown_equals_hotcoco(seed, difficult):
    case = agreeable_case(seed, difficult)
    matches = match_detections(*case)
    if difficult:
        # hotcoco ignores what lies inside a difficult object, the devkit what overlaps it: leave out what differs.
        hard = matches.true_difficult[matches.det_objects] & (matches.det_objects >= 0)
        kept = np.split(~hard | matches.ignored, np.cumsum([len(values) for values in case[2]])[:-1])
        found = [[t[torch.from_numpy(k)] for t, k in zip(values, kept, strict=True)] for values in case[:3]]
        matches = match_detections(*found, *case[3:])
        assert matches.ignored.any()
    expected = hotcoco_evaluation(matches).tide_errors()
    found = {SHORT_NAMES[kind]: values["count"] for kind, values in error_breakdown(matches).items()}
    assert found == expected["counts"]
    lost = {SHORT_NAMES[kind]: value for kind, value in losses(matches, np.linspace(0, 1, 101)).items()}
    assert lost == pytest.approx({kind: expected["delta_ap"][kind] for kind in lost}, abs=1e-9)
