"""Checks of a data set beyond single annotations: pictures decoded, class names compared, repeats found.

Each check returns what is left and notes, see `ssd.data.formats.records`, and does not change its arguments.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from tqdm import tqdm

from ssd.data.formats.records import AnnotatedImage, AnnotatedObject, Note, left_out
from ssd.data.images import load_image
from ssd.errors import InputError
from ssd.text import counted

Splits = dict[str, list[AnnotatedImage]]  # "train", "test" and, where there is one, "val"


def drop_undecodable(splits: Splits, workers: int) -> tuple[Splits, list[Note]]:
    """Decode every picture once, and leave out those that cannot be decoded.

    workers: threads; Pillow decodes without holding Python's lock. Raises InputError where a split has no image left.
    """
    kept: Splits = {}
    notes: list[Note] = []
    pool = ThreadPoolExecutor(workers)
    try:
        for split, images in splits.items():
            problems = list(tqdm(pool.map(_problem, images), total=len(images), desc="decoding", unit="image"))
            kept[split] = [image for image, problem in zip(images, problems, strict=True) if not problem]
            notes += [left_out(problem) for problem in problems if problem]
            if not kept[split]:
                raise InputError(f"{problems[0]}; no image of the list can be used")
    finally:
        pool.shutdown(cancel_futures=True)  # an interruption does not wait for pictures that have not begun
    return kept, notes


def _problem(image: AnnotatedImage) -> InputError | None:
    """What is wrong with a picture, or None."""
    try:
        decoded, (width, height) = load_image(image.path).size, image.size
        if decoded != image.size:
            raise InputError(
                f"{image.path}: has {decoded[0]} x {decoded[1]} pixels, but its header says {width} x {height}"
            )
    except InputError as error:
        return error
    return None


def merge_spellings(splits: Splits, class_names: Sequence[str] | None = None) -> tuple[Splits, list[Note]]:
    """Give one name to classes whose names differ only in case and blanks.

    That is the one in class_names, if given, or else the most frequent. Names in class_names stay. Each other spelling
    gets a note.
    """
    given = class_names or ()
    counts = Counter(name for _, name in _names(splits))
    spellings: dict[str, str] = {}
    for name in (*given, *sorted(counts, key=lambda name: (-counts[name], name))):
        spellings.setdefault(_letters(name), name)
    renamed = {name: spellings[_letters(name)] for name in counts if name not in given}
    renamed = {name: other for name, other in renamed.items() if name != other}
    notes = [
        _class_note(splits, name, counts, f'differs from "{other}" only in case or blanks', "renamed")
        for name, other in renamed.items()
    ]
    return _changed(splits, lambda each: each._replace(name=renamed.get(each.name, each.name))), notes


def _letters(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def drop_unknown(splits: Splits, class_names: Collection[str]) -> tuple[Splits, list[Note]]:
    """Drop the objects of all other classes. Each class dropped gets a note."""
    counts = Counter(name for _, name in _names(splits))
    unknown = sorted(set(counts) - set(class_names))
    notes = [_class_note(splits, name, counts, "is none of the classes", "dropped") for name in unknown]
    return _changed(splits, lambda each: each if each.name in class_names else None), notes


def _names(splits: Splits) -> Iterator[tuple[str, str]]:
    """(path of the image, class name) of each object."""
    return ((image.path, each.name) for images in splits.values() for image in images for each in image.objects)


def _class_note(splits: Splits, name: str, counts: Counter[str], what: str, action: str) -> Note:
    first = next(path for path, other in _names(splits) if other == name)
    return Note(first, f'"{name}" (here first, {counted(counts[name], "object")}) {what}', action)


def _changed(splits: Splits, change: Callable[[AnnotatedObject], AnnotatedObject | None]) -> Splits:
    """The splits with each object replaced by what `change` returns; None drops it."""
    return {
        split: [
            image._replace(objects=[new for each in image.objects if (new := change(each)) is not None])
            for image in images
        ]
        for split, images in splits.items()
    }


def drop_duplicates(splits: Splits) -> tuple[Splits, list[Note]]:
    """Drop objects of the same class and box as another one of their image. Each gets a note."""
    notes: list[Note] = []
    unique = {split: [_without_duplicates(image, notes) for image in images] for split, images in splits.items()}
    return unique, notes


def _without_duplicates(image: AnnotatedImage, notes: list[Note]) -> AnnotatedImage:
    """The image with each object once; a note for each of the others is added to `notes`."""
    first: dict[tuple, AnnotatedObject] = {}
    for each in image.objects:
        key = (each.name, each.box, each.crowd)
        if key in first:
            corners = ", ".join(f"{value:g}" for value in each.box)
            what = f"{each.name} with x_min, y_min, x_max, y_max = {corners} is there already"
            notes.append(Note(image.path, what, "dropped"))
        first.setdefault(key, each)
    return image._replace(objects=list(first.values()))


def keep_single(splits: Splits) -> tuple[Splits, list[Note]]:
    """Keep the images with exactly one object and no crowd. A note on each split says how many there were.

    Objects that were dropped because they cannot be used count too: they are on the picture.
    Raises InputError where a split has no such image.
    """
    kept = {split: [image for image in images if _is_single(image)] for split, images in splits.items()}
    if empty := [split for split, images in kept.items() if not images]:
        raise InputError(f"no image of the {empty[0]} list has exactly one object; leave out --one-object")
    lost = {split: len(images) - len(kept[split]) for split, images in splits.items()}
    whole = {split: counted(len(images), "image") for split, images in splits.items()}
    what = "do not have exactly one object"
    return kept, [Note(f"{split} list", f"{n} of {whole[split]} {what}", "left out") for split, n in lost.items() if n]


def _is_single(image: AnnotatedImage) -> bool:
    return len(image.objects) == 1 and not image.objects[0].crowd and not image.n_dropped


def drop_repeats(splits: Splits) -> tuple[Splits, list[Note]]:
    """Leave out an image that its split has already, through whatever links, and note those that both splits have."""
    kept: Splits = {}
    notes: list[Note] = []
    seen: dict[str, str] = {}  # real path -> split
    for split, images in splits.items():
        first: dict[str, AnnotatedImage] = {}
        for image in images:
            real = os.path.realpath(image.path)
            if real in first:
                notes.append(Note(image.path, f"is in the {split} list already", "left out"))
            elif real in seen:
                what = f"is in the {seen[real]} list too, so results on it mean nothing"
                notes.append(Note(image.path, what, "kept"))
            first.setdefault(real, image)
        seen |= dict.fromkeys(first, split)
        kept[split] = list(first.values())
    return kept, notes
