"""results.png: the curves of a run, drawn from its results.csv (extra `plots`)."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssd.files import replacing
from ssd.training.run.results import read_results
from ssd.visualize import QUIET, RIGHT, WRONG, figure_class, thin_out

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES_NAME = "results.png"
TRAIN, VALIDATION = RIGHT, WRONG
PANELS = {
    "loss": "loss, in all",
    "loc": "localisation loss",
    "conf": "confidence loss",
    "accuracy": "accuracy of the class of matched priors",
    "iou": "mean IoU of decoded matched boxes",
}
SMOOTHED_OVER = 1 / 50  # of the rows
MOST_MARKERS = 60  # points up to which each is marked
ROOM = 1.08  # height of a panel relative to its highest point
UNSETTLED = 1 / 20  # share of the run, at its beginning, whose losses may lie above the panel


def plot_results(csv_path: str | Path, png_path: str | Path) -> None:
    """Draw the curves of a results.csv into a PNG file.

    They are losses, accuracy and IoU in training (smoothed, with the figures themselves faint) and in validation, mAP,
    and the learning rate. Raises InputError if the CSV is invalid (see `read_results`) or matplotlib is missing.
    """
    figure = results_figure(read_results(csv_path))
    with replacing(png_path) as file:
        figure.savefig(file, format="png", dpi=120)


def results_figure(results: dict[str, np.ndarray]) -> "Figure":
    """The matplotlib figure of `plot_results`. results: from `read_results`."""
    figure = figure_class()(figsize=(16, 7), layout="constrained")
    panels = figure.subplots(2, 4).flatten()
    iterations = results["iteration"]
    for panel, (name, title) in zip(panels, PANELS.items(), strict=False):
        _draw_training(panel, iterations, results[f"train_{name}"])
        _draw_validation(panel, iterations, results[f"val_{name}"])
        panel.set_title(title)
        _limit(panel, results[f"train_{name}"], results[f"val_{name}"], is_share=name in ("accuracy", "iou"))
    _draw_mean_ap(panels[5], iterations, results["val_mAP"])
    _draw_rate(panels[6], iterations, results["lr"])
    _draw_legend(panels[7])
    for panel in panels[:7]:
        _finish(panel, iterations)
    return figure


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """The moving mean of `window` values (an odd number), fewer at the ends. NaN counts as missing."""
    known = np.isfinite(values)
    sums = np.append(0, np.cumsum(np.where(known, values, 0)))
    counts = np.append(0, np.cumsum(known))
    places, half = np.arange(len(values)), window // 2
    starts, stops = (places - half).clip(min=0), (places + half + 1).clip(max=len(values))
    means = (sums[stops] - sums[starts]) / (counts[stops] - counts[starts]).clip(min=1)
    return np.where(known, means, np.nan)


def _draw_training(panel, iterations, values):
    known = np.isfinite(values)
    x, y = iterations[known], values[known]
    if not len(x):
        return
    window = 2 * int(len(y) * SMOOTHED_OVER / 2) + 1
    if window > 1:
        panel.plot(*thin_out(x, y), color=TRAIN, alpha=0.25, linewidth=0.6)
    panel.plot(*thin_out(x, smooth(y, window)), _marker(x), color=TRAIN, linewidth=1.6)


def _draw_validation(panel, iterations, values):
    known = np.isfinite(values)
    panel.plot(iterations[known], values[known], _marker(values[known]), color=VALIDATION, linewidth=1.6, markersize=3)


def _draw_mean_ap(panel, iterations, values):
    _draw_validation(panel, iterations, values)
    panel.set_title("mAP")
    if np.isfinite(values).any():
        best = np.nanargmax(values)
        panel.plot(iterations[best], values[best], "o", color="black", markersize=5)
        panel.set_title(f"mAP, best {values[best]:.4f} at {iterations[best]:,.0f}")
    _limit(panel, values, is_share=True)


def _draw_rate(panel, iterations, values):
    panel.plot(*thin_out(iterations, values), _marker(iterations), color=QUIET, linewidth=1.6)
    panel.set_title("learning rate")
    if (values > 0).any():
        panel.set_yscale("log")


def _draw_legend(panel):
    panel.plot([], [], color=TRAIN, alpha=0.4, linewidth=0.8, label="training")
    panel.plot([], [], color=TRAIN, linewidth=2, label="training, smoothed")
    panel.plot([], [], "o-", color=VALIDATION, markersize=3, linewidth=2, label="validation")
    panel.plot([], [], "o", color="black", markersize=5, label="best mAP")
    panel.legend(loc="center", fontsize=12, frameon=False)
    panel.set_axis_off()


def _finish(panel, iterations):
    panel.set_xlim(0, 1.02 * iterations.max(initial=1))
    panel.set_xlabel("iteration")
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.locator_params(axis="x", nbins=5, integer=True)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if not any(len(line.get_xdata()) for line in panel.get_lines()):
        panel.text(0.5, 0.5, "none yet", ha="center", color=QUIET, transform=panel.transAxes)


def _limit(panel, *curves, is_share=False):
    """Set the range from 0 to a little above the curves. Losses at the very beginning may lie outside."""
    settled = [curve[int(UNSETTLED * len(curve)) :] for curve in curves]
    values = np.concatenate([curve[np.isfinite(curve)] for curve in settled])
    if is_share:
        panel.set_ylim(0, min(max(values.max(initial=0.1), 0.1) * ROOM, 1.02))
    elif len(values) and values.max() > 0:
        panel.set_ylim(0, np.quantile(values, 0.999) * ROOM)


def _marker(values):
    return "o-" if len(values) <= MOST_MARKERS else "-"
