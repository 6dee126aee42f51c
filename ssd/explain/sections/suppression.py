"""From the predictions of all priors to a few detections."""

import inspect
import math

from torch import Tensor

from ssd.detector import Detector
from ssd.evaluation.evaluate import Thresholds
from ssd.explain.page import Section
from ssd.explain.sections.predictions import decoded
from ssd.explain.subject import Subject
from ssd.model.postprocess import MAX_PER_CLASS, candidates, detect_objects, select_detections
from ssd.visualize import class_colour

LOWEST, MOST_CANDIDATES = 0.01, 5000  # the lowest score to choose, and about how many candidates the page holds
NO_SUPPRESSION = 1.0  # no IoU is above this
DIGITS = 7  # of the candidates' numbers, so that the page decides as float32 does


def defaults() -> Thresholds:
    """The thresholds that a `Detector` has by default."""
    parameters = inspect.signature(Detector.__call__).parameters
    return Thresholds(*(parameters[name].default for name in Thresholds._fields))


def select(subject: Subject, thresholds: Thresholds) -> tuple[Tensor, Tensor, Tensor]:
    """The subject's detections, best first: boxes (n, 4), corner fractions, labels (n,) and scores (n,)."""
    boxes, probabilities = decoded(subject)
    found = select_detections(boxes[None], probabilities[None], *thresholds, unused=subject.config.unused_labels)
    return found[0][0], found[1][0], found[2][0]


def ranked_candidates(subject: Subject) -> tuple[Tensor, Tensor, Tensor, float]:
    """What the reader can choose from: pairs of a prior and a class, best first, with a score above a floor.

    Returns their boxes (n, 4), labels (n,) and scores (n,), and the floor. Equal scores are in the order of
    `select_detections`.
    """
    boxes, probabilities = decoded(subject)
    highest = probabilities[:, 1:].flatten().sort(descending=True).values
    limit = highest[min(MOST_CANDIDATES, len(highest) - 1)].item()
    floor = min(max(LOWEST, math.ceil(100 * limit) / 100), defaults().min_score)
    labels, priors, scores = candidates(probabilities, floor, subject.config.unused_labels)
    order = scores.argsort(descending=True, stable=True)
    return boxes[priors[order]], labels[order], scores[order], floor


def stages(subject: Subject, thresholds: Thresholds) -> list[int]:
    """How many pairs of prior and class pass the score, the limit of each class, suppression, and the top k."""
    every = subject.scores.numel()
    passed = candidates(decoded(subject)[1], thresholds.min_score, subject.config.unused_labels)[0]
    limited = Thresholds(thresholds.min_score, NO_SUPPRESSION, every)
    chosen = [select(subject, each)[1] for each in (limited, thresholds._replace(top_k=every), thresholds)]
    return [len(labels) for labels in (passed, *chosen)]


def section(subject: Subject) -> Section:
    """Thresholds as sliders; the detections that are left, and what suppressed the others."""
    usual, config = defaults(), subject.config
    boxes, labels, scores, floor = ranked_candidates(subject)
    passed, limited, kept, best = stages(subject, usual)
    n_priors, n_classes = len(subject.priors_cxcy), config.n_classes - 1 - len(config.unused_labels)
    rows = zip(labels.tolist(), scores.tolist(), boxes.tolist(), strict=True)
    return Section(
        figure=_figure(subject, floor, usual),
        text=f"""
        Each of {n_priors} priors has a box and a score for each of {n_classes} classes: {n_priors * n_classes} pairs of
        prior and class. Score above {usual.min_score}: {passed}. Among the {MAX_PER_CLASS} best of their class:
        {limited}.

        Then the best box of a class removes every other box of that class whose IoU with it is above
        {usual.max_overlap}; the best of the rest does the same, and so on. That leaves {kept}. The result has at most
        {usual.top_k} detections, of all classes together: here {best}.

        Move the sliders: a lower score lets more boxes in, a higher overlap lets more of them stay. Click a dashed box,
        or go from box to box with the arrow keys, to see which box suppressed it. Classes do not suppress one
        another.""",
        formula="suppressed: score(a) &le; score(b), the same class, b is kept, and IoU(a, b) &gt; max_overlap",
        sources=[detect_objects, select_detections],
        data={
            "names": [subject.name_of(label) for label in range(config.n_classes)],
            "colours": ["#{:02x}{:02x}{:02x}".format(*class_colour(label)) for label in range(config.n_classes)],
            "pairs": n_priors * n_classes,
            "top_k": usual.top_k,
            "max_per_class": MAX_PER_CLASS,
            "candidates": [[label, *(round(value, DIGITS) for value in (score, *box))] for label, score, box in rows],
        },
    )


def _figure(subject: Subject, floor: float, usual: Thresholds) -> str:
    sliders = _slider("min_score", "score above", floor, usual.min_score)
    sliders += _slider("max_overlap", "IoU at most", 0.0, usual.max_overlap)
    label = "detections, and the boxes that they suppressed"
    return (
        f'<div class="controls">{sliders}</div><p class="counts" aria-live="polite"></p>'
        + subject.drawing(label=label, class_="clickable", faint=True)
        + '<p class="answer" aria-live="polite"></p>'
    )


def _slider(name: str, words: str, low: float, value: float) -> str:
    return (
        f'<label>{words} <output>{value:.2f}</output> <input type="range" name="{name}" min="{low:.2f}" max="1" '
        f'step="0.01" value="{value:.2f}"></label>'
    )
