import re
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from ssd.errors import InputError
from ssd.evaluation import average_precisions, match_detections, summarize
from ssd.evaluation.report.gallery import best_detections, confident_false_positives, draw_case, missed_objects
from ssd.evaluation.report.mistakes import classify_errors, error_breakdown
from tests.helpers.detection_cases import EIGHT_DETECTIONS, FIVE_CATS, random_case

pytest.importorskip("matplotlib")
from ssd.evaluation.report import plots  # noqa: E402
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
    box = [[0, 0, 10, 10]]
    found = lists(*((box, [1], [score]) for score in (0.15, 0.25, -3.0)), ([[50, 50, 60, 60]], [1], [0.9]))
    true = lists(*[(box, [1], [0])] * 4)
    cases = missed_objects(match_detections(*found, *true, {"cat": 1}))
    low = [f"cat: found with a score of {score} only" for score in ("-3.00", "0.15")]
    assert [case.caption for case in cases] == ["cat: not found", *low]


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

    rows, columns = slice(192, 256), slice(192, 256)  # of the dog from 30 to 40, times 6.4; its lower edge is free
    edge = (picture[rows, columns][-3:] == (60, 200, 80)).all(axis=2).any(axis=0)
    assert edge.any() and not edge.all()  # dashed

    left, top, _, bottom = places(case.colour)  # its tag may reach further to the right
    assert (left, top, bottom) == (0, 0, 25)  # the detection's lower end is 4, times 6.4
    assert places((60, 200, 80))[2:] == (319, 255)  # the objects' right and lower ends: 50 and 40, times 6.4
    assert places((150, 190, 235))[2:] == (575, 575)  # the other detections end at 90


# -- diagrams, as matplotlib holds them

CAT_AND_COW = {"background": 0, "cat": 1, "$\\cow$" + "w" * 40: 2}  # no formula that matplotlib could read
SHORT_COW = "$\\cow$" + "w" * 17 + "…"


@pytest.fixture
def eight():
    """The cats of `test_eight_detections_by_hand`, and a class without objects, whose name is long and no formula."""
    return match_detections(*EIGHT_DETECTIONS, *FIVE_CATS, CAT_AND_COW)


def drawn(figure):
    """A figure can be drawn, with room beside its labels; the panels that are seen."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert not any(axes.title.get_parse_math() for axes in panels if axes.get_title())
    return panels


def test_precision_recall_figure_by_hand(eight):
    cats, cows = drawn(plots.precision_recall_figure(eight))
    assert cats.get_title() == "cat\nvoc07 0.364 / voc10 0.375" and cows.get_title() == SHORT_COW
    assert [text.get_text() for text in cows.texts] == ["no objects"]
    assert cats.get_xlabel() == cows.get_xlabel() == "recall"
    assert (cats.get_ylabel(), cows.get_ylabel()) == ("precision", "")
    curve, dot = cats.get_lines()
    assert curve.get_xydata().tolist() == [[1 / 4, 1 / 2], [2 / 4, 2 / 4], [3 / 4, 3 / 6]]
    assert dot.get_xydata().tolist() == [[3 / 4, 3 / 6]]
    assert shaded(cats) == pytest.approx(0.375)


def test_the_shaded_area_is_ap_voc10():
    matches = match_detections(*random_case(5))
    expected = average_precisions(matches, "voc10")
    for panel, name in zip(drawn(plots.precision_recall_figure(matches)), ("bird", "cat"), strict=False):
        assert panel.get_title().startswith(name) and shaded(panel) == pytest.approx(expected[name])


def shaded(panel):
    (area,) = panel.collections
    x, y = area.get_paths()[0].vertices.T
    return abs((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def test_scores_figure_by_hand(eight):
    figure = plots.scores_figure(eight)
    everything, cats, cows = drawn(figure)
    assert [panel.get_title() for panel in (everything, cats, cows)] == ["all classes", "cat", SHORT_COW]
    assert [text.get_text() for text in figure.legends[0].texts] == ["false positives", "true positives"]
    for panel in (everything, cats):
        wrong, right = (histogram(patch) for patch in panel.patches)
        assert wrong == {0.4: 1, 0.8: 1, 0.92: 1}  # bins of 0.04; the ignored 0.7 and 0.6 are neither
        assert right == {0.28: 1, 0.48: 1, 0.88: 1}
    assert [text.get_text() for text in cows.texts] == ["no detections"]


def histogram(patch):
    """Left end of each bin that is not empty -> height, of a `stepfilled` histogram."""
    x, y = patch.get_xy().T
    steps = [(a, round(float(h))) for a, b, h in zip(x, x[1:], y[1:], strict=False) if b > a and h >= 1]
    return {round(float(a), 6): h for a, h in steps}


def test_confusion_figure_by_hand():
    figure = plots.confusion_figure(np.array([[3, 1, 0], [0, 0, 0], [12345, 0, 0]]), list(CAT_AND_COW)[1:])
    axes, bar = drawn(figure)
    labels = ["cat", SHORT_COW, "background"]
    assert [label.get_text() for label in axes.get_xticklabels()] == labels
    assert [label.get_text() for label in axes.get_yticklabels()] == labels
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("detected as", "true class")
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25, 0], [0, 0, 0], [1, 0, 0]]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3", (1, 0): "1", (0, 2): "12k"}  # (column, row)
    assert bar.get_ylabel() == "share of the row"


def test_confusion_figure_of_many_classes_stays_small():
    figure = plots.confusion_figure(np.zeros((501, 501), dtype=int), [f"class {k}" for k in range(500)])
    assert max(figure.get_size_inches()) < 45


def test_errors_figure_by_hand():
    lost = {"classification": 0.2, "background": 0.05, "missed": float("nan")}
    (axes,) = drawn(plots.errors_figure({kind: {"count": 1, "ap_lost": value} for kind, value in lost.items()}))
    assert [label.get_text() for label in axes.get_yticklabels()] == list(lost)
    assert [bar.get_width() for bar in axes.patches] == [0.2, 0.05, 0]
    assert [text.get_text() for text in axes.texts] == [" 0.200", " 0.050", " n/a"]
    assert axes.yaxis_inverted() and axes.get_xlim()[0] == 0 and axes.get_xlim()[1] > 0.2


def test_a_detection_does_not_hide_an_object_of_the_same_box(tmp_path):
    """The case's own box is told by its index: the object of the same box is drawn below it."""
    box = [[10.0, 10, 90, 90]]
    matches = match_detections(*lists((box * 2, [1, 2], [0.9, 0.8])), *lists((box, [1], [0])), {"cat": 1, "dog": 2})
    Image.new("RGB", (100, 100)).save(tmp_path / "0.png")
    calls = []

    def recorded(picture, boxes, *args, **options):
        calls.append(len(boxes))
        return picture

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssd.evaluation.report.gallery.draw_boxes", recorded)
        draw_case(best_detections(matches)[0], matches, tmp_path / "0.png")
    assert calls == [1, 1, 1]  # the dog, the object, the cat
