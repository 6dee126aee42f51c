"""The priors of a cell that one chooses, and how well all of them fit the objects."""

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
from ssd.model.priors import create_prior_boxes

MOST_ROWS = 12  # objects in the table


def by_map(table: Tensor, config: SSDConfig) -> list[Tensor]:
    """A table (n_priors, n) divided: for each map (rows, columns, priors of a cell, n)."""
    shapes = [(cells, cells, n, -1) for cells, n in zip(config.feature_maps, config.priors_per_cell, strict=True)]
    parts = table.split([rows * columns * n for rows, columns, n, _ in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


def place_of(prior: int, config: SSDConfig) -> tuple[int, int, int]:
    """Map, row and column of a prior, given by its row in the table."""
    for k, (cells, n) in enumerate(zip(config.feature_maps, config.priors_per_cell, strict=True)):
        if prior < cells**2 * n:
            return k, *divmod(prior // n, cells)
        prior -= cells**2 * n
    raise IndexError("no such prior")


def of_a_cell(subject: Subject) -> Section:
    """The priors of a cell, to be chosen by a click, their number, and how well they fit."""
    config, maps = subject.config, _maps(subject)
    box, what = example_box(subject)
    start = place_of(nearest_prior(subject, box), config)
    cells = list(zip(config.feature_maps, config.priors_per_cell, strict=True))
    width, height = subject.shown.size
    square = "a square looks square" if width == height else f"a square is {width / height:.2f} times as wide as high"
    return Section(
        figure=_figure(subject),
        text=f"""
        Every cell of the {len(maps)} maps has its own priors, boxes of fixed sizes around the cell's centre. Choose a
        map and a cell of the picture, by a click or with the arrow keys. At first, it shows the cell whose prior best
        fits {what}.

        A prior's area is that of a square of side s, and r is its width divided by its height, both as the network sees
        them, in its square input. On this picture, {square}. Each cell also has a larger square, between the scales of
        its map and of the next.

        The white dashed box is the receptive field: all that the network can see of the picture when it predicts from
        this cell. On the coarse maps, that is the whole picture.

        In all there are {len(subject.priors_cxcy)} priors. {_fit_words(subject)}""",
        formula="w = s &radic;r &emsp; h = s / &radic;r<br>"
        f"{' + '.join(f'{side}&sup2; &middot; {n}' for side, n in cells)} = "
        f"{' + '.join(str(side**2 * n) for side, n in cells)} = {len(subject.priors_cxcy)}",
        sources=[create_prior_boxes, sizes_per_map],
        data={"maps": maps, "input": config.input_size, "start": start},
    )


def _maps(subject: Subject) -> list[dict]:
    """What the script needs of each map: the table of priors, whose rows and columns of cells are all alike."""
    config = subject.config
    layers = prediction_layers(network_layers(config))
    grids = by_map(subject.priors_cxcy.double().round(decimals=5), config)
    return [
        {
            "name": name,
            "x": grid[0, :, 0, 0].tolist(),
            "y": grid[:, 0, 0, 1].tolist(),
            "sizes": grid[0, 0, :, 2:].tolist(),
            "table": [[w / h, *(side * config.input_size for side in (sqrt(w * h), w, h))] for w, h in sizes],
            "field": layer.field,
        }
        for (name, layer), grid, sizes in zip(layers.items(), grids, config.prior_sizes, strict=True)
    ]


def _figure(subject: Subject) -> str:
    side = subject.config.input_size
    cut = "" if subject.config.clip == "none" else " A side longer than the input is cut to it."
    return svg.beside(
        '<div class="controls"></div>' + subject.drawing(label="the picture with the priors of a cell", class_="cells"),
        '<p class="result" aria-live="polite"></p><div class="sizes"></div>'
        f"<small>s, w and h in pixels of the input of {side} x {side}.{cut}</small>{_fit(subject)}",
    )


def _fit_words(subject: Subject) -> str:
    if not len(subject.boxes):
        return "How well they fit depends on the objects, and here there are none."
    best = best_prior_ious(subject.boxes, subject.config)
    which = f"each of the {MOST_ROWS} largest" if len(best) > MOST_ROWS else "each"
    return (
        f"Objects of this picture that have an IoU of at least 0.5 with one of them: {int((best >= 0.5).sum())} of "
        f"{len(best)}. The table shows the best prior for {which}."
    )


def _fit(subject: Subject) -> str:
    """The table of the best priors of the largest objects."""
    config, rows = subject.config, []
    sizes = subject.boxes[:, 2:] - subject.boxes[:, :2]
    for k in sizes.prod(dim=1).argsort(descending=True)[:MOST_ROWS].tolist():
        place = nearest_prior(subject, subject.boxes[k])
        prior = subject.priors_cxcy[place]
        cells = config.feature_maps[place_of(place, config)[0]]
        iou = paired_iou(subject.boxes[k], cxcy_to_xy(prior)).item()
        pixels = (" x ".join(f"{side * config.input_size:.0f}" for side in size) for size in (sizes[k], prior[2:]))
        rows.append((subject.name_of(subject.labels[k]), *pixels, f"{cells} x {cells}", svg.Bar(f"{iou:.2f}", iou)))
    return svg.table(("object", "w x h", "best prior: w x h", "map", "IoU"), rows) if rows else ""
