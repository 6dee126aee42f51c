"""Which priors answer for which object."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_iou

from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.plot import QUARTERS, Plot
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy
from ssd.model.loss import MultiBoxLoss, prior_targets
from ssd.model.matching import match
from ssd.text import counted

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
    overlaps = box_iou(subject.boxes, cxcy_to_xy(subject.priors_cxcy))
    threshold = MultiBoxLoss(subject.priors_cxcy).threshold
    by_right = match(overlaps[None], math.inf)[0] >= 0  # no prior reaches such a threshold
    return Matching(overlaps, match(overlaps[None], threshold)[0], by_right, threshold)


def section(subject: Subject) -> Section:
    """The objects, their positive priors, and the best IoU of every prior."""
    matching = match_objects(subject)
    n_priors, n_positive, n_right = len(matching.objects), int(matching.positive.sum()), int(matching.by_right.sum())
    figure = svg.panels(
        (_photo(subject, matching), "green: the objects; orange: their priors, bold where an object has it by right"),
        (_histogram(matching), "how many priors have which best IoU; orange: at or above the threshold"),
        class_="panels large",
    )
    return Section(
        figure=figure + _table(subject, matching),
        text=f"""
        {counted(len(subject.boxes), "object")} and {n_priors} priors: each prior is compared with each object. First,
        every object receives the prior that it overlaps most, so that none is left without one:
        {counted(n_right, "prior is", "priors are")} positive by right. Pairs with the highest IoU choose first, and no
        prior serves two objects.

        Then every other prior with an IoU of at least {matching.threshold} becomes positive too:
        {n_positive - n_right} more. Each answers for the object that it overlaps most.

        The remaining {n_priors - n_positive} priors, {(n_priors - n_positive) / n_priors:.1%} of all, are negative:
        they should say background. The histogram's scale is logarithmic, because nearly all priors overlap no object
        much.""",
        formula=f"positive: the best prior of an object, or IoU(prior, object) &ge; {matching.threshold}",
        sources=[match, prior_targets],
    )


def _photo(subject: Subject, matching: Matching) -> str:
    priors = cxcy_to_xy(subject.priors_cxcy)
    corners = subject.in_frame(subject.boxes).tolist()
    return subject.drawing(
        subject.outlines(priors[matching.positive & ~matching.by_right], "prior thin"),
        subject.outlines(priors[matching.by_right], "prior bold"),
        subject.outlines(subject.boxes, "truth"),
        *(svg.text(x + 5, y + 18, k, class_="on-photo") for k, (x, y, _, _) in enumerate(corners, start=1)),
        label="objects and their positive priors",
    )


def best_overlap_counts(matching: Matching) -> list[int]:
    """How many priors have their best IoU with any object in each step of BIN, from 0."""
    return torch.histc(matching.overlaps.amax(dim=0), bins=round(1 / BIN), min=0, max=1).int().tolist()


def _histogram(matching: Matching) -> str:
    counts = best_overlap_counts(matching)
    plot = Plot(1, math.log10(2 * max(counts) + 1))
    bars = []
    for k, count in enumerate(counts):
        colour = "prior" if (k + 0.5) * BIN > matching.threshold else "quiet"
        tip = svg.tip(f"{counted(count, 'prior')} from {k * BIN:.2f} to {(k + 1) * BIN:.2f}")
        bars.append(plot.bar(k * BIN, (k + 0.9) * BIN, 0, math.log10(count + 1), colour, tip))
    powers = {math.log10(count + 1): str(count) for count in (0, 1, 10, 100, 1000, 10000) if count <= max(counts)}
    return plot.figure(
        *bars, label="histogram of the best IoU of each prior",
        x="best IoU with an object", y="priors", x_ticks=QUARTERS, y_ticks=powers,
    )  # fmt: skip


def _table(subject: Subject, matching: Matching) -> str:
    rows: list[tuple[str, ...]] = []
    for k, (label, overlaps) in enumerate(zip(subject.labels[:MOST_ROWS], matching.overlaps, strict=False)):
        own, others = ((matching.objects == k) & kind for kind in (matching.by_right, ~matching.by_right))
        right = f"{overlaps[own].item():.2f}" if own.any() else "none"
        span = f"{overlaps[others].min():.2f} to {overlaps[others].max():.2f}" if others.any() else ""
        rows.append((f"{k + 1} {subject.name_of(label)}", right, f"{others.sum()}", span))
    if (more := len(subject.boxes) - MOST_ROWS) > 0:
        rows.append((f"and {more} more", "", "", ""))
    return svg.table(["object", "IoU of its own prior", "other priors", "their IoUs"], rows)
