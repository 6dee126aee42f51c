"""How detections are counted."""

from html import escape
from typing import NamedTuple

import numpy as np

from ssd.evaluation.evaluate import PAPER
from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.mean_ap import RECALLS, Curve, average_precision, curves
from ssd.explain import svg
from ssd.explain.page import NO_MODEL, NO_OBJECTS, Section
from ssd.explain.plot import Plot
from ssd.explain.sections.suppression import select
from ssd.explain.subject import Subject
from ssd.text import counted

KEY, TITLE = "precision", "How is average precision counted?"
MOST_ROWS = 15  # of the ranking
MOST_POINTS = 1000  # of the curve


class Ranking(NamedTuple):
    """The detections of one class. name: of the class. dets: their indices in `matches`, best first."""

    name: str
    matches: Matches
    dets: np.ndarray
    curve: Curve

    def verdict(self, det: int) -> str:
        """Whether a detection is right, and why not."""
        matches = self.matches
        if matches.correct[det] or matches.ignored[det]:
            return "right" if matches.correct[det] else "ignored: difficult"
        if matches.det_ious[det] < matches.iou_threshold:
            return "wrong: IoU too low"
        return "wrong: found already"


def ranking(subject: Subject) -> Ranking:
    """The ranking of the class with the most objects that count, by the rules of evaluation.

    Of the evaluated test list where there is one, else of the picture, by the thresholds of evaluation.
    """
    matches = subject.evaluated or _matches(subject)
    chosen = matches.n_easy.argmax()
    name = matches.names[chosen]
    dets = matches.best_first(np.flatnonzero(matches.det_classes == chosen))
    return Ranking(name, matches, dets, curves(matches)[name])


def _matches(subject: Subject) -> Matches:
    boxes, labels, scores = select(subject, PAPER)
    truth = [subject.in_pixels(subject.boxes)], [subject.labels], [subject.difficulties]
    return match_detections([subject.in_pixels(boxes)], [labels], [scores], *truth, subject.config.label_map)


def section(subject: Subject) -> Section:
    """The ranking, the curve of precision and recall, and the two ways to average it."""
    if not subject.model and not subject.evaluated:
        return Section(KEY, TITLE, [NO_MODEL])
    found = ranking(subject)
    if not found.curve.n_objects:
        return Section(KEY, TITLE, [NO_OBJECTS])
    eleven, area = (average_precision(found.curve, kind) for kind in ("voc07", "voc10"))
    return Section(
        key=KEY,
        title=TITLE,
        figure=svg.beside(_plot(found), _table(found)),
        text=[
            f"{_what(subject, found)}, ranked by score. A detection is right if its IoU with the object that it "
            f"overlaps best is at least {found.matches.iou_threshold} and no better one has found that object.",
            "After each detection, precision is the share of right ones so far, and recall the share of objects found "
            "so far. Precision at a recall then counts as the best precision at that recall or a higher one, which "
            "makes the blue curve the shaded staircase.",
            f"VOC2007 averages its height at the recalls 0, 0.1, ..., 1, the dots: {eleven:.3f}. From 2010 on, VOC "
            f"took the area under it: {area:.3f}. Evaluation ranks the detections of all pictures together, and mAP "
            "is the mean over the classes.",
        ],
        formula="precision = right / (right + wrong), recall = right / objects<br>"
        f"AP = 1/11 &Sigma; p(r) over r = 0, 0.1, ..., 1 = {eleven:.3f}, or &int; p(r) dr = {area:.3f}, "
        "where p(r) = max of precision at recall &ge; r",
        sources=[match_detections, curves, average_precision],
    )


def _what(subject: Subject, found: Ranking) -> str:
    """What is ranked, as the beginning of a sentence."""
    name = escape(found.name)
    n_objects = counted(found.curve.n_objects, "object that counts", "objects that count")
    n_found = counted(len(found.dets), "detection")
    if subject.evaluated:
        n = counted(subject.evaluated.n_images, "picture")
        return f"The class is {name}, with {n_objects} and {n_found} in the {n} of the test list"
    own = (
        "The objects are the model's own detections here, so its best ones cannot be wrong: this shows the counting, "
        "not how good the model is. "
    )
    words = f"The class is {name}, with {n_objects} and {n_found} above a score of {PAPER.min_score}"
    return f"{own if subject.is_own else ''}{words} in this picture"


def _table(found: Ranking) -> str:
    matches, curve = found.matches, found.curve
    rows = [
        (
            rank + 1, f"{matches.det_scores[det]:.3f}", f"{matches.det_ious[det]:.2f}", found.verdict(det),
            f"{curve.precision[rank]:.2f}", f"{curve.recall[rank]:.2f}",
        )
        for rank, det in enumerate(found.dets[:MOST_ROWS])
    ]  # fmt: skip
    return svg.table(["rank", "score", "IoU", "verdict", "precision", "recall"], rows)


def staircase(curve: Curve) -> list[tuple[float, float]]:
    """The corners of the envelope (recall, precision), from recall 0 to where it falls to 0."""
    corners, reached = [], 0.0
    for recall, precision in zip(curve.recall.tolist(), curve.envelope.tolist(), strict=True):
        corners += [(reached, precision), (recall, precision)]
        reached = recall
    return [*corners, (reached, 0.0)]


def _plot(found: Ranking) -> str:
    plot, curve = Plot(1, 1), found.curve
    shown = slice(None, None, len(found.dets) // MOST_POINTS + 1)
    points = list(zip(curve.recall[shown].tolist(), curve.precision[shown].tolist(), strict=True))
    dots = zip(RECALLS.tolist(), curve.eleven_points.tolist(), strict=True)
    parts = [
        plot.area(staircase(curve), "var(--found)"),
        plot.curve(points, "var(--found)"),
        *(plot.dot(recall, height, "var(--prior)", f"{height:.3f}") for recall, height in dots),
    ]
    ticks = {k / 4: f"{k / 4:g}" for k in range(5)}
    return plot.figure(*parts, label="precision and recall", x="recall", y="precision", x_ticks=ticks, y_ticks=ticks)
