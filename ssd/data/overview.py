"""What a data set holds, as text and as a picture: images, objects, sizes, and how well the priors fit them."""

from collections import Counter

import numpy as np
import torch
from torchvision.ops import box_iou

from ssd.config import SSDConfig
from ssd.data.images import load_image
from ssd.model.boxes import cxcy_to_xy
from ssd.model.priors import create_prior_boxes
from ssd.text import one_line, text_table
from ssd.visualize import class_colour, draw_boxes, fit_to_side, mosaic

SIDES = (16, 32, 64, 128)  # pixels of the network's input, between which objects are counted
MOST_OBJECTS = 50_000  # compared with the priors: more of them change no figure that is printed
CHUNK = 256  # of objects: their IoUs with all priors are some MB
SAMPLES, TILE = 12, 480  # pictures of the mosaic, and the side of each in pixels


def report(lists, class_names, notes):
    """The report on data lists, as text.

    lists: "train" and "test" -> (images, objects as in `DataList`). notes: on what was dropped or repaired.
    """
    sections = [
        _contents(lists),
        _classes(lists, class_names),
        _picture_sizes(lists),
        _fit(lists["train"][1]),
        _notes(notes),
    ]
    return "\n\n".join(sections) + "\n"


def _contents(lists):
    rows = [("", *lists)]
    counted = {split: [len(entry["labels"]) for entry in objects] for split, (_, objects) in lists.items()}
    difficult = [sum(sum(entry["difficulties"]) for entry in objects) for _, objects in lists.values()]
    totals = [sum(counts) for counts in counted.values()]
    rows.append(("images", *map(len, counted.values())))
    rows.append(("  without objects", *(counts.count(0) for counts in counted.values())))
    rows.append(("objects", *totals))
    rows.append(("  difficult", *(_share(n, total) for n, total in zip(difficult, totals, strict=True))))
    rows.append(("objects in an image, median", *(f"{np.median(counts):g}" for counts in counted.values())))
    rows.append(("objects in an image, most", *(max(counts) for counts in counted.values())))
    return text_table(rows)


def _classes(lists, class_names):
    rows = [("objects of each class", *(column for split in lists for column in (split, "")))]
    counts = [Counter(label for entry in objects for label in entry["labels"]) for _, objects in lists.values()]
    for label, name in enumerate(class_names, start=1):
        columns = [text for count in counts for text in (count[label], _share(count[label], count.total()))]
        rows.append((f"  {name}", *columns))
    return text_table(rows)


def _picture_sizes(lists):
    sizes = Counter(tuple(entry["size"]) for _, objects in lists.values() for entry in objects)
    common = ", ".join(f"{width} x {height} ({n})" for (width, height), n in sizes.most_common(5))
    smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
    return "\n".join(
        [
            f"sizes of pictures, pixels: {common}" + (f", {len(sizes) - 5} more sizes" if len(sizes) > 5 else ""),
            f"smallest {smallest[0]} x {smallest[1]}, largest {largest[0]} x {largest[1]}",
        ]
    )


def _fit(objects):
    """The table of how well the priors fit, by the objects' size."""
    config = SSDConfig()
    boxes = box_fractions(objects)
    n_objects = len(boxes)
    boxes = boxes[:: max(1, -(-n_objects // MOST_OBJECTS))]
    sides = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt().numpy() * config.input_size
    best = best_overlaps(boxes, config).numpy()
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
            "IoU: with the best of all priors. Objects below 0.5 are learnt by that one prior alone.",
            text_table(rows),
        ]
    )


def _fit_row(name, best, n_objects):
    if not len(best):
        return name, 0, "", "", ""
    return name, len(best), _share(len(best), n_objects), f"{best.mean():.2f}", _share((best < 0.5).sum(), len(best))


def box_fractions(objects):
    """The boxes of the entries of data lists, (n, 4) float32 fractions of their image."""
    rows = [
        (np.asarray(entry["boxes"], dtype=np.float64) / np.tile(entry["size"], 2))
        for entry in objects
        if entry["boxes"]
    ]
    return torch.from_numpy(np.concatenate([np.zeros((0, 4)), *rows])).float()


def best_overlaps(boxes, config):
    """(n,) the IoU of each box with the prior that fits it best. boxes: (n, 4) corner fractions."""
    priors = cxcy_to_xy(create_prior_boxes(config))
    best = [box_iou(chunk, priors).amax(dim=1) for chunk in boxes.split(CHUNK)]  # (CHUNK, 8732) each
    return torch.cat([torch.zeros(0), *best])


def _notes(notes):
    if not notes:
        return "Nothing was dropped or repaired."
    return "\n".join([f"Dropped or repaired: {count_notes(notes)}", *(f"  {one_line(note)}" for note in notes)])


def count_notes(notes):
    """How many notes there are of each kind: what was done stands after the last comma."""
    counts = Counter(note.rpartition(", ")[2] for note in notes)
    return ", ".join(f"{count} {done}" for done, count in counts.most_common())


def _share(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "n/a"


def draw_samples(images, objects, class_names):
    """A mosaic of pictures of a data list with their boxes, evenly chosen. Returns a PIL RGB picture."""
    chosen = range(0, len(images), max(1, -(-len(images) // SAMPLES)))
    return mosaic([_draw_sample(images[k], objects[k], class_names) for k in chosen], tile=TILE)


def _draw_sample(path, entry, class_names):
    shown, scale = fit_to_side(load_image(path), TILE)
    labels = [
        class_names[label - 1] + (" (difficult)" if difficult else "")
        for label, difficult in zip(entry["labels"], entry["difficulties"], strict=True)
    ]
    boxes = np.reshape(entry["boxes"], (-1, 4)) * scale
    return draw_boxes(shown, boxes, labels, [class_colour(label - 1) for label in entry["labels"]])
