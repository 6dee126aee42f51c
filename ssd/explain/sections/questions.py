"""Questions people ask, answered with the numbers of this picture and model."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import box_iou

from ssd.evaluation.evaluate import PAPER
from ssd.evaluation.matches import match_detections
from ssd.evaluation.mean_ap import calculate_mAP
from ssd.explain import svg
from ssd.explain.layers import network_layers, prediction_layers
from ssd.explain.page import Section
from ssd.explain.plot import Plot
from ssd.explain.sections.loss import picture_loss
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


class Answer(NamedTuple):
    """A question and its answer: paragraphs and a figure or table, both HTML."""

    question: str
    text: Sequence[str]
    figure: str = ""


def section(subject: Subject) -> Section:
    """The questions and their answers. Where there is no model or no object, answers lack the numbers of it."""
    makers = (
        larger_than_the_kernel, matched_by_priors, background_class, threshold_or_best_class, smooth_l1, loss_scales,
        fast_biases, clipping, difficult_objects, outside_priors, batch_size,
    )  # fmt: skip
    return Section(
        key="questions",
        title="What do people ask?",
        figure=svg.element("dl", *(_entry(make(subject)) for make in makers), class_="questions"),
        text=[
            "The numbers in these answers are those of this picture" + (" and this model." if subject.model else ".")
        ],
        sources=[match, MultiBoxLoss, select_detections, calculate_mAP, create_optimiser, paper_recipe],
    )


def _entry(answer: Answer) -> str:
    paragraphs = "".join(svg.element("p", text) for text in answer.text)
    return svg.element("dt", answer.question) + svg.element("dd", paragraphs, answer.figure)


def larger_than_the_kernel(subject: Subject) -> Answer:
    """Why a prior may be larger than the kernel that predicts it."""
    text = [
        "The kernel covers 3 x 3 cells, but each cell already sums up a larger part of the picture. Together they "
        "depend on all pixels of the <i>receptive field</i>, and most on those in its middle. The table compares their "
        f"sides in pixels; the input has {subject.config.input_size}."
    ]
    columns = ["map", "kernel", "largest prior", "field"]
    rows = [(name, *(f"{value:.0f}" for value in sides)) for name, sides in reach(subject).items()]
    return Answer("Why may a prior be larger than the kernel that predicts it?", text, svg.table(columns, rows))


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


def matched_by_priors(subject: Subject) -> Answer:
    """Why objects are matched with priors and not with predictions."""
    text = [
        "Predictions change with every step, and at first they are noise: which of them should learn an object would "
        "be a matter of chance. Priors never move. In the same picture, an object has the same positives in the first "
        "iteration and in the last, so each of them can learn what it is there for."
    ]
    if _is_trained(subject):
        by_priors, by_predictions = match_objects(subject).positive, matched_predictions(subject)
        still = mean_iou(subject, torch.zeros_like(subject.locs))
        text.append(
            f"Here the IoU of {counted(int(by_priors.sum()), 'positive')} with their objects is {still:.2f} on "
            f"average, and {mean_iou(subject, subject.locs):.2f} once the network's offsets have moved them. If "
            f"objects were matched with predicted boxes, {int(by_predictions.sum())} priors would be positive, "
            f"{int((by_priors & by_predictions).sum())} of which are positive now."
        )
    return Answer("Why are objects matched with priors, and not with predictions?", text)


def background_class(subject: Subject) -> Answer:
    """Why there is a class for nothing."""
    n_positive, n = int(match_objects(subject).positive.sum()), len(subject.priors_cxcy)
    text = [
        "Most priors have no object, and their probability has to go somewhere: the softmax of a prior always "
        "adds up to 1."
    ]
    if n_positive:
        text[0] += f" Here {n_positive} of {n} priors are positive, and the others have no object."
    if subject.model:
        confident, without = (confident_priors(subject, background) for background in (True, False))
        text.append(
            f"Here some class scores above 0.5 at {counted(confident, 'prior')}. Without the background, the classes "
            f"would share all of the probability, and some class would score above 0.5 at {without}."
        )
    return Answer("Why is there a background class?", text)


def threshold_or_best_class(subject: Subject) -> Answer:
    """Why a detection needs a score above a threshold, and not the highest score of its prior."""
    text = [
        "The best class alone would be an answer too, but where the network has doubts, the background wins. AP ranks "
        "detections by their scores: one that is probably wrong, below all others, costs little, and if it finds an "
        "object after all, it counts."
    ]
    if subject.model:
        _, probabilities = decoded(subject)
        n_best, n_above = (int((p[:, 1:] > PAPER.min_score).sum()) for p in (best_class(probabilities), probabilities))
        text.append(
            f"Here an object's class is the best one at {counted(n_best, 'prior')}, but {n_above} scores exceed "
            f"{PAPER.min_score}, the threshold of evaluation."
        )
    if _is_trained(subject) and not subject.is_own:
        best, above = (n_found(subject, only_best) for only_best in (True, False))
        text[-1] += f" Of {counted(len(subject.boxes), 'object')}, the best class finds {best}, the threshold {above}."
    return Answer("Why is there a threshold for the score, instead of taking the best class?", text)


def smooth_l1(subject: Subject) -> Answer:
    """Why smooth L1, and not L1 or squares."""
    text = [
        "With squared errors, one box that is far off decides the step: the gradient grows with the error. With L1, it "
        "is 1 for any error, so a box that is nearly right is pushed as hard as one that is far off, and does not "
        "settle. The gradient of smooth L1 is the error itself up to 1, and 1 beyond."
    ]
    errors = offset_errors(subject).flatten() if _is_trained(subject) else torch.zeros(0)
    if len(errors):
        largest = errors.abs().max().item()
        text.append(
            f"The grey bars are the {len(errors)} errors here. The largest is {largest:.2f}. Squared, it "
            f"pulls {largest:.2f} times as hard as an error of 1. With smooth L1, nothing pulls harder than an error "
            "of 1."
        )
    return Answer("Why smooth L1?", text, _loss_curves(errors))


def _smooth_l1(errors: Tensor) -> Tensor:
    return F.smooth_l1_loss(errors, torch.zeros_like(errors), reduction="none")


def _loss_curves(errors: Tensor) -> str:
    """The three losses of an error from 0 to 3, and the sizes of the errors (n,) as bars."""
    plot = Plot(3, 4.5)
    x = torch.linspace(0, plot.x_max, 31)
    losses = {"square / 2": x.square() / 2, "L1": x, "smooth L1": _smooth_l1(x)}
    looks = (("wrong", 2.7, 3.7, "end"), ("prior", 2.9, 2.95, "end"), ("found", 2.55, 1.65, "start"))
    curves = [
        plot.curve(zip(x.tolist(), y.tolist(), strict=True), stroke=f"var(--{colour})")
        + svg.text(plot.x(right), plot.y(up), name, text_anchor=anchor)  # beside its curve, not across it
        for (name, y), (colour, right, up, anchor) in zip(losses.items(), looks, strict=True)
    ]
    bars = [plot.bar(e, e + 0.01, 0, 0.2, "var(--quiet)") for e in errors.abs().clamp(max=plot.x_max).tolist()]
    ticks = {float(n): str(n) for n in range(4)}
    return plot.figure(*bars, *curves, label="three losses", x="error", y="loss", x_ticks=ticks, y_ticks=ticks)


def loss_scales(subject: Subject) -> Answer:
    """How the localisation loss compares with that of other implementations."""
    text = [
        "The paper adds up the four offsets of all positives and divides by their number N. So do we, the Caffe "
        "release and torchvision. PyTorch's losses take a mean by default: over all 4 N offsets, which is a quarter of "
        "that. The tutorial by sgrvinod takes such a mean, of L1. On another scale, the same &alpha; means something "
        "else."
    ]
    table = ""
    if _is_trained(subject):
        rows = [(name, f"{value:.3f}") for name, value in localisation_losses(subject).items()]
        table = svg.table(["loss of this picture's offsets", ""], rows)
    return Answer("How does the scale of this loss compare with that of others?", text, table)


def fast_biases(subject: Subject) -> Answer:
    """Why biases learn at twice the rate."""
    text = [
        f"Because the paper's release does so: biases learn at {BIAS_RATE} times the rate of weights and do not decay, "
        "as was usual with Caffe. Weight decay keeps a network from memorising pictures with large weights, which a "
        "few biases cannot do. We know of no measurement of what the doubled rate gains."
    ]
    if subject.model:
        groups = create_optimiser(subject.model, Recipe.momentum, Recipe.weight_decay).param_groups
        weights, biases = (sum(p.numel() for p in group["params"]) for group in groups[:2])
        text.append(f"This model has {weights:,} weights and {biases:,} biases, {100 * biases / weights:.2f}% as many.")
    return Answer("Why do biases learn twice as fast?", text)


def clipping(subject: Subject) -> Answer:
    """What gradient clipping is for."""
    text = [
        "One bad batch early in training can have a gradient a hundred times the usual length. One step along it, "
        "and the weights are where every loss is huge, or not a number. Clipping shortens a gradient that is longer "
        "than a limit, and keeps its direction. Networks that start from ImageNet's weights seldom need it; "
        "without them, <code>--clip-norm 10</code> is a good start."
    ]
    if subject.model and len(subject.boxes):
        norm = gradient_norm(subject.model, subject)
        length = nn.utils.get_total_norm(list(subject.model.parameters())).item()
        rate = paper_recipe(batch_size=32).lr
        effect = "leave it as it is" if norm <= 10 else f"multiply it by {10 / norm:.2f}"
        text.append(
            f"The gradient of this picture's loss has the length {norm:.1f}. At the paper's rate of {rate:g}, it moves "
            f"the weights, whose length is {length:.0f}, by {rate * norm:.2g}. A limit of 10 would {effect}."
        )
    return Answer("What is gradient clipping for?", text)


def difficult_objects(subject: Subject) -> Answer:
    """Why evaluation must know difficult objects."""
    n_difficult = int(subject.difficulties.sum())
    text = [
        "VOC marks objects that are hard to recognise as difficult. Finding one earns nothing, and missing one costs "
        "nothing. If evaluation did not know them, a detection of one would count as false, and the better detector "
        "would have the lower AP. Training learns from difficult objects as from all others.",
    ]
    if len(subject.boxes):
        text.append(f"Difficult here: {n_difficult} of {counted(len(subject.boxes), 'object')}.")
    if n_difficult and _is_trained(subject) and not subject.is_own:
        known, unknown = (mean_ap(subject, ~subject.difficulties | keep) for keep in (True, False))
        change = "stay" if known == unknown else f"not be {known:.3f}, but"
        text[-1] += f" If evaluation did not know of them, the mAP of this picture would {change} {unknown:.3f}."
    return Answer("Why must evaluation know difficult objects?", text)


def outside_priors(subject: Subject) -> Answer:
    """Why priors may leave the picture."""
    inside = priors_inside(subject)
    text = [
        "An object at the edge is matched best by a prior that reaches beyond the edge. "
        f"{int((~inside).sum())} of the {len(inside)} priors do. Only predicted boxes are clamped to the picture."
    ]
    if len(subject.boxes):
        overlaps = box_iou(subject.boxes, cxcy_to_xy(subject.priors_cxcy))  # (n, 8732)
        best, best_inside = (part.max(dim=1).values.mean() for part in (overlaps, overlaps[:, inside]))
        change = f"be {best_inside:.3f}" if best_inside < best else "be the same, as the best ones do not leave it"
        text.append(
            f"The best prior of an object here has an IoU of {best:.3f} on average. Without the priors that leave the "
            f"picture, it would {change}."
        )
    return Answer("Why may priors leave the picture?", text)


def batch_size(subject: Subject) -> Answer:
    """What follows from the size of a batch."""
    paper, small = paper_recipe(batch_size=32), paper_recipe(batch_size=8)
    text = [
        f"The paper takes {paper.iterations:,} steps of 32 pictures at a rate of {paper.lr:g}. A batch of 8 needs a "
        "quarter of the memory, and its gradient is about twice as noisy. The linear rule therefore gives it a "
        f"quarter of the rate and four times the steps: {small.iterations:,} at {small.lr:g}, our defaults for 8. "
        "The tutorial trains batches of 8 at the rate for 32, so each picture moves the weights four times as far. "
        "That learns faster in a short run, but diverges sooner."
    ]
    return Answer("Batches of 8 pictures or 32?", text)


def _is_trained(subject: Subject) -> bool:
    """Whether there are a model and objects, so a loss."""
    return subject.model is not None and len(subject.boxes) > 0


def mean_iou(subject: Subject, locs: Tensor) -> float:
    """The mean IoU of the positive priors, moved by offsets (8732, 4), with their objects."""
    batch = locs[None], subject.scores[None], [subject.boxes], [subject.labels]
    figures = picture_loss(subject).criterion.measure(*batch)
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
    errors, loss = offset_errors(subject), picture_loss(subject)
    return {
        "smooth L1, sum / N (the paper, here)": loss.loc_sum / len(errors),
        "smooth L1, mean of 4 N": loss.loc_sum / errors.numel(),
        "L1, mean of 4 N (the tutorial)": errors.abs().mean().item(),
    }


def gradient_norm(model: SSD, subject: Subject) -> float:
    """The length of the gradient of this picture's loss, over all parameters of a model."""
    criterion = MultiBoxLoss(subject.priors_cxcy, variances=subject.config.variances)
    loss = criterion(*model(subject.input[None]), [subject.boxes], [subject.labels])
    return nn.utils.get_total_norm(torch.autograd.grad(loss, list(model.parameters()))).item()


def priors_inside(subject: Subject) -> Tensor:
    """Which priors (8732,) lie wholly inside the picture."""
    corners = cxcy_to_xy(subject.priors_cxcy)
    return ((corners >= 0) & (corners <= 1)).all(dim=1)
