"""Which priors answer for which object."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from ssd.explain import svg
from ssd.explain.page import NO_OBJECTS, Section
from ssd.explain.plot import Plot
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy
from ssd.model.loss import MultiBoxLoss, prior_targets
from ssd.model.matching import match
from ssd.text import counted

KEY, TITLE = "matching", "Which priors learn which object?"
BIN = 0.05  # of IoU, in the histogram
MOST_ROWS = 12  # objects in the table


class Matching(NamedTuple):
    """What matching decides for a picture.

    overlaps: (n_objects, n_priors) IoU. objects: (n_priors,) the object of each prior, -1 for the background. by_right:
    (n_priors,) bool, the one prior that each object receives first, whatever its IoU. threshold: IoU from which
    any other prior is positive.
    """

    overlaps: Tensor
    objects: Tensor
    by_right: Tensor
    threshold: float

    @property
    def positive(self) -> Tensor:
        """(n_priors,) bool."""
        return self.objects >= 0


def match_objects(subject: Subject) -> Matching:
    """The matching of a subject's objects, as training does it."""
    priors = subject.priors_cxcy
    overlaps = box_iou(subject.boxes, cxcy_to_xy(priors))
    threshold = MultiBoxLoss(priors).threshold
    objects = match(overlaps[None], threshold)[0]
    by_right = match(overlaps[None], math.inf)[0] >= 0  # no prior reaches such a threshold
    return Matching(overlaps, objects, by_right, threshold)


def section(subject: Subject) -> Section:
    """The objects, their positive priors, and the best IoU of every prior."""
    if not len(subject.boxes):
        return Section(KEY, TITLE, [NO_OBJECTS])
    matching = match_objects(subject)
    n_priors, n_positive, n_right = len(matching.objects), int(matching.positive.sum()), int(matching.by_right.sum())
    figure = svg.panels(
        (_photo(subject, matching), "green: the objects; orange: their priors, bold where an object has it by right"),
        (_histogram(matching), "how many priors have which best IoU; orange: at or above the threshold"),
        class_="panels large",
    )
    return Section(
        key=KEY,
        title=TITLE,
        figure=figure + svg.beside(_table(subject, matching)),
        text=[
            f"{counted(len(subject.boxes), 'object')} and {n_priors} priors: each prior is compared with each object. "
            f"First, every object receives the prior that it overlaps most, so that none is left without one: "
            f"{counted(n_right, 'prior is', 'priors are')} positive by right. Pairs with the highest IoU choose first, "
            "and no prior serves two objects.",
            f"Then every other prior with an IoU of at least {matching.threshold} becomes positive too: "
            f"{n_positive - n_right} more. Each answers for the object that it overlaps most.",
            f"The remaining {n_priors - n_positive} priors, {(n_priors - n_positive) / n_priors:.1%} of all, are "
            "negative: they should say background. The histogram's scale is logarithmic, because nearly all priors "
            "overlap no object much.",
        ],
        formula=f"positive: the best prior of an object, or IoU(prior, object) &ge; {matching.threshold}",
        sources=[match, prior_targets],
    )


def _photo(subject: Subject, matching: Matching) -> str:
    priors = subject.in_frame(cxcy_to_xy(subject.priors_cxcy))
    drawn = [(matching.positive & ~matching.by_right, "thin"), (matching.by_right, "bold")]
    boxes = [
        svg.rectangle(box, class_=f"box prior {width}") for chosen, width in drawn for box in priors[chosen].tolist()
    ]
    objects = subject.in_frame(subject.boxes).tolist()
    truths = [svg.rectangle(box, class_="box truth") for box in objects]
    numbers = [svg.text(box[0] + 5, box[1] + 18, k, class_="on-photo") for k, box in enumerate(objects, start=1)]
    return svg.figure(*subject.frame, svg.photo(), *boxes, *truths, *numbers, label="objects and their positive priors")


def best_overlap_counts(matching: Matching) -> list[int]:
    """How many priors have their best IoU with any object in each step of BIN, from 0."""
    return torch.histc(matching.overlaps.amax(dim=0), bins=round(1 / BIN), min=0, max=1).int().tolist()


def _histogram(matching: Matching) -> str:
    counts = best_overlap_counts(matching)
    plot = Plot(1, math.log10(2 * max(counts) + 1))
    bars = [
        plot.bar(
            k * BIN, (k + 0.9) * BIN, 0, math.log10(count + 1),
            fill="var(--prior)" if (k + 0.5) * BIN > matching.threshold else "var(--quiet)",
            title=f"{counted(count, 'prior')} from {k * BIN:.2f} to {(k + 1) * BIN:.2f}",
        )
        for k, count in enumerate(counts)
    ]  # fmt: skip
    powers = {math.log10(count + 1): str(count) for count in (0, 1, 10, 100, 1000, 10000) if count <= max(counts)}
    return plot.figure(
        *bars, label="histogram of the best IoU of each prior",
        x="best IoU with an object", y="priors", x_ticks={k / 4: f"{k / 4:g}" for k in range(5)}, y_ticks=powers,
    )  # fmt: skip


def _table(subject: Subject, matching: Matching) -> str:
    n = len(subject.boxes)
    rows = [_row(subject, matching, k) for k in range(min(n, MOST_ROWS))]
    rows += [(f"and {n - MOST_ROWS} more", "", "", "")] if n > MOST_ROWS else []
    return svg.table(["object", "IoU of its own prior", "other priors", "their IoUs"], rows)


def _row(subject: Subject, matching: Matching, k: int) -> Sequence[object]:
    own, others = ((matching.objects == k) & kind for kind in (matching.by_right, ~matching.by_right))
    right, ious = matching.overlaps[k][own].tolist(), matching.overlaps[k][others]
    span = f"{ious.min():.2f} to {ious.max():.2f}" if len(ious) else ""
    name = f"{k + 1} {subject.name_of(int(subject.labels[k]))}"
    return name, f"{right[0]:.2f}" if right else "none", len(ious), span
