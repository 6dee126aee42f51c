import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssd.training.run import curves
from ssd.training.run.results import COLUMNS


def test_smoothing_by_hand():
    values = np.array([1.0, 2, np.nan, 4, 6])
    np.testing.assert_allclose(curves.smooth(values, 3), [1.5, 1.5, np.nan, 5, 5])
    np.testing.assert_array_equal(curves.smooth(values, 1), values)
    assert curves.smooth(values[:0], 1).shape == (0,)


@settings(max_examples=20)
@given(st.integers(0, 60), st.sampled_from([1, 3, 7, 21]), st.integers(0, 99))
def test_smoothing_is_the_mean_of_the_neighbours(n, window, seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))
    around = [values[max(k - window // 2, 0) : k + window // 2 + 1] for k in range(n)]
    expected = [np.nan if np.isnan(v) else np.nanmean(part) for v, part in zip(values, around, strict=True)]
    np.testing.assert_allclose(curves.smooth(values, window), expected, atol=1e-12)


def run_of(n):
    rows = [
        {"lr": 1e-3, "train_loss": 100 / k + 2, "train_iou": 0.5}
        | ({"val_mAP": k / n / 2} if k % (n // 2) == 0 else {})
        for k in range(1, n + 1)
    ]
    return {c: np.array([{"iteration": k, **r}.get(c, np.nan) for k, r in enumerate(rows, 1)]) for c in COLUMNS}


def drawn_panels(results):
    pytest.importorskip("matplotlib")
    figure = curves.results_figure(results)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    return {panel.get_title(): panel for panel in figure.axes}


def test_curves_of_a_long_run():
    found = drawn_panels(run_of(10_000))
    loss = found["loss, in all"]
    faint, smoothed = (line for line in loss.get_lines() if len(line.get_xdata()))
    assert faint.get_alpha() < 0.5 and max(faint.get_ydata()) == 102  # which is out of sight
    assert smoothed.get_ydata()[-1] == pytest.approx(2.01, abs=0.01)
    assert 2.1 < loss.get_ylim()[1] < 2.4 and loss.get_xlim() == (0, 10_200)
    (mean_ap, best) = found["mAP, best 0.5000 at 10,000"].get_lines()
    assert mean_ap.get_xydata().tolist() == [[5000, 0.25], [10_000, 0.5]]
    assert best.get_xydata().tolist() == [[10_000, 0.5]]
    assert found["learning rate"].get_yscale() == "log"
    assert [text.get_text() for text in found["localisation loss"].texts] == ["none yet"]


def test_curves_of_a_short_run_show_every_point():
    loss = drawn_panels(run_of(4))["loss, in all"]
    (line,) = (line for line in loss.get_lines() if len(line.get_xdata()))
    np.testing.assert_allclose(line.get_xydata(), [[k, 100 / k + 2] for k in (1, 2, 3, 4)])
    assert line.get_marker() == "o" and loss.get_ylim()[1] > 102


def test_curves_of_no_rows():
    found = drawn_panels({column: np.zeros(0) for column in COLUMNS})
    assert all([text.get_text() for text in panel.texts] == ["none yet"] for title, panel in found.items() if title)
