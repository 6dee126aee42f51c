"""From the channels of a map to rows of the tables of predictions, and the scores as heat maps."""

from html import escape

import numpy as np
from PIL import Image
from torch import Tensor

from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.sections.priors import by_map
from ssd.explain.subject import Subject
from ssd.model.network import MAP_CHANNELS, PredictionConvolutions
from ssd.model.postprocess import decode_predictions

MOST_CELLS = 10  # cells along a side of the map whose cells one can choose
MOST_CLASSES = 5  # shown in a table or as heat maps
HEAT = (255, 50, 0)


def decoded(subject: Subject) -> tuple[Tensor, Tensor]:
    """Boxes (n_priors, 4), corner fractions, and probabilities (n_priors, n_classes), as detection computes them."""
    variances = subject.config.variances
    boxes, probabilities = decode_predictions(subject.locs[None], subject.scores[None], subject.priors_cxcy, variances)
    return boxes[0], probabilities[0]


def likely_labels(subject: Subject) -> list[int]:
    """The labels with the highest scores anywhere in the picture, at most MOST_CLASSES, the highest first."""
    highest = decoded(subject)[1].amax(dim=0)  # (n_classes,)
    highest[[0, *subject.config.unused_labels]] = -1
    return highest.argsort(descending=True)[: min(MOST_CLASSES, (highest >= 0).sum().item())].tolist()


def channels(subject: Subject) -> Section:
    """The channels of a cell, which the reader chooses, and the rows that they become."""
    data = _data(subject)
    name, cells, n, n_classes = data["map"], data["cells"], data["priors"], subject.config.n_classes
    return Section(
        figure=svg.beside(
            subject.drawing(label=f"the cells of {name}", class_="clickable"),
            '<small aria-live="polite"></small><div class="channels"></div>',
        ),
        text=f"""
        Take {name}, a map of {cells} x {cells} cells with {n} priors each. One 3 x 3 convolution computes {n} x 4 =
        {n * 4} channels of offsets for each cell, another {n} x {n_classes} = {n * n_classes} channels of scores: for
        every prior, one for each of the {n_classes - 1} classes and one for the background. Click a cell, or use
        the arrow keys, to see its channels: red squares are positive numbers, blue ones negative.

        Channels become predictions without any computation. They move to the last dimension and are cut into rows of 4,
        or of {n_classes}: the first row belongs to the first prior of the cell. The rows of all cells and maps, one
        after the other, make tables of {len(subject.locs)} rows, in the order of the table of priors.

        The scores here are logits: they can be any number, and the highest wins. Softmax turns a row of them into
        probabilities.""",
        formula=f"row = {data['first']} + (y &times; {cells} + x) &times; {n} + k, "
        f"channels 4k to 4k + 3 and {n_classes}k to {n_classes}k + {n_classes - 1}<br>"
        f"y, x: row and column of the cell; k: the prior of the cell; all count from 0. {data['first']}: the rows of "
        "the maps before",
        sources=[PredictionConvolutions, PredictionConvolutions.forward],
        data=data,
    )


def _data(subject: Subject) -> dict:
    """The predictions of the first map whose cells are large enough to click, and the cell with the best score."""
    config = subject.config
    tables = subject.locs, subject.scores, decoded(subject)[1]
    locs, scores, probabilities = (by_map(table, config) for table in tables)
    k = next(k for k, cells in enumerate(config.feature_maps) if cells <= MOST_CELLS)
    return {
        "map": list(MAP_CHANNELS)[k],
        "cells": config.feature_maps[k],
        "priors": config.priors_per_cell[k],
        "first": sum(part[..., 0].numel() for part in locs[:k]),
        "chosen": probabilities[k][..., 1:].amax(dim=(2, 3)).argmax().item(),
        "names": [subject.name_of(label) for label in range(config.n_classes)],
        "shown": [0, *likely_labels(subject)],
        "locs": locs[k].flatten(0, 2).double().round(decimals=2).tolist(),
        "scores": scores[k].flatten(0, 2).double().round(decimals=2).tolist(),
    }


def heat_maps(subject: Subject, label: int) -> list[Tensor]:
    """The highest probability (cells, cells) of a class among the priors of each cell, for each map."""
    return [part[..., label].amax(dim=2) for part in by_map(decoded(subject)[1], subject.config)]


def heat(subject: Subject) -> Section:
    """The scores of the likeliest classes on every map."""
    labels = likely_labels(subject)
    n_known = len(subject.config.class_names) - len(subject.config.unused_labels)
    choice = "" if len(labels) == n_known else f" Of {n_known} classes, these {len(labels)} score highest here."
    return Section(
        figure="".join(f"<h3>{escape(subject.name_of(label))}</h3>{_heat_row(subject, label)}" for label in labels),
        text=f"""
        One row for each class, one column for each map, fine maps first. The redder a cell, the higher the best score
        of its priors; the number is the highest on the map.{choice}

        Small objects light up on the fine maps, large ones on the coarse maps, because the priors there have similar
        sizes. Usually several cells around an object respond. That is intended: matching made all of them responsible.
        Suppression, in the next section, keeps one.""",
        formula="p(class) = exp(s<sub>class</sub>) / &Sigma; exp(s), the sum over all classes and the background",
        sources=[decode_predictions],
    )


def _heat_row(subject: Subject, label: int) -> str:
    frame = {"width": subject.shown.width, "height": subject.shown.height, "preserveAspectRatio": "none"}
    drawn = []
    for name, heat in zip(MAP_CHANNELS, heat_maps(subject, label), strict=False):
        layer = svg.element("image", href=svg.data_address(_as_picture(heat), "png"), **frame, class_="pixels")
        caption = f"{name}: {heat.max():.2f}"
        drawn.append((subject.drawing(layer, label="a heat map", faint=True), caption))
    return svg.panels(*drawn, class_="panels six")


def _as_picture(heat: Tensor) -> Image.Image:
    """Probabilities (cells, cells) as a picture of as many pixels, whose opacity they are."""
    levels = (heat * 255).round().byte().numpy()
    colour = np.broadcast_to(np.array(HEAT, dtype=np.uint8), (*levels.shape, 3))
    return Image.fromarray(np.dstack([colour, levels]))
