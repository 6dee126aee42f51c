"""Checks of a data set that its annotations cannot be read for alone: pictures decoded, names compared, repeats found.

Each returns what is left and notes, see `ssd.data.formats.records`, and leaves its arguments as they are. A split is
a pair of images (paths) and objects; splits: "train" and "test" -> split.
"""

import os
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from tqdm import tqdm

from ssd.data.images import load_image
from ssd.errors import InputError


def drop_undecodable(images, objects, workers):
    """Decode every picture once; those that cannot be are left out.

    workers: threads, which suffice as Pillow decodes without Python's lock.
    Returns images, objects and notes. Raises InputError, with the first of the notes, where no image remains.
    """
    sizes = [entry["size"] for entry in objects]
    # Closed on an interruption, `map` forgets what has not begun; the pool alone would wait for all of it.
    with ThreadPoolExecutor(workers) as pool, closing(pool.map(_why_not, images, sizes)) as decoded:
        reasons = list(tqdm(decoded, total=len(images), desc="decoding", unit="image"))
    kept = [k for k, reason in enumerate(reasons) if reason is None]
    notes = [f"{reason}, left out" for reason in reasons if reason is not None]
    if not kept:
        raise InputError(f"{reasons[0]}; no image of the list can be used")
    return [images[k] for k in kept], [objects[k] for k in kept], notes


def _why_not(path, size):
    """What speaks against a picture, or None. size: [width, height] by its header."""
    try:
        decoded = load_image(path).size
    except InputError as error:
        return str(error)
    if decoded != tuple(size):
        return f"{path}: has {decoded[0]} x {decoded[1]} pixels, where its header says {size[0]} x {size[1]}"
    return None


def merge_spellings(splits, class_names=None):
    """Give classes whose names differ only in case and blanks one name.

    This is the one among class_names, where they are given, and otherwise the most frequent. Names in class_names stay.
    Returns splits and notes, one for each spelling.
    """
    counts = Counter(name for _, objects in splits.values() for entry in objects for name in entry["names"])
    spellings = {}
    for name in (*(class_names or ()), *sorted(counts, key=lambda name: (-counts[name], name))):
        spellings.setdefault(_letters(name), name)
    renamed = {name: spellings[_letters(name)] for name in counts if name not in (class_names or ())}
    renamed = {name: other for name, other in renamed.items() if name != other}
    notes = [
        f'{_first(splits, name)}: "{name}" (here first, {counts[name]} objects) differs from "{other}" only in case or '
        "blanks, renamed"
        for name, other in renamed.items()
    ]
    return _with_objects(splits, lambda entry: _rename(entry, renamed)) if renamed else splits, notes


def _letters(name):
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _rename(entry, renamed):
    return entry | {"names": [renamed.get(name, name) for name in entry["names"]]}


def drop_unknown(splits, class_names):
    """Drop the objects that are of none of the classes. Returns splits and notes, one for each class dropped."""
    counts = Counter(name for _, objects in splits.values() for entry in objects for name in entry["names"])
    unknown = sorted(set(counts) - set(class_names))
    notes = [
        f'{_first(splits, name)}: "{name}" (here first, {counts[name]} objects) is none of the classes, dropped'
        for name in unknown
    ]
    known = set(class_names)
    return _with_objects(splits, lambda entry: _select(entry, [name in known for name in entry["names"]])), notes


def drop_duplicates(splits):
    """Drop objects of the same class and box as another of their image. Returns splits and notes, one for each."""
    notes = []

    def unique(entry, image):
        seen, wanted = set(), []
        for name, box in zip(entry["names"], entry["boxes"], strict=True):
            wanted.append((name, *box) not in seen)
            seen.add((name, *box))
            if not wanted[-1]:
                corners = ", ".join(f"{value:g}" for value in box)
                notes.append(f"{image}: {name} with x_min, y_min, x_max, y_max = {corners} is there already, dropped")
        return entry if all(wanted) else _select(entry, wanted)

    unique_splits = {
        split: (images, [unique(entry, image) for image, entry in zip(images, objects, strict=True)])
        for split, (images, objects) in splits.items()
    }
    return unique_splits, notes


def drop_repeats(splits):
    """Leave out an image that its list has already, however it is linked to; name those that both lists have.

    Returns splits and notes.
    """
    kept, notes, lists = {}, [], {}
    for split, (images, objects) in splits.items():
        first = {}
        for k, image in enumerate(images):
            real = os.path.realpath(image)
            if real in first:
                notes.append(f"{image}: is in the {split} list already, left out")
            elif real in lists:
                notes.append(f"{image}: is in the {lists[real]} list too, which makes figures on it worthless, kept")
            first.setdefault(real, k)
        lists |= dict.fromkeys(first, split)
        kept[split] = [images[k] for k in first.values()], [objects[k] for k in first.values()]
    return kept, notes


def _first(splits, name):
    """The first image that has an object of this name."""
    pairs = (pair for images, objects in splits.values() for pair in zip(images, objects, strict=True))
    return next(image for image, entry in pairs if name in entry["names"])


def _with_objects(splits, change):
    return {split: (images, [change(entry) for entry in objects]) for split, (images, objects) in splits.items()}


def _select(entry, wanted):
    """An entry with the wanted objects alone; wanted: one bool for each."""
    lists = {key: entry[key] for key in ("boxes", "names", "difficulties")}
    return entry | {key: [v for v, keep in zip(values, wanted, strict=True) if keep] for key, values in lists.items()}
