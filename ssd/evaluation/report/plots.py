"""The diagrams of a report, as matplotlib figures (extra `plots`)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import Curve, average_precision, best_f1, curves
from ssd.visualize import QUIET, RIGHT, WRONG, figure_class, thin_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_COLUMNS = 5  # most panels in a row
MOST_COUNTS = 30  # with more classes, the cells of the confusion matrix hold no numbers
LONGEST_SIDE = 40  # inches of the confusion matrix
LONGEST_NAME = 24  # characters of a class
SCORE_BINS = np.linspace(0, 1, 26).tolist()
THRESHOLDS = np.linspace(0, 1, 201)
MOST_NAMED = 12  # with more classes, the curves over the score are not told apart


def precision_recall_figure(matches: Matches) -> "Figure":
    """One panel for each class: precision against recall, what AP integrates, and the point of the best F1."""
    classes = curves(matches)
    figure, panels = _panels(len(classes))
    for panel, (name, curve) in zip(panels, classes.items(), strict=False):
        panel.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        if curve.n_objects:
            _draw_curve(panel, curve)
            aps = [f"{kind} {average_precision(curve, kind):.3f}" for kind in ("voc07", "voc10")]
            panel.set_title(f"{_short(name)}\n{' / '.join(aps)}", parse_math=False)
        else:
            _say(panel, name, "no objects")
    _label_edges(panels, len(classes), "recall", "precision")
    return figure


def _draw_curve(panel: "Axes", curve: Curve) -> None:
    rises = np.diff(curve.recall, prepend=0) > 0  # at the true positives
    if not rises.any():
        return
    recall, envelope = curve.recall[rises], curve.envelope[rises]
    x, y = thin_out(recall, envelope)
    panel.fill_between([0, *x], [y[0], *y], step="pre", color=RIGHT, alpha=0.2, linewidth=0)
    panel.plot(*thin_out(recall, curve.precision[rises]), color=RIGHT, linewidth=1.2)
    at = np.searchsorted(-curve.scores, -best_f1(curve)[1], side="right") - 1
    panel.plot(curve.recall[at], curve.precision[at], "o", color="black", markersize=4)


def thresholds_figure(matches: Matches) -> "Figure":
    """F1 and precision against the score that detections must reach: of each class, and their means.

    A class without objects is left out. Precision is drawn up to the highest score of the class.
    """
    classes = {name: curve for name, curve in curves(matches).items() if curve.n_objects}
    rows = np.array([_at_thresholds(curve) for curve in classes.values()]).reshape(-1, 2, len(THRESHOLDS))
    means = np.ma.masked_invalid(rows).mean(axis=0)  # (2, n_thresholds), of the classes that have a value
    many = {"color": QUIET, "alpha": 0.5} if len(classes) > MOST_NAMED else {}
    figure = _figure(9, 3.6)
    panels = figure.subplots(1, 2)
    for panel, title, lines, mean in zip(panels, ("F1", "precision"), rows.swapaxes(0, 1), means, strict=True):
        for name, line in zip(classes, lines, strict=True):
            panel.plot(THRESHOLDS, line, linewidth=0.9, label=None if many else _short(name), **many)
        panel.plot(THRESHOLDS, mean, color="black", linewidth=2, label="mean")
        panel.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score")
        panel.set_title(title, parse_math=False)
        panel.spines[["top", "right"]].set_visible(False)
    if classes:
        best = np.flatnonzero(means[0] == means[0].max())[-1]
        title = f"F1, whose mean is best at {THRESHOLDS[best]:.2f}: {means[0][best]:.3f}"
        panels[0].set_title(title, parse_math=False)
    legend = figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def _at_thresholds(curve: Curve) -> np.ndarray:
    """F1 and precision (2, n_thresholds) of the detections that reach each of THRESHOLDS."""
    kept = np.searchsorted(-curve.scores, -THRESHOLDS, side="right")
    return np.stack([np.append(0.0, curve.f1)[kept], np.append(np.nan, curve.precision)[kept]])


def scores_figure(matches: Matches) -> "Figure":
    """Histograms of the scores of true and false positives, of all classes and of each."""
    groups = [("all classes", np.full(len(matches.det_scores), True))]
    groups += [(name, matches.det_classes == k) for k, name in enumerate(matches.names)]
    figure, panels = _panels(len(groups))
    kinds = (matches.false, WRONG, "false positives"), (matches.correct, RIGHT, "true positives")
    for panel, (name, chosen) in zip(panels, groups, strict=False):
        panel.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        if not chosen.any():
            _say(panel, name, "no detections")
            panel.set_yticks([])
            continue
        for kind, colour, label in kinds:
            scores = matches.det_scores[chosen & kind].clip(0, 1)
            panel.hist(scores, SCORE_BINS, color=colour, histtype="stepfilled", alpha=0.55, label=label)
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.7)
        panel.set_title(_short(name), parse_math=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    _label_edges(panels, len(groups), "score", "detections")
    return figure


def confusion_figure(matrix: np.ndarray, names: Sequence[str]) -> "Figure":
    """The confusion matrix: colours are shares of a row, numbers are counts."""
    labels = [*map(_short, names), "background"]
    side = min(0.42 * len(labels), LONGEST_SIDE)
    size = min(10, 60 * side / len(labels))  # points, of 72 an inch
    margin = 0.7 + 0.08 * max(map(len, labels))  # for the names
    figure = _figure(1.5 + margin + side, margin + side)
    axes = figure.add_subplot()
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set(xlabel="detected as", ylabel="true class")
    axes.set_xticks(range(len(labels)), labels, rotation=90, parse_math=False, fontsize=size)
    axes.set_yticks(range(len(labels)), labels, parse_math=False, fontsize=size)
    if len(labels) <= MOST_COUNTS:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, _count(matrix[row, column]), ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, label="share of the row", fraction=0.04, aspect=30)
    return figure


def errors_figure(breakdown: Mapping[str, Mapping[str, float]]) -> "Figure":
    """AP lost to each kind of error, as bars."""
    figure = _figure(7, 2.6)
    axes = figure.add_subplot()
    figures = [values["ap_lost"] for values in breakdown.values()]
    lost = np.nan_to_num(figures)
    bars = axes.barh(list(breakdown), lost, color=WRONG, alpha=0.8)
    axes.bar_label(bars, [" n/a" if np.isnan(value) else f" {value:.3f}" for value in figures])
    axes.invert_yaxis()
    axes.set_xlim(0, max(lost.max() * 1.15, 0.01))
    axes.set_xlabel("AP lost (mAP voc07 would be higher by this)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _figure(width: float, height: float) -> "Figure":
    return figure_class()(figsize=(width, height), layout="constrained")


def _panels(n: int) -> "tuple[Figure, np.ndarray]":
    """A figure with a grid of panels, and the panels as a flat array; those beyond n are hidden."""
    columns = min(max(n, 1), MOST_COLUMNS)
    rows = max(1, -(-n // columns))
    figure = _figure(2.6 * columns, 0.4 + 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel in panels:
        panel.tick_params(labelsize=7)
        panel.title.set_fontsize(9)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in panels[n:]:
        panel.set_visible(False)
    return figure, panels


def _label_edges(panels: np.ndarray, n: int, x: str, y: str) -> None:
    """Label the axes once: x below the lowest of the n panels in each column, y beside each row."""
    for k, panel in enumerate(panels[:n]):
        if k + MOST_COLUMNS >= n:
            panel.set_xlabel(x, fontsize=8)
        if k % MOST_COLUMNS == 0:
            panel.set_ylabel(y, fontsize=8)


def _say(panel: "Axes", title: str, text: str) -> None:
    panel.set_title(_short(title), color=QUIET, parse_math=False)
    panel.text(0.5, 0.5, text, ha="center", va="center", color=QUIET, fontsize=8, transform=panel.transAxes)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _count(n: int) -> str:
    """A count in at most four characters: 9876, 12k, 3M."""
    if n < 10_000:
        return str(n)
    return f"{n / 1000:.0f}k" if n < 1_000_000 else f"{n / 1_000_000:.0f}M"
