"""How the detections in the picture are counted."""

from html import escape
from typing import NamedTuple

import numpy as np
import torch

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


class Ranking(NamedTuple):
    """The detections of one class in the picture. name: of the class. dets: their indices in `matches`, best first."""

    name: str
    matches: Matches
    dets: np.ndarray
    curve: Curve

    def verdict(self, det: int) -> str:
        """Whether a detection is right, and why not."""
        matches = self.matches
        if matches.correct[det] or matches.ignored[det]:
            return "right" if matches.correct[det] else "ignored: the object is difficult"
        if matches.det_ious[det] < matches.iou_threshold:
            return "wrong: no object at this IoU"
        return "wrong: the object is found already"


def ranking(subject: Subject) -> Ranking:
    """The ranking of the class with the most objects that count, by the rules and the thresholds of evaluation."""
    boxes, labels, scores = select(subject, PAPER)
    sides = torch.tensor([*subject.image.size, *subject.image.size])
    truth = [subject.boxes * sides], [subject.labels], [subject.difficulties]
    matches = match_detections([boxes * sides], [labels], [scores], *truth, subject.config.label_map)
    chosen = matches.n_easy.argmax()
    name = matches.names[chosen]
    dets = matches.best_first(np.flatnonzero(matches.det_classes == chosen))
    return Ranking(name, matches, dets, curves(matches)[name])


def section(subject: Subject) -> Section:
    """The ranking, the curve of precision and recall, and the two ways to average it."""
    if not subject.model:
        return Section(KEY, TITLE, [NO_MODEL])
    if subject.difficulties.all():  # also where there are no objects
        return Section(KEY, TITLE, [NO_OBJECTS])
    found = ranking(subject)
    eleven, area = (average_precision(found.curve, kind) for kind in ("voc07", "voc10"))
    own = (
        " The objects are the model's own detections here, so its best ones cannot be wrong, and this figure shows the "
        "counting, not how good the model is."
    )
    return Section(
        key=KEY,
        title=TITLE,
        figure=svg.beside(_plot(found), _table(found)),
        text=[
            f"The class is {escape(found.name)}, with {counted(found.curve.n_objects, 'object')} that count and "
            f"{counted(len(found.dets), 'detection')} above a score of {PAPER.min_score}, ranked by score. A detection "
            f"is right if its IoU with the object that it overlaps best is at least {found.matches.iou_threshold} and "
            f"no better one has found that object.{own if subject.is_own else ''}",
            "After each detection, precision is the share of right ones so far, and recall the share of objects found "
            "so far. Precision at a recall then counts as the best precision at that recall or a higher one, which "
            "makes the blue curve the shaded staircase.",
            f"VOC2007 averages its height at the recalls 0, 0.1, ..., 1, the dots: {eleven:.3f}. Since 2010, VOC has "
            f"taken the area under it: {area:.3f}. Evaluation ranks the detections of all pictures together, and mAP "
            "is the mean over the classes.",
        ],
        formula="precision = right / (right + wrong), recall = right / objects<br>"
        f"AP = 1/11 &Sigma; p(r) over r = 0, 0.1, ..., 1 = {eleven:.3f}, or &int; p(r) dr = {area:.3f}, "
        "where p(r) = max of precision at recall &ge; r",
        sources=[match_detections, curves, average_precision],
    )


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
    points = list(zip(curve.recall.tolist(), curve.precision.tolist(), strict=True))
    dots = zip(RECALLS.tolist(), curve.eleven_points.tolist(), strict=True)
    parts = [
        plot.area(staircase(curve), "var(--found)"),
        plot.curve(points, "var(--found)"),
        *(plot.dot(recall, height, "var(--prior)", f"{height:.3f}") for recall, height in dots),
    ]
    ticks = {k / 4: f"{k / 4:g}" for k in range(5)}
    return plot.figure(*parts, label="precision and recall", x="recall", y="precision", x_ticks=ticks, y_ticks=ticks)
