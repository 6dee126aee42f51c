"""The diagrams of a report, as matplotlib figures (extra `plots`)."""

import numpy as np

from ssd.errors import InputError
from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import average_precision, best_f1, curves

RIGHT, WRONG, QUIET = "#2166ac", "#d6604d", "#777777"  # told apart by the colour-blind too
COLUMNS = 5  # panels in a row, at most
MOST_COUNTS = 30  # classes up to which the cells of the confusion matrix hold numbers
LONGEST_SIDE = 40  # inches of the confusion matrix
LONGEST_NAME = 24  # characters of a class


def precision_recall_figure(matches: Matches):
    """One panel for each class: precision against recall, what AP integrates, and the point of the best F1."""
    classes = curves(matches)
    figure, panels = _panels(len(classes))
    for panel, (name, curve) in zip(panels, classes.items(), strict=False):
        panel.set(xlim=(0, 1), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
        if curve.n_objects == 0:
            _say(panel, name, "no objects")
            continue
        rises = np.diff(curve.recall, prepend=0) > 0  # at the true positives
        recall, precision = curve.recall[rises], curve.precision[rises]
        best = np.maximum.accumulate(precision[::-1])[::-1]
        panel.fill_between([0, *recall], [*best[:1], *best] or [0], step="pre", color=RIGHT, alpha=0.2, linewidth=0)
        panel.plot(recall, precision, color=RIGHT, linewidth=1.2)
        if len(recall):
            at = np.searchsorted(-curve.scores, -best_f1(curve)[1], side="right") - 1
            panel.plot(curve.recall[at], curve.precision[at], "o", color="black", markersize=4)
        aps = [f"{kind} {average_precision(curve, kind):.3f}" for kind in ("voc07", "voc10")]
        panel.set_title(f"{_short(name)}\n{' / '.join(aps)}", parse_math=False)
    _label_edges(panels, len(classes), "recall", "precision")
    return figure


def scores_figure(matches: Matches):
    """Histograms of the scores of true and false positives, of all classes and of each."""
    figure, panels = _panels(len(matches.names) + 1)
    bins = np.linspace(0, 1, 26)
    for panel, k in zip(panels, range(-1, len(matches.names)), strict=False):
        of_class = np.full(len(matches.det_scores), True) if k < 0 else matches.det_classes == k
        panel.set(xlim=(0, 1), xticks=[0, 0.5, 1])
        name = "all classes" if k < 0 else matches.names[k]
        if not of_class.any():
            _say(panel, name, "no detections")
            panel.set_yticks([])
            continue
        for kind, colour, label in (
            (matches.false, WRONG, "false positives"),
            (matches.correct, RIGHT, "true positives"),
        ):
            scores = matches.det_scores[of_class & kind].clip(0, 1)
            panel.hist(scores, bins, color=colour, histtype="stepfilled", alpha=0.55, label=label)
        panel.set_yscale("log")
        panel.set_ylim(bottom=0.7)
        panel.set_title(_short(name), parse_math=False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    _label_edges(panels, len(matches.names) + 1, "score", "detections")
    return figure


def confusion_figure(matrix, names):
    """The confusion matrix: colours are shares of a row, numbers are counts."""
    labels = [*map(_short, names), "background"]
    side = min(0.42 * len(labels), LONGEST_SIDE)
    text = {"parse_math": False, "fontsize": min(10, 60 * side / len(labels))}  # points, of 72 an inch
    margin = 0.7 + 0.08 * max(map(len, labels))  # for the names
    figure = _figure(1.5 + margin + side, margin + side)
    axes = figure.add_subplot()
    shares = matrix / matrix.sum(axis=1, keepdims=True).clip(min=1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set(xlabel="detected as", ylabel="true class")
    axes.set_xticks(range(len(labels)), labels, rotation=90, **text)
    axes.set_yticks(range(len(labels)), labels, **text)
    if len(labels) <= MOST_COUNTS:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if shares[row, column] > 0.55 else "black"
            axes.text(column, row, _count(matrix[row, column]), ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, label="share of the row", fraction=0.04, aspect=30)
    return figure


def errors_figure(breakdown):
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


def figure_class():
    """matplotlib's Figure, the class itself: no window, no state shared with the caller's plots.

    :raises InputError: matplotlib is missing
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError('Diagrams need matplotlib: pip install -e ".[plots]"') from None
    return Figure


def _figure(width, height):
    return figure_class()(figsize=(width, height), layout="constrained")


def _panels(n):
    """A figure with a grid of at least n panels, of which those left over are hidden; the panels as a flat array."""
    columns = min(max(n, 1), COLUMNS)
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


def _label_edges(panels, n, x, y):
    """Name the axes once: x below the lowest panel of each column, y beside each row."""
    for k, panel in enumerate(panels[:n]):
        if k + COLUMNS >= n:
            panel.set_xlabel(x, fontsize=8)
        if k % COLUMNS == 0:
            panel.set_ylabel(y, fontsize=8)


def _say(panel, title, text):
    panel.set_title(_short(title), color=QUIET, parse_math=False)
    panel.text(0.5, 0.5, text, ha="center", va="center", color=QUIET, fontsize=8, transform=panel.transAxes)


def _short(name):
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _count(n):
    """A count in at most four characters: 9876, 12k, 3M."""
    if n < 10_000:
        return str(n)
    return f"{n / 1000:.0f}k" if n < 1_000_000 else f"{n / 1_000_000:.0f}M"
