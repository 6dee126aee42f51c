import sys
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from ssd.errors import InputError
from ssd.evaluation import match_detections, summarize
from ssd.evaluation.errors import classify_errors, error_breakdown
from ssd.evaluation.gallery import best_detections, confident_false_positives, draw_case, missed_objects
from tests.detection_cases import random_case

pytest.importorskip("matplotlib")
from ssd.evaluation.report import write_report  # noqa: E402


class Page(HTMLParser):
    """What a browser would load, the tags that were opened and closed, and the text."""

    EMPTY = {"meta", "img", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.loaded, self.open, self.tables, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in self.EMPTY:
            self.open.append(tag)
        self.loaded += [value for key, value in attributes if key in ("src", "href", "srcset")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{k:06d}.png" for k in range(12)]
    for k, path in enumerate(paths):
        Image.new("RGB", (150, 120), (20 * k, 100, 255 - 20 * k)).save(path)
    return [str(path) for path in paths]


def report(folder, case, pictures, **options):
    matches = match_detections(*case)
    path = write_report(folder, matches, summarize(matches), pictures, **options)
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == [] and path == folder / "report.html"
    assert "http" not in text and "url(" not in text and "$" not in page.text
    assert all(value.startswith(("data:image/", "#")) for value in page.loaded)
    return page, matches


def test_report(tmp_path, pictures):
    case = random_case(5)
    page, matches = report(
        tmp_path / "new" / "report", case, pictures, details=[("detections of", "Cats & <dogs>.pth")]
    )
    assert "Cats & <dogs>.pth" in page.text and "mAP voc07" in page.text
    classes, errors = page.tables
    assert [row[0] for row in classes] == ["class", "bird", "cat", "dog", "sofa"]
    summary = summarize(matches)
    assert classes[1][4] == f"{summary['classes'][0]['ap_voc07']:.4f}" and classes[4][4:] == ["n/a"] * 4
    counts = {row[0]: row[1] for row in errors[1:]}
    assert counts == {kind: str(values["count"]) for kind, values in error_breakdown(matches).items()}
    files = sorted(file.name for file in (tmp_path / "new" / "report").iterdir())
    drawn = [name for name in files if name.endswith(".jpg")]
    assert {"confusion.png", "errors.png", "precision_recall.png", "scores.png"} < set(files)
    assert {name.split("_")[0] for name in drawn} == {"best", "confident", "missed"}
    assert len([value for value in page.loaded if value.startswith("data:image/jpeg")]) == len(drawn)


def test_report_of_nothing_replaces_an_older_one(tmp_path, pictures):
    case = random_case(5)
    report(tmp_path, case, pictures)
    assert list(tmp_path.glob("best_*.jpg"))
    none = [[values[:0] for values in case[k]] for k in range(6)]
    page, _ = report(tmp_path, (*none, case[6]), pictures)
    assert page.text.count("None.") == 3 and not list(tmp_path.glob("*.jpg"))
    report(tmp_path, ([],) * 6 + (case[6],), [])
    report(tmp_path, (*none[:3], *case[3:]), pictures)  # objects, but no detections
    report(tmp_path, (*case[:3], *none[3:], case[6]), pictures)  # detections, but no objects


def test_missing_pictures_and_libraries(tmp_path, pictures, monkeypatch):
    matches = match_detections(*random_case(5))
    with pytest.raises(InputError, match="nowhere.jpg"):
        write_report(tmp_path, matches, summarize(matches), ["nowhere.jpg"] * 12)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match=r'pip install -e ".\[plots\]"'):
        write_report(tmp_path, matches, summarize(matches), pictures)


def lists(*images):
    boxes = [torch.tensor(b, dtype=torch.float32).reshape(-1, 4) for b, _, _ in images]
    return boxes, [torch.tensor(k) for _, k, _ in images], [torch.tensor(v) for _, _, v in images]


@pytest.fixture
def by_hand():
    """Two pictures; cats 1, dogs 2."""
    found = lists(
        ([[0, 0, 10, 10], [50, 50, 90, 90], [0, 0, 10, 4]], [1, 1, 1], [0.7, 0.9, 0.95]),
        ([[0, 0, 10, 10], [20, 0, 30, 10]], [1, 2], [0.8, 0.1]),
    )
    true = lists(
        ([[0, 0, 10, 10], [30, 30, 40, 40], [30, 0, 50, 20]], [1, 2, 2], [0, 0, 1]),
        ([[0, 0, 10, 10], [20, 0, 30, 10], [60, 60, 80, 80]], [2, 2, 1], [0, 0, 0]),
    )
    return match_detections(*found, *true, {"cat": 1, "dog": 2})


def test_choice_of_pictures_by_hand(by_hand):
    wrong = confident_false_positives(by_hand, classify_errors(by_hand))
    assert [case.caption for case in wrong] == [
        "cat 0.95: localisation, IoU 0.40 with cat",
        "cat 0.80: classification, IoU 1.00 with dog",
    ]
    assert [case.image for case in wrong] == [0, 1]
    assert [(case.image, case.caption) for case in missed_objects(by_hand)] == [
        (1, "cat: not found"),
        (0, "dog: not found"),
    ]
    assert [case.caption for case in missed_objects(by_hand, min_score=0.9)] == ["cat: not found", "dog: not found"]
    assert [case.caption for case in best_detections(by_hand)] == ["cat 0.70, IoU 1.00", "dog 0.10, IoU 1.00"]
    assert len(best_detections(by_hand, n=1)) == 1


def test_captions_name_difficult_objects():
    found = lists(([[0, 0, 10, 10], [50, 0, 60, 10]], [1, 1], [0.9, 0.8]))
    true = lists(([[0, 0, 10, 9], [50, 0, 60, 4]], [2, 2], [1, 1]))
    matches = match_detections(*found, *true, {"cat": 1, "dog": 2})
    cases = confident_false_positives(matches, classify_errors(matches))
    assert [case.caption for case in cases] == ["cat 0.90: background, IoU 0.90 with dog (difficult)"]
    matches = match_detections(*([values[0][1:]] for values in found), *true, {"cat": 1, "dog": 2})
    cases = confident_false_positives(matches, classify_errors(matches))
    assert [case.caption for case in cases] == ["cat 0.80: background"]


def test_objects_found_with_a_low_score_count_as_missed():
    found = lists(([[0, 0, 10, 10]], [1], [0.15]), ([[0, 0, 10, 10]], [1], [0.25]))
    true = lists(([[0, 0, 10, 10]], [1], [0]), ([[0, 0, 10, 10]], [1], [0]))
    cases = missed_objects(match_detections(*found, *true, {"cat": 1}))
    assert [case.caption for case in cases] == ["cat: found with a score of 0.15 only"]


def test_best_detections_take_turns_between_classes():
    found = lists(*(([[0, 0, 10, 10]], [label], [score]) for label, score in ((1, 0.9), (1, 0.8), (2, 0.5))))
    true = lists(*(([[0, 0, 10, 10]], [label], [0]) for label in (1, 1, 2)))
    matches = match_detections(*found, *true, {"cat": 1, "dog": 2})
    assert [case.tag for case in best_detections(matches)] == ["cat 0.90", "dog 0.50", "cat 0.80"]


def test_drawn_cases(by_hand, tmp_path):
    """Truth and detections in colours of their own, at the right places of the enlarged picture."""
    Image.new("RGB", (100, 100)).save(tmp_path / "0.png")
    case = confident_false_positives(by_hand, classify_errors(by_hand))[0]
    picture = np.asarray(draw_case(case, by_hand, tmp_path / "0.png")).astype(int)
    assert picture.shape == (640, 640, 3)

    def places(colour):
        rows, columns = np.nonzero((picture == colour).all(axis=2))
        return columns.min(), rows.min(), columns.max(), rows.max()

    left, top, _, bottom = places(case.colour)  # its tag may reach further to the right
    assert (left, top, bottom) == (0, 0, 25)  # the detection's lower end is 4, times 6.4
    assert places((60, 200, 80))[2:] == (319, 255)  # the objects' right and lower ends: 50 and 40, times 6.4
    assert places((150, 190, 235))[2:] == (575, 575)  # the other detections end at 90
