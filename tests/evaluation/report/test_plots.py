import warnings

import numpy as np
import pytest

from ssd.evaluation import average_precisions, match_detections
from tests.helpers.detection_cases import EIGHT_DETECTIONS, FIVE_CATS, random_case

pytest.importorskip("matplotlib")
from ssd.evaluation.report import plots  # noqa: E402

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


def test_thresholds_figure_by_hand(eight):
    figure = plots.thresholds_figure(eight)
    f1, precision = drawn(figure)
    assert f1.get_title() == "F1, whose mean is best at 0.30: 0.600"
    assert [text.get_text() for text in figure.legends[0].texts] == ["cat", "mean"]
    for cats in (precision.get_lines()[0], f1.get_lines()[0]):
        heights = dict(zip(cats.get_xdata().round(3).tolist(), cats.get_ydata().tolist(), strict=True))
        shown = [heights[score] for score in (0.1, 0.29, 0.31, 0.49, 0.51, 0.89, 0.94, 0.955)]
        if cats.axes is precision:  # of 6, 6, 5, 4, 3, 2, 1 and 0 that count
            assert shown == pytest.approx([3 / 6, 3 / 6, 2 / 5, 2 / 4, 1 / 3, 1 / 2, 0, np.nan], nan_ok=True)
        else:  # there are 4 objects
            assert shown == pytest.approx([6 / 10, 6 / 10, 4 / 9, 4 / 8, 2 / 7, 2 / 6, 0, 0])


def test_thresholds_of_many_classes_and_of_none():
    *case, boxes, labels, difficulties, _ = random_case(5, n_images=40)
    label_map = {"background": 0} | {f"class {k}": k for k in range(1, 41)}
    many = [each + k % 20 for k, each in enumerate(labels)]
    figure = plots.thresholds_figure(match_detections(*case, boxes, many, difficulties, label_map))
    assert len(drawn(figure)[0].get_lines()) == 20
    assert [text.get_text() for text in figure.legends[0].texts] == ["mean"]
    none = ([], [], [])
    drawn(plots.thresholds_figure(match_detections(*none, *none, CAT_AND_COW)))


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
