"""The page's script decides as `detect_objects` does, and the numbers are those of `detect_objects`."""

import json

import torch

from ssd.explain.sections.suppression import defaults, ranked_candidates, section, stages
from ssd.model.boxes import cxcy_to_xy
from ssd.model.postprocess import detect_objects, select_detections
from tests.helpers.page_script import evaluate

CALL = "fates(each.candidates, each.min_score, each.max_overlap, each.top_k, each.max_per_class)"


def rows(boxes, labels, scores):
    """Detections as the page's candidates."""
    parts = zip(labels.tolist(), scores.tolist(), boxes.tolist(), strict=True)
    return [[label, score, *box] for label, score, box in parts]


def random_case(seed):
    """Boxes and probabilities of crowded priors, thresholds, and all candidates, best first."""
    generator = torch.Generator().manual_seed(seed)
    n, n_classes = 40, 4
    boxes = cxcy_to_xy(torch.rand(1, n, 4, generator=generator) * 0.3 + torch.tensor([0.3, 0.3, 0.1, 0.1])).clamp(0, 1)
    probabilities = torch.rand(1, n, n_classes, generator=generator)
    if seed % 4 == 0:  # equal scores
        probabilities = (probabilities * 8).round() / 8
    min_score, max_overlap = torch.rand(2, generator=generator).tolist()
    limits = {"top_k": 5 * (seed % 7), "max_per_class": 3 + seed % 30}
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, **limits}
    everything = [part[0] for part in select_detections(boxes, probabilities, 0.0, 1.0, n * n_classes)]
    found = [part[0] for part in select_detections(boxes, probabilities, **thresholds)]
    return {"candidates": rows(*everything), **thresholds}, rows(*found)


def test_script_against_select_detections_on_random_cases(tmp_path):
    cases, expected = zip(*map(random_case, range(200)), strict=True)
    found = evaluate(f"{json.dumps(cases)}.map(each => {CALL})", tmp_path, scripts=["suppression"])
    assert len(found) == 200
    kept = [
        [row for row, fate in zip(case["candidates"], fates, strict=True) if fate["stage"] == "kept"]
        for case, fates in zip(cases, found, strict=True)
    ]
    assert kept == list(expected)
    assert {fate["stage"] for fates in found for fate in fates} == {"score", "limit", "overlap", "top", "kept"}


def test_script_names_the_box_that_suppressed_another(tmp_path):
    rows = [[1, 0.9, 0, 0, 1, 1], [2, 0.8, 0, 0, 1, 1], [1, 0.7, 0, 0, 1, 0.5], [1, 0.6, 0, 0, 1, 0.4]]
    found = evaluate(f"fates({json.dumps(rows)}, 0.1, 0.45, 200, 400)", tmp_path, scripts=["suppression"])
    kept = {"stage": "kept"}
    assert found == [kept, kept, {"stage": "overlap", "by": 0, "overlap": 0.5}, kept]


def test_defaults_are_those_of_the_detector():
    assert defaults() == (0.2, 0.45, 200)


def test_page_at_the_defaults_shows_what_detect_objects_finds(subject, tmp_path):
    data = section(subject).data
    limits = f"{data['top_k']}, {data['max_per_class']}"
    min_score, max_overlap, top_k = defaults()
    expression = f"fates({json.dumps(data['candidates'])}, {min_score}, {max_overlap}, {limits})"
    fates = evaluate(expression, tmp_path, scripts=["suppression"])
    kept = [row for row, fate in zip(data["candidates"], fates, strict=True) if fate["stage"] == "kept"]
    found = detect_objects(
        subject.locs[None], subject.scores[None], subject.priors_cxcy, *defaults(), variances=subject.config.variances
    )
    expected = rows(*(part[0] for part in found))
    assert len(kept) == len(expected) > 0
    assert [row[0] for row in kept] == [row[0] for row in expected]
    torch.testing.assert_close(torch.tensor(kept), torch.tensor(expected), atol=1e-6, rtol=0)

    lost = [sum(fate["stage"] == stage for fate in fates) for stage in ("score", "limit", "overlap", "top")]
    assert stages(subject, defaults()) == [len(fates) - sum(lost[:k]) for k in (1, 2, 3, 4)]


def test_candidates_hold_everything_above_their_floor(subject):
    *_, scores, floor = ranked_candidates(subject)
    probabilities = subject.scores.softmax(dim=1)[:, 1:]
    assert 0.01 <= floor <= defaults().min_score
    assert len(scores) == (probabilities > floor).sum().item()
    assert scores.equal(scores.sort(descending=True).values)
