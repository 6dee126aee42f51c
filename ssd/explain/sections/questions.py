"""Questions people ask, answered with the numbers of this picture and model."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_iou

from ssd.evaluation.evaluate import PAPER
from ssd.evaluation.matches import match_detections
from ssd.evaluation.mean_ap import calculate_mAP
from ssd.explain import svg
from ssd.explain.layers import network_layers, prediction_layers
from ssd.explain.page import Section, paragraphs
from ssd.explain.plot import Plot
from ssd.explain.sections.loss import batch, criterion, prior_losses
from ssd.explain.sections.matching import match_objects
from ssd.explain.sections.predictions import decoded
from ssd.explain.sections.priors import by_map
from ssd.explain.sections.suppression import select
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy, encode
from ssd.model.loss import MultiBoxLoss
from ssd.model.matching import match
from ssd.model.network import SSD
from ssd.model.postprocess import select_detections
from ssd.text import counted
from ssd.training.optimiser import BIAS_RATE, create_optimiser
from ssd.training.recipe import Recipe, paper_recipe


def section(subject: Subject) -> Section:
    """The questions and their answers. Where there is no model or no object, answers lack the numbers of it."""
    answers = {
        "Why may a prior be larger than the kernel that predicts it?": _larger_than_the_kernel,
        "Why are objects matched with priors, and not with predictions?": _matched_by_priors,
        "Why is there a background class?": _background_class,
        "Why is there a threshold for the score, instead of taking the best class?": _threshold_or_best_class,
        "Why smooth L1?": _smooth_l1,
        "How does the scale of this loss compare with that of others?": _loss_scales,
        "Why do biases learn twice as fast?": _fast_biases,
        "What is gradient clipping for?": _clipping,
        "Why must evaluation know difficult objects?": _difficult_objects,
        "Why may priors leave the picture?": _outside_priors,
        "Batches of 8 pictures, or of 32?": _batch_size,
    }
    entries = [f"<dt>{question}</dt><dd>{paragraphs(answer(subject))}</dd>" for question, answer in answers.items()]
    return Section(
        figure=svg.element("dl", *entries, class_="questions"),
        text="The numbers in these answers are those of this picture" + (" and this model." if subject.model else "."),
        sources=[match, MultiBoxLoss, select_detections, calculate_mAP, create_optimiser, paper_recipe],
    )


# The answers: each yields paragraphs and figures, as HTML.


def _larger_than_the_kernel(subject: Subject) -> Iterator[str]:
    yield f"""
        The kernel covers 3 x 3 cells, but each cell already sums up a larger part of the picture. Together they depend
        on all pixels of the <i>receptive field</i>, and most on those in its middle. The table compares their sides in
        pixels; the input has {subject.config.input_size}."""
    rows = [(name, *(f"{value:.0f}" for value in sides)) for name, sides in reach(subject).items()]
    yield svg.table(["map", "kernel", "largest prior", "field"], rows)


def reach(subject: Subject) -> dict[str, list[float]]:
    """For each map: the sides of its kernel, of its largest prior and of its receptive field, in pixels of the input.

    None is larger than the input."""
    config = subject.config
    layers = prediction_layers(network_layers(config))
    each = zip(layers.items(), config.steps, by_map(subject.priors_cxcy, config), strict=True)
    shares = {
        name: (layer.kernel * step, priors[..., 2:].max().item(), layer.field.size / config.input_size)
        for (name, layer), step, priors in each
    }
    return {name: [min(share, 1) * config.input_size for share in row] for name, row in shares.items()}


def _matched_by_priors(subject: Subject) -> Iterator[str]:
    yield """
        Predictions change with every step, and at first they are noise: which of them should learn an object would be a
        matter of chance. Priors never move. In the same picture, an object has the same positives in the first
        iteration and in the last, so each of them can learn what it is there for."""
    if _is_trained(subject):
        by_priors, by_predictions = match_objects(subject).positive, matched_predictions(subject)
        still, moved = mean_iou(subject, torch.zeros_like(subject.locs)), mean_iou(subject, subject.locs)
        yield f"""
        Here the IoU of {counted(int(by_priors.sum()), "positive")} with their objects is {still:.2f} on average, and
        {moved:.2f} once the network's offsets have moved them. If objects were matched with predicted boxes,
        {by_predictions.sum()} priors would be positive, {(by_priors & by_predictions).sum()} of which are positive
        now."""


def _background_class(subject: Subject) -> Iterator[str]:
    n_positive, n = match_objects(subject).positive.sum(), len(subject.priors_cxcy)
    here = f"Here {n_positive} of {n} priors are positive, and the others have no object." if n_positive else ""
    yield f"""
        Most priors have no object, and their probability has to go somewhere: the softmax of a prior always adds up to
        1. {here}"""
    if subject.model:
        confident, without = (confident_priors(subject, background) for background in (True, False))
        yield f"""
        Here some class scores above 0.5 at {counted(confident, "prior")}. Without the background, the classes would
        share all of the probability, and some class would score above 0.5 at {without}."""


def _threshold_or_best_class(subject: Subject) -> Iterator[str]:
    yield """
        The best class alone would be an answer too, but where the network has doubts, the background wins. AP ranks
        detections by their scores: one that is probably wrong, below all others, costs little, and if it finds an
        object after all, it counts."""
    if not subject.model:
        return
    _, probabilities = decoded(subject)
    n_best, n_above = (int((p[:, 1:] > PAPER.min_score).sum()) for p in (best_class(probabilities), probabilities))
    found = ""
    if _is_trained(subject) and not subject.is_own:
        best, above = (n_found(subject, only_best) for only_best in (True, False))
        found = f"Of {counted(len(subject.boxes), 'object')}, the best class finds {best}, the threshold {above}."
    yield f"""
        Here an object's class is the best one at {counted(n_best, "prior")}, but {n_above} scores exceed
        {PAPER.min_score}, the threshold of evaluation. {found}"""


def _smooth_l1(subject: Subject) -> Iterator[str]:
    yield """
        With squared errors, one box that is far off decides the step: the gradient grows with the error. With L1, it is
        1 for any error, so a box that is nearly right is pushed as hard as one that is far off, and does not settle.
        The gradient of smooth L1 is the error itself up to 1, and 1 beyond."""
    errors = offset_errors(subject).flatten() if _is_trained(subject) else torch.zeros(0)
    if len(errors):
        largest = f"{errors.abs().max():.2f}"
        yield f"""
        The grey bars are the {len(errors)} errors here. The largest is {largest}. Squared, it pulls {largest} times as
        hard as an error of 1. With smooth L1, nothing pulls harder than an error of 1."""
    yield _loss_curves(errors)


def _loss_curves(errors: Tensor) -> str:
    """The three losses of an error from 0 to 3, and the sizes of the errors (n,) as bars."""
    plot, x = Plot(3, 4.5), torch.linspace(0, 3, 31)
    smooth = F.smooth_l1_loss(x, torch.zeros_like(x), reduction="none")
    parts = [plot.bar(e, e + 0.01, 0, 0.2, "quiet") for e in errors.abs().clamp(max=plot.x_max).tolist()]
    for name, y, colour, right, up, anchor in (
        ("square / 2", x.square() / 2, "wrong", 2.7, 3.7, "end"),
        ("L1", x, "prior", 2.9, 2.95, "end"),
        ("smooth L1", smooth, "found", 2.55, 1.65, "start"),
    ):
        parts.append(plot.curve(zip(x.tolist(), y.tolist(), strict=True), colour))
        parts.append(svg.text(plot.x(right), plot.y(up), name, text_anchor=anchor))  # beside its curve, not across it
    ticks = {float(n): str(n) for n in range(4)}
    return plot.figure(*parts, label="three losses", x="error", y="loss", x_ticks=ticks, y_ticks=ticks)


def _loss_scales(subject: Subject) -> Iterator[str]:
    yield """
        The paper adds up the four offsets of all positives and divides by their number N. So do we, the Caffe release
        and torchvision. PyTorch's losses take a mean by default: over all 4 N offsets, which is a quarter of that. The
        tutorial by sgrvinod takes such a mean, of L1. On another scale, the same &alpha; means something else."""
    if _is_trained(subject):
        rows = [(name, f"{value:.3f}") for name, value in localisation_losses(subject).items()]
        yield svg.table(["loss of this picture's offsets", ""], rows)


def _fast_biases(subject: Subject) -> Iterator[str]:
    yield f"""
        Because the paper's release does so: biases learn at {BIAS_RATE} times the rate of weights and do not decay, as
        was usual with Caffe. Weight decay keeps a network from memorising pictures with large weights, which a few
        biases cannot do. We know of no measurement of what the doubled rate gains."""
    if subject.model:
        groups = create_optimiser(subject.model, Recipe.momentum, Recipe.weight_decay).param_groups
        weights, biases = (sum(p.numel() for p in group["params"]) for group in groups[:2])
        yield f"This model has {weights:,} weights and {biases:,} biases, {100 * biases / weights:.2f}% as many."


def _clipping(subject: Subject) -> Iterator[str]:
    yield """
        One bad batch early in training can have a gradient a hundred times the usual length. One step along it, and the
        weights are where every loss is huge, or not a number. Clipping shortens a gradient that is longer than a limit,
        and keeps its direction. Networks that start from ImageNet's weights seldom need it; without them,
        <code>--clip-norm 10</code> is a good start."""
    if subject.model and len(subject.boxes):
        norm = gradient_norm(subject.model, subject)
        length = nn.utils.get_total_norm(list(subject.model.parameters()))
        rate = paper_recipe(batch_size=32).lr
        effect = "leave it as it is" if norm <= 10 else f"multiply it by {10 / norm:.2f}"
        yield f"""
        The gradient of this picture's loss has the length {norm:.1f}. At the paper's rate of {rate:g}, it moves the
        weights, whose length is {length:.0f}, by {rate * norm:.2g}. A limit of 10 would {effect}."""


def _difficult_objects(subject: Subject) -> Iterator[str]:
    yield """
        VOC marks objects that are hard to recognise as difficult. Finding one earns nothing, and missing one costs
        nothing. If evaluation did not know them, a detection of one would count as false, so a better detector
        could have a lower AP. Training learns from difficult objects as from all others."""
    n_difficult, effect = int(subject.difficulties.sum()), ""
    if n_difficult and _is_trained(subject) and not subject.is_own:
        known, unknown = (mean_ap(subject, ~subject.difficulties | keep) for keep in (True, False))
        change = "stay" if known == unknown else f"not be {known:.3f}, but"
        effect = f"If evaluation did not know of them, the mAP of this picture would {change} {unknown:.3f}."
    if len(subject.boxes):
        yield f"Difficult here: {n_difficult} of {counted(len(subject.boxes), 'object')}. {effect}"


def _outside_priors(subject: Subject) -> Iterator[str]:
    inside = priors_inside(subject)
    yield f"""
        An object at the edge is matched best by a prior that reaches beyond the edge. {(~inside).sum()} of the
        {len(inside)} priors do. Only predicted boxes are clamped to the picture."""
    if len(subject.boxes):
        overlaps = match_objects(subject).overlaps
        best, best_inside = (part.max(dim=1).values.mean() for part in (overlaps, overlaps[:, inside]))
        change = f"be {best_inside:.3f}" if best_inside < best else "be the same, as the best ones do not leave it"
        yield f"""
        The best prior of an object here has an IoU of {best:.3f} on average. Without the priors that leave the picture,
        it would {change}."""


def _batch_size(subject: Subject) -> Iterator[str]:
    paper, small = paper_recipe(batch_size=32), paper_recipe(batch_size=8)
    yield f"""
        The paper takes {paper.iterations:,} steps of 32 pictures at a rate of {paper.lr:g}. A batch of 8 needs a
        quarter of the memory, and its gradient is about twice as noisy. The linear rule therefore gives it a quarter of
        the rate and four times the steps: {small.iterations:,} at {small.lr:g}, our defaults for 8. The tutorial trains
        batches of 8 at the rate for 32, so each picture moves the weights four times as far. That learns faster in a
        short run, but diverges sooner."""


def _is_trained(subject: Subject) -> bool:
    """Whether there are a model and objects, so a loss."""
    return bool(subject.model) and len(subject.boxes) > 0


def mean_iou(subject: Subject, locs: Tensor) -> float:
    """The mean IoU of the positive priors, moved by offsets (8732, 4), with their objects."""
    figures = criterion(subject).measure(locs[None], *batch(subject)[1:])
    return (figures.iou_sum / figures.n_positives).item()


def matched_predictions(subject: Subject) -> Tensor:
    """Which priors (8732,) would be positive if objects were matched with predicted boxes."""
    overlaps = box_iou(subject.boxes, decoded(subject)[0])  # (n, 8732)
    return match(overlaps[None], match_objects(subject).threshold)[0] >= 0


def confident_priors(subject: Subject, background: bool) -> int:
    """How many priors give a class more than 0.5, if the background takes part in their softmax or if it does not."""
    scores = subject.scores if background else subject.scores[:, 1:]
    return int((scores.softmax(dim=1)[:, background:] > 0.5).any(dim=1).sum())


def best_class(probabilities: Tensor) -> Tensor:
    """Probabilities (..., n_classes), 0 for all but the best class of a prior."""
    return probabilities * F.one_hot(probabilities.argmax(dim=-1), probabilities.shape[-1])


def n_found(subject: Subject, only_best: bool) -> int:
    """How many objects evaluation finds, or would if only the best class of each prior counted; difficult ones too."""
    boxes, probabilities = decoded(subject)
    chosen = best_class(probabilities) if only_best else probabilities
    found = select_detections(boxes[None], chosen[None], *PAPER, unused=subject.config.unused_labels)
    objects = [subject.boxes], [subject.labels], [torch.zeros_like(subject.difficulties)]
    return int(match_detections(*found, *objects, subject.config.label_map).correct.sum())


def mean_ap(subject: Subject, which: Tensor) -> float:
    """The mAP of this picture, if only some of its objects (n,) were known."""
    boxes, labels, scores = select(subject, PAPER)
    objects = [subject.boxes[which]], [subject.labels[which]], [subject.difficulties[which]]
    return calculate_mAP([boxes], [labels], [scores], *objects, subject.config.label_map)[1]


def offset_errors(subject: Subject) -> Tensor:
    """Predicted minus true offsets (n_positives, 4) of the positive priors."""
    matching = match_objects(subject)
    positive = matching.positive
    priors, boxes = subject.priors_cxcy[positive], subject.boxes[matching.objects[positive]]
    return subject.locs[positive] - encode(boxes, priors, subject.config.variances)


def localisation_losses(subject: Subject) -> dict[str, float]:
    """The localisation loss of this picture as it is counted here and elsewhere."""
    errors, losses = offset_errors(subject), prior_losses(subject)
    loc_sum = losses.loc[losses.positive].sum().item()
    return {
        "smooth L1, sum / N (the paper, here)": loc_sum / len(errors),
        "smooth L1, mean of 4 N": loc_sum / errors.numel(),
        "L1, mean of 4 N (the tutorial)": errors.abs().mean().item(),
    }


def gradient_norm(model: SSD, subject: Subject) -> float:
    """The length of the gradient of this picture's loss, over all parameters of a model."""
    loss = criterion(subject)(*model(subject.input[None]), [subject.boxes], [subject.labels])
    return nn.utils.get_total_norm(torch.autograd.grad(loss, list(model.parameters()))).item()


def priors_inside(subject: Subject) -> Tensor:
    """Which priors (8732,) lie wholly inside the picture."""
    corners = cxcy_to_xy(subject.priors_cxcy)
    return ((corners >= 0) & (corners <= 1)).all(dim=1)
