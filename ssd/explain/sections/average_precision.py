"""How detections are counted."""

from html import escape
from typing import NamedTuple

import numpy as np

from ssd.evaluation.evaluate import PAPER
from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.mean_ap import RECALLS, Curve, average_precision, curves
from ssd.explain import svg
from ssd.explain.page import NO_MODEL, NO_OBJECTS, Section
from ssd.explain.plot import QUARTERS, Plot
from ssd.explain.sections.suppression import select
from ssd.explain.subject import Subject
from ssd.text import counted

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
        if self.matches.correct[det]:
            return "right"
        if self.matches.ignored[det]:
            return "ignored: difficult"
        return "wrong: " + (
            "IoU too low" if self.matches.det_ious[det] < self.matches.iou_threshold else "found already"
        )


def ranking(subject: Subject) -> Ranking:
    """The ranking of the class with the most objects that count, by the rules of evaluation.

    Of the evaluated test list where there is one, else of the picture, by the thresholds of evaluation.
    """
    matches = subject.evaluated
    if not matches:
        boxes, labels, scores = select(subject, PAPER)
        truth = [subject.in_pixels(subject.boxes)], [subject.labels], [subject.difficulties]
        found = [subject.in_pixels(boxes)], [labels], [scores]
        matches = match_detections(*found, *truth, subject.config.label_map)
    chosen = matches.n_easy.argmax()
    name = matches.names[chosen]
    dets = matches.best_first(np.flatnonzero(matches.det_classes == chosen))
    return Ranking(name, matches, dets, curves(matches)[name])


def section(subject: Subject) -> Section:
    """The ranking, the curve of precision and recall, and the two ways to average it."""
    if not subject.model and not subject.evaluated:
        return Section(NO_MODEL)
    found = ranking(subject)
    if not found.curve.n_objects:
        return Section(NO_OBJECTS)
    eleven, area = (average_precision(found.curve, kind) for kind in ("voc07", "voc10"))
    return Section(
        figure=svg.beside(_plot(found), _table(found)),
        text=f"""
        {_what(subject, found)}, ranked by score. A detection is right if its IoU with the object that it overlaps best
        is at least {found.matches.iou_threshold} and no better one has found that object.

        After each detection, precision is the share of right ones so far, and recall the share of objects found so far.
        Precision at a recall then counts as the best precision at that recall or a higher one, which makes the blue
        curve the shaded staircase.

        VOC2007 averages its height at the recalls 0, 0.1, ..., 1, the dots: {eleven:.3f}. From 2010 on, VOC took the
        area under it: {area:.3f}. Evaluation ranks the detections of all pictures together, and mAP is the mean over
        the classes.""",
        formula="precision = right / (right + wrong), recall = right / objects<br>"
        f"AP = 1/11 &Sigma; p(r) over r = 0, 0.1, ..., 1 = {eleven:.3f}, or &int; p(r) dr = {area:.3f}, "
        "where p(r) = max of precision at recall &ge; r",
        sources=[match_detections, curves, average_precision],
    )


def _what(subject: Subject, found: Ranking) -> str:
    """What is ranked, as the beginning of a sentence."""
    n_objects = counted(found.curve.n_objects, "object that counts", "objects that count")
    words = f"The class is {escape(found.name)}, with {n_objects} and {counted(len(found.dets), 'detection')}"
    if subject.evaluated:
        return f"{words} in the {counted(subject.evaluated.n_images, 'picture')} of the test list"
    own = (
        "The objects are the model's own detections here, so its best ones cannot be wrong: this shows the counting, "
        "not how good the model is. "
    )
    return f"{own if subject.is_own else ''}{words} above a score of {PAPER.min_score} in this picture"


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
    step = len(found.dets) // MOST_POINTS + 1
    dots = [
        svg.dot(plot.x(recall), plot.y(height), 4.5, svg.tip(f"{height:.3f}"), fill="var(--prior)")
        for recall, height in zip(RECALLS.tolist(), curve.eleven_points.tolist(), strict=True)
    ]
    return plot.figure(
        plot.area(staircase(curve), "found"),
        plot.curve(zip(curve.recall[::step].tolist(), curve.precision[::step].tolist(), strict=True), "found"),
        *dots,
        label="precision and recall", x="recall", y="precision", x_ticks=QUARTERS, y_ticks=QUARTERS,
    )  # fmt: skip
