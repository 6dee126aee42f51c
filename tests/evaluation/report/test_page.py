import re
import sys
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image

from ssd.errors import InputError
from ssd.evaluation import match_detections, summarize
from ssd.evaluation.report.mistakes import error_breakdown
from tests.helpers.detection_cases import random_case

pytest.importorskip("matplotlib")
from ssd.evaluation.report.page import write_report  # noqa: E402


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
    own = re.sub(r"data:image/[a-z]+;base64,[A-Za-z0-9+/=]+", "", text)
    assert "http" not in own and "url(" not in own and "$" not in page.text
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
    assert errors[0] == ["error", "count", "AP lost", "meaning"]
    assert [row[:3] for row in errors[1:]] == [
        [kind, str(values["count"]), f"{values['ap_lost']:.4f}"] for kind, values in error_breakdown(matches).items()
    ]
    assert errors[2][3] == "the class is right, the box is off (IoU from 0.1 to 0.5)"
    files = sorted(file.name for file in (tmp_path / "new" / "report").iterdir())
    drawn = [name for name in files if name.endswith(".jpg")]
    assert {"confusion.png", "errors.png", "precision_recall.png", "scores.png"} < set(files)
    assert {name.split("_")[0] for name in drawn} == {"best", "confident", "missed"}
    assert len([value for value in page.loaded if value.startswith("data:image/jpeg")]) == len(drawn)


def test_objects_that_only_low_scores_find(tmp_path, pictures):
    """They are in the last column of the confusion matrix and not missed: the page says how both can be."""
    boxes = [torch.tensor([[10.0, 10, 60, 60]]) for _ in pictures]
    labels, scores = [torch.tensor([1])] * 12, torch.linspace(0.06, 0.61, 12)
    case = (boxes, labels, list(scores.split(1)), boxes, labels, [torch.tensor([0])] * 12, {"background": 0, "cat": 1})
    page, _ = report(tmp_path, case, pictures)
    (missed,) = (row for row in page.tables[1] if row[0] == "missed")
    assert missed[1:2] + missed[3:] == ["0", "no detection of any score comes near the object"]
    text = " ".join(page.text.split())
    assert "objects that none of them found, 3 in all; 0 are missed at any score (see errors)" in text


def test_report_of_nothing_replaces_an_older_one(tmp_path, pictures):
    case = random_case(5)
    report(tmp_path, case, pictures)
    assert list(tmp_path.glob("best_*.jpg"))
    none = [[values[:0] for values in case[k]] for k in range(6)]
    page, _ = report(tmp_path, (*none, case[6]), pictures)
    assert page.text.count("None.") == 3 and not list(tmp_path.glob("*.jpg"))
    report(tmp_path, ([],) * 6 + (case[6],), [])
    report(tmp_path, (*none[:3], *case[3:]), pictures)  # objects, but no detections
    page, _ = report(tmp_path, (*case[:3], *none[3:], case[6]), pictures)  # detections, but no objects
    assert [row[2] for row in page.tables[1][1:]] == ["n/a"] * 6


def test_a_full_disk_leaves_the_old_page(tmp_path, pictures, small_files):
    case = random_case(5)
    report(tmp_path, case, pictures)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    small_files(len(before["report.html"]) - 1)
    with pytest.raises(InputError, match="report.html: cannot be written"):
        report(tmp_path, case, pictures)
    assert (tmp_path / "report.html").read_bytes() == before["report.html"]
    assert {file.name for file in tmp_path.iterdir()} == set(before)


def test_missing_pictures_and_libraries(tmp_path, pictures, monkeypatch):
    matches = match_detections(*random_case(5))
    with pytest.raises(InputError, match="nowhere.jpg"):
        write_report(tmp_path, matches, summarize(matches), ["nowhere.jpg"] * 12)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        write_report(tmp_path, matches, summarize(matches), pictures)
