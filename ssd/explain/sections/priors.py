"""The priors of a cell that one chooses, and how well all of them fit the objects."""

from collections.abc import Sequence
from html import escape
from math import sqrt

from torch import Tensor

from ssd.config import SSDConfig, sizes_per_map
from ssd.data.prior_fit import best_prior_ious
from ssd.explain import svg
from ssd.explain.layers import network_layers, prediction_layers
from ssd.explain.page import Section
from ssd.explain.sections.boxes import example_box, nearest_prior
from ssd.explain.subject import Subject
from ssd.model.boxes import cxcy_to_xy, paired_iou
from ssd.model.network import SSD300
from ssd.model.priors import create_prior_boxes

MOST_ROWS = 12  # objects in the table


def by_map(table: Tensor, config: SSDConfig) -> list[Tensor]:
    """A table (n_priors, n) divided: for each map (rows, columns, priors of a cell, n)."""
    counts = [cells**2 * n for cells, n in zip(config.feature_maps, config.priors_per_cell, strict=True)]
    parts = table.split(counts)
    return [
        part.view(cells, cells, n, -1)
        for part, cells, n in zip(parts, config.feature_maps, config.priors_per_cell, strict=True)
    ]


def place_of(prior: int, config: SSDConfig) -> tuple[int, int, int, int]:
    """Map, row, column and number in its cell of a prior, given by its row in the table."""
    for k, (cells, n) in enumerate(zip(config.feature_maps, config.priors_per_cell, strict=True)):
        if prior < cells**2 * n:
            return k, prior // n // cells, prior // n % cells, prior % n
        prior -= cells**2 * n
    raise IndexError("no such prior")


def of_a_cell(subject: Subject) -> Section:
    """The priors of a cell, to be chosen by a click, their number, and how well they fit."""
    config = subject.config
    counts = [cells**2 * n for cells, n in zip(config.feature_maps, config.priors_per_cell, strict=True)]
    box, what = example_box(subject)
    k, row, column, _ = place_of(nearest_prior(subject, box), config)
    maps = _maps(subject)
    names = [each["name"] for each in maps]
    return Section(
        key="priors",
        title="Which boxes does the network start from?",
        figure=_figure(subject, names, k),
        text=[
            f"Every cell of the {len(maps)} maps has its own priors, boxes of fixed sizes around the cell's centre. "
            "Choose a map and click a cell of the picture. At first, it shows the cell whose prior best fits "
            f"{escape(what)}.",
            "A prior's area is that of a square of side s, and r is its width divided by its height, both as the "
            f"network sees them, in its square input. On this picture, {_shape(subject)}. Each cell also has a larger "
            "square, between the scales of its map and of the next.",
            "The white dashed box is the receptive field: all that the network can see of the picture when it predicts "
            "from this cell. On the coarse maps, that is the whole picture.",
            f"In all there are {len(subject.priors_cxcy)} priors. {_fit_words(subject)}",
        ],
        formula="w = s &radic;r &emsp; h = s / &radic;r<br>" + f"{_sum(config, counts)} = {sum(counts)}",
        sources=[create_prior_boxes, sizes_per_map],
        data={"maps": maps, "input": config.input_size, "start": [k, row, column]},
    )


def _shape(subject: Subject) -> str:
    width, height = subject.frame
    return "a square looks square" if width == height else f"a square is {width / height:.2f} times as wide as high"


def _sum(config: SSDConfig, counts: Sequence[int]) -> str:
    pairs = zip(config.feature_maps, config.priors_per_cell, strict=True)
    terms = [f"{cells}&sup2; &middot; {n}" for cells, n in pairs]
    return f"{' + '.join(terms)} = {' + '.join(map(str, counts))}"


def _maps(subject: Subject) -> list[dict]:
    """What the script needs of each map: the table of priors, whose rows and columns of cells are all alike."""
    network = type(subject.model) if subject.model else SSD300
    layers = prediction_layers(network_layers(subject.config, network))
    grids = by_map(subject.priors_cxcy, subject.config)
    return [
        {
            "name": name,
            "x": _rounded(grid[0, :, 0, 0]),
            "y": _rounded(grid[:, 0, 0, 1]),
            "sizes": [_rounded(size) for size in grid[0, 0, :, 2:]],
            "field": layer.field,
        }
        for (name, layer), grid in zip(layers.items(), grids, strict=True)
    ]


def _rounded(values: Tensor) -> list[float]:
    return [round(value, 5) for value in values.tolist()]


def _figure(subject: Subject, names: Sequence[str], chosen: int) -> str:
    side, cells = subject.config.input_size, subject.config.feature_maps
    buttons = [
        svg.element("button", escape(f"{n} x {n}"), type="button", title=name, aria_pressed=str(k == chosen).lower())
        for k, (name, n) in enumerate(zip(names, cells, strict=True))
    ]
    tables = [
        svg.element("div", _sizes(sizes, side), class_="sizes", hidden=None if k == chosen else "hidden")
        for k, sizes in enumerate(subject.config.prior_sizes)
    ]
    drawing = svg.figure(*subject.frame, svg.photo(), label="the picture with the priors of a cell", class_="cells")
    return svg.beside(
        svg.element("div", *buttons, class_="controls") + drawing,
        svg.element("p", class_="result")
        + "".join(tables)
        + f"<small>{escape(_sizes_note(subject))}</small>{_fit(subject)}",
    )


def _sizes(sizes: Sequence[tuple[float, float]], side: int) -> str:
    rows = []
    for k, (w, h) in enumerate(sizes):
        in_pixels = (f"{value * side:.1f}" for value in (sqrt(w * h), w, h))
        rows.append((svg.Swatch(f"prior-{k}"), f"{w / h:.2f}", *in_pixels))
    return svg.table(("", "r = w / h", "s", "w", "h"), rows)


def _sizes_note(subject: Subject) -> str:
    side, clip = subject.config.input_size, subject.config.clip
    note = f"s, w and h in pixels of the input of {side} x {side}."
    return note if clip == "none" else f"{note} A side longer than the input is cut to it."


def _fit_words(subject: Subject) -> str:
    if not len(subject.boxes):
        return "How well they fit depends on the objects, and here there are none."
    best = best_prior_ious(subject.boxes, subject.config)
    good = int((best >= 0.5).sum())
    which = f"each of the {MOST_ROWS} largest" if len(best) > MOST_ROWS else "each"
    return (
        f"Objects of this picture that have an IoU of at least 0.5 with one of them: {good} of {len(best)}. "
        f"The table shows the best prior for {which}."
    )


def _fit(subject: Subject) -> str:
    if not len(subject.boxes):
        return ""
    areas = (subject.boxes[:, 2:] - subject.boxes[:, :2]).prod(dim=1)
    largest = areas.argsort(descending=True)[:MOST_ROWS].tolist()
    return svg.table(("object", "w x h", "best prior: w x h", "map", "IoU"), [_fit_row(subject, k) for k in largest])


def _fit_row(subject: Subject, k: int) -> tuple[object, ...]:
    side, box = subject.config.input_size, subject.boxes[k]
    place = nearest_prior(subject, box)
    prior = subject.priors_cxcy[place]
    iou = paired_iou(box, cxcy_to_xy(prior)).item()
    cells = subject.config.feature_maps[place_of(place, subject.config)[0]]
    sizes = [" x ".join(f"{value * side:.0f}" for value in size) for size in (box[2:] - box[:2], prior[2:])]
    return subject.name_of(int(subject.labels[k])), *sizes, f"{cells} x {cells}", svg.Bar(f"{iou:.2f}", iou)
