"""What a data set holds, as text and as a picture: images, objects, sizes, and how well the priors fit."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from ssd.config import SSDConfig
from ssd.data.columns import DataList
from ssd.data.formats.records import Note
from ssd.data.images import load_image
from ssd.data.prior_fit import best_prior_ious, box_fractions, evenly_chosen, suggestion
from ssd.text import one_line, percent, text_table
from ssd.visualize import CROWD, class_colour, draw_boxes, fit_to_side, mosaic

SIDES = (16, 32, 64, 128)  # pixels of the network's input, between which objects are counted
MOST_OBJECTS = 50_000  # compared with the priors: more would not change the printed figures
SAMPLES, TILE = 12, 480  # pictures in the mosaic, and the side of each in pixels


def report(lists: dict[str, DataList], notes: Sequence[Note]) -> str:
    """The report on data lists, as text.

    lists: "train", "test" and, if need be, "val" -> the list. notes: on what was dropped or repaired.
    """
    sections = [
        _contents(lists),
        _classes(lists),
        _picture_sizes(lists),
        _fit(lists["train"]),
        _notes(notes),
        suggestion(lists["train"]),
    ]
    return "\n\n".join(sections) + "\n"


def _contents(lists):
    n_objects = {split: np.diff(data.offsets) for split, data in lists.items()}
    rows = [
        ("", *lists),
        ("images", *map(len, lists.values())),
        ("  without objects", *(int((n == 0).sum()) for n in n_objects.values())),
        ("objects", *(len(data.labels) for data in lists.values())),
        ("  difficult", *(percent(data.difficulties.sum(), len(data.labels)) for data in lists.values())),
        ("objects in an image, median", *(f"{np.median(n):g}" for n in n_objects.values())),
        ("objects in an image, most", *(n.max() for n in n_objects.values())),
    ]
    n_crowds = [len(data.crowds) for data in lists.values()]
    return text_table([*rows, ("crowds", *n_crowds)] if any(n_crowds) else rows)


def _classes(lists):
    class_names = lists["train"].class_names
    rows = [("objects of each class", *(column for split in lists for column in (split, "")))]
    counts = [np.bincount(data.labels, minlength=len(class_names) + 1) for data in lists.values()]
    for label, name in enumerate(class_names, start=1):
        columns = [text for count in counts for text in (count[label], percent(count[label], count.sum()))]
        rows.append((f"  {name}", *columns))
    return text_table(rows)


def _picture_sizes(lists):
    sizes = Counter((width, height) for data in lists.values() for width, height in data.sizes.tolist())
    common = ", ".join(f"{width} x {height} ({n})" for (width, height), n in sizes.most_common(5))
    smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
    more = f", {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""
    return (
        f"sizes of pictures, pixels: {common}{more}\n"
        f"smallest {smallest[0]} x {smallest[1]}, largest {largest[0]} x {largest[1]}"
    )


def _fit(data):
    """The table of how well the priors fit, by the objects' size."""
    config = SSDConfig()
    boxes = box_fractions(data)
    n_objects = len(boxes)
    boxes = evenly_chosen(boxes, MOST_OBJECTS)
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt().numpy() * config.input_size
    best = best_prior_ious(boxes, config).numpy()
    edges = (0, *SIDES, np.inf)
    rows = [("side, pixels", "objects", "share", "mean IoU", "below 0.5")]
    for low, high in zip(edges, edges[1:], strict=False):
        name = f"{low} to {high}" if np.isfinite(high) else f"{low} or more"
        rows.append(_fit_row(name, best[(sides >= low) & (sides < high)], len(best)))
    rows.append(_fit_row("all", best, len(best)))
    sampled = "" if len(boxes) == n_objects else f" ({len(boxes)} of {n_objects}, evenly chosen)"
    return "\n".join(
        [
            f"How well the priors fit the training objects{sampled}, by the side of a square of the object's area in "
            f"the network's input of {config.input_size} x {config.input_size} pixels.",
            "IoU: with the best of all priors. An object below 0.5 is matched to that prior only.",
            text_table(rows),
        ]
    )


def _fit_row(name, best, n_objects):
    if not len(best):
        return name, 0, "", "", ""
    return name, len(best), percent(len(best), n_objects), f"{best.mean():.2f}", percent((best < 0.5).sum(), len(best))


def _notes(notes):
    if not notes:
        return "Nothing was dropped or repaired."
    return "\n".join([f"Dropped or repaired: {count_notes(notes)}", *(f"  {one_line(str(note))}" for note in notes)])


def count_notes(notes: Iterable[Note]) -> str:
    """How many notes there are of each action, in words."""
    counts = Counter(note.action for note in notes)
    return ", ".join(f"{count} {done}" for done, count in counts.most_common())


def draw_samples(data: DataList) -> Image.Image:
    """A mosaic of evenly chosen pictures of a data list with their boxes, a PIL RGB picture."""
    chosen = range(0, len(data), max(1, -(-len(data) // SAMPLES)))
    return mosaic([_draw_sample(data[k], data.class_names) for k in chosen], tile=TILE)


def _draw_sample(listed, class_names):
    shown, scale = fit_to_side(load_image(listed.path), TILE)
    names = [class_names[label - 1] for label in listed.labels]
    tags = [
        f"{name} (difficult)" if difficult else name for name, difficult in zip(names, listed.difficulties, strict=True)
    ]
    colours = [class_colour(label) for label in listed.labels.tolist()]
    n_crowds = len(listed.crowds)
    return draw_boxes(
        shown,
        np.concatenate([listed.boxes, listed.crowds]) * scale,
        tags + ["crowd"] * n_crowds,
        colours + [CROWD] * n_crowds,
        dashed=[False] * len(tags) + [True] * n_crowds,
    )
