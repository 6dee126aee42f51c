"""What the predictions for the picture cost in training."""

import torch
from torch import Tensor

from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.plot import Plot
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy
from ssd.model.loss import MultiBoxLoss, PriorLosses
from ssd.text import counted

MOST_BARS = 60  # positives in the diagram


def criterion(subject: Subject) -> MultiBoxLoss:
    """The loss of training, for the subject's priors."""
    return MultiBoxLoss(subject.priors_cxcy, variances=subject.config.variances)


def batch(subject: Subject) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor]]:
    """The subject as a batch of one picture, for the criterion: predictions and objects."""
    return subject.locs[None], subject.scores[None], [subject.boxes], [subject.labels]


def prior_losses(subject: Subject) -> PriorLosses:
    """The losses of the subject's priors, (n_priors,) each."""
    return PriorLosses(*(losses[0] for losses in criterion(subject).per_prior(*batch(subject))))


def section(subject: Subject) -> Section:
    """The losses of positives and hard negatives, their sums, and the quotient."""
    losses, counting = prior_losses(subject), criterion(subject)
    n, n_hard = int(losses.positive.sum()), int(losses.hard_negative.sum())
    loc_sum, conf_sum = losses.loc[losses.positive].sum(), losses.conf[losses.positive].sum()
    hard_sum = losses.conf[losses.hard_negative].sum()
    hard = cxcy_to_xy(subject.priors_cxcy[losses.hard_negative])
    boxes = subject.outlines(hard, "wrong thin light") + subject.outlines(subject.boxes, "truth")
    photo = subject.drawing(boxes, label="objects and hard negatives")
    rows = [
        ("localisation, positives", n, f"{loc_sum:.3f}"),
        ("confidence, positives", n, f"{conf_sum:.3f}"),
        ("confidence, hard negatives", n_hard, f"{hard_sum:.3f}"),
    ]
    return Section(
        figure=svg.panels(
            (photo, "green: the objects; magenta: the hard negatives"),
            (_positives(losses), "positives; blue: localisation, orange: confidence"),
            (_negatives(losses), "negatives; magenta: the hard ones, which count, grey: the next, which do not"),
            (svg.table(["part", "priors", "sum"], rows), ""),
            class_="panels large",
        ),
        text=f"""
        {counted(n, "positive prior")} must both place a box and name its class. The localisation loss compares the four
        predicted offsets with those of the object; the confidence loss is the cross-entropy of the class. The bars show
        both for each prior.

        A negative prior should only say background. There are {len(losses.positive) - n} of them; if all counted,
        they would drown out the positives. So only the {n_hard} with the largest loss count,
        {counting.neg_pos_ratio} for each positive. Hard negatives usually lie on or beside objects: they see one, but
        overlap it too little.

        The sum is divided by the number of positives, so the loss does not grow with the number of objects. In
        training, the sums and the number are those of the whole batch.""",
        formula=f"L = (L<sub>conf</sub> + &alpha; L<sub>loc</sub>) / N = ({conf_sum:.3f} + {hard_sum:.3f} "
        f"+ {counting.alpha:g} &times; {loc_sum:.3f}) / {n} = <b>{counting(*batch(subject)):.3f}</b><br>"
        "L<sub>loc</sub>: smooth L1(d) = d&sup2;/2 if |d| &lt; 1, else |d| &minus; 1/2, over the offsets of positives"
        "<br>L<sub>conf</sub>: &minus;log p(class) of positives, &minus;log p(background) of hard negatives",
        sources=[MultiBoxLoss, MultiBoxLoss.per_prior],
    )


def _positives(priors: PriorLosses) -> str:
    """Localisation and confidence of the positives, stacked, the most expensive first."""
    losses = torch.stack([priors.loc, priors.conf], dim=1)[priors.positive]  # (n_positives, 2)
    stacks = losses[losses.sum(dim=1).argsort(descending=True)][:MOST_BARS].tolist()
    plot = Plot(max(len(stacks), 10), max(max(map(sum, stacks)), 1e-3))
    bars = []
    for k, (loc, conf) in enumerate(stacks):
        tip = svg.tip(f"localisation {loc:.3f}, confidence {conf:.3f}")
        bars += [plot.bar(k, k + 0.8, 0, loc, "found", tip), plot.bar(k, k + 0.8, loc, loc + conf, "prior", tip)]
    return _losses(plot, bars, "positive priors, the most expensive first")


def _negatives(priors: PriorLosses) -> str:
    """The losses of the hard negatives and of as many after them, the largest first."""
    n_hard = int(priors.hard_negative.sum())
    ranked = priors.conf[~priors.positive].sort(descending=True).values[: 2 * n_hard].tolist()
    plot = Plot(max(len(ranked), 10), max(ranked[0], 1e-3))
    bars = [
        plot.bar(k, k + 0.8, 0, conf, "wrong" if k < n_hard else "quiet", svg.tip(f"{conf:.3f}"))
        for k, conf in enumerate(ranked)
    ]
    return _losses(plot, bars, "negative priors, the most expensive first")


def _losses(plot: Plot, bars: list[str], x: str) -> str:
    y_ticks = {share * plot.y_max: f"{share * plot.y_max:.2g}" for share in (0, 0.5, 1)}
    return plot.figure(*bars, label=f"losses of {x}", x=x, y="loss", x_ticks={}, y_ticks=y_ticks)
