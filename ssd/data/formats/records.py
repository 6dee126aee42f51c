"""Annotated images, as all formats read and write them, and the checks that all readers share.

Each reader returns the images of a data set, and notes on everything it changed or skipped: an image that is missing,
or whose annotation cannot be read, is left out. Each writer takes images and class names, and returns notes
on what its format cannot hold. Writers write annotations, not pictures, and name the pictures relative to the folder
that holds them all, which is what the readers take as `images_folder`. They go through the images more than once, and
keep none of them, so that these may be read anew from a file each time.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import inf, isfinite, nan
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from tqdm import tqdm

from ssd.data.images import exif_orientation, image_size, open_image
from ssd.data.loading import loader
from ssd.errors import InputError

Box = tuple[float, float, float, float]  # x_min, y_min, x_max, y_max in continuous pixels of the upright picture
Size = tuple[int, int]  # (width, height) in pixels

DECIMALS = 6  # of a pixel; arithmetic with fractions of a picture's side errs less
MANY = 10_000  # images whose reading takes longer than to start processes
BATCH = 100  # images that a process reads at a time
CLIPPED_SILENTLY = 0.5  # pixels beyond the border, as files round their numbers


class AnnotatedObject(NamedTuple):
    """An object on a picture.

    name: of its class. truncated: it reaches beyond the picture's border. score: of a detection.
    crowd: not one object but a region of many, which nobody has boxed one by one.
    """

    name: str
    box: Box
    difficult: bool = False
    score: float | None = None
    truncated: bool = False
    crowd: bool = False


class AnnotatedImage(NamedTuple):
    """A picture and what is on it. n_dropped: objects of its annotation that cannot be used, see `check_objects`."""

    path: str
    size: Size
    objects: list[AnnotatedObject]
    n_dropped: int = 0


class RawObject(NamedTuple):
    """An object as a file describes it, not checked yet.

    name: of its class, or anything else that the file holds in its place. box: NaN for what is not a number.
    wording: the file's own words for the box, for notes.
    """

    name: object
    box: Box
    difficult: bool
    wording: str
    crowd: bool = False


class Note(NamedTuple):
    """Something in a data set that was changed or skipped. `str(note)` is the sentence for the user.

    where: the file. what: the problem. action: what was done about it: "dropped" (an object), "left out" (an image),
    "clipped", "renamed", "boxes turned", ...
    """

    where: str
    what: str
    action: str

    @property
    def problem(self) -> str:
        """The sentence without the action."""
        return f"{self.where}: {self.what}"

    def __str__(self) -> str:
        return f"{self.problem}, {self.action}"


def left_out(error: InputError) -> Note:
    """The note on an image that is left out because of an error, whose message begins with the file."""
    where, _, what = str(error).partition(": ")
    return Note(where, what, "left out")


# What a format's files say of one image, given the picture's size: its objects and the size that they claim, if any.
ReadObjects = Callable[[Size], tuple[list[RawObject], Size | None]]
Item = tuple[str | Path, str | Path, ReadObjects]  # see `read_images`


def read_images(
    items: Sequence[Item], description: str, notes: Sequence[Note] = ()
) -> tuple[list[AnnotatedImage], list[Note]]:
    """The annotated images of a data set, and notes.

    items: for each image the file that its objects' notes name, the picture's path, and a function that reads its
    objects. description: for the progress bar. notes: on what has been left out before.
    An image that cannot be read is left out. Many are read in processes, as many as PyTorch has threads, because only
    one thread of a process can parse text at a time. Raises InputError, with the first note, where no image remains.
    """
    images, notes = [], list(notes)
    workers = torch.get_num_threads() if len(items) >= MANY else 0  # OMP_NUM_THREADS, or the cores
    batches = loader(items, workers, partial(_read_batch, Image.MAX_IMAGE_PIXELS), batch_size=BATCH)
    with tqdm(total=len(items), desc=description, unit="image") as progress:
        for batch in batches:
            for image, more_notes in batch:
                if image:
                    images.append(image)
                notes += more_notes
            progress.update(len(batch))
    if not images:
        others = f" (and {len(notes) - 1} like it)" if len(notes) > 1 else ""
        raise InputError(notes[0].problem + others if notes else f"{description}: holds no images")
    return images, notes


def _read_batch(pixel_limit: int | None, items: Sequence[Item]) -> list[tuple[AnnotatedImage | None, list[Note]]]:
    """What `read_image` finds for each item; None and the note on it for an image that cannot be read.

    pixel_limit: Pillow's, which a process that was started afresh does not know.
    """
    Image.MAX_IMAGE_PIXELS = pixel_limit
    found: list[tuple[AnnotatedImage | None, list[Note]]] = []
    for where, path, read in items:
        try:
            found.append(read_image(str(where), path, read))
        except InputError as error:
            found.append((None, [left_out(error)]))
    return found


def read_image(where: str, path: str | Path, read: ReadObjects) -> tuple[AnnotatedImage, list[Note]]:
    """One annotated image, and notes that begin with `where`.

    If the annotation gives the size that the picture has before its EXIF orientation is applied, its boxes are turned
    with the picture. Any other wrong size is noted, and the boxes stay as they are. (0, 0), which some tools write, is
    no size. Raises InputError where the picture or its annotation cannot be read.
    """
    size = image_size(path)
    found, annotated_size = read(size)
    notes = []
    if annotated_size not in (None, (0, 0), size):
        width, height = annotated_size
        what = f"annotated as {width} x {height} pixels, but the picture has {size[0]} x {size[1]}"
        orientation = _orientation(path)
        if orientation >= 5 and (height, width) == size:
            found = [each._replace(box=upright(each.box, annotated_size, orientation)) for each in found]
            notes.append(Note(where, f"{what}, because its EXIF orientation rotates it", "boxes turned"))
        else:
            notes.append(Note(where, what, "boxes kept"))
    objects, more_notes = check_objects(where, size, found)
    n_dropped = sum(note.action == "dropped" for note in more_notes)
    return AnnotatedImage(str(path), size, objects, n_dropped), notes + more_notes


def _orientation(path):
    with open_image(path) as image:
        return exif_orientation(image)


def check_objects(where: str, size: Size, found: Iterable[RawObject]) -> tuple[list[AnnotatedObject], list[Note]]:
    """The objects of one image that are usable, and a note for each one that was dropped or clipped.

    An object without a name, finite coordinates or an area in the picture is dropped. A box that leaves the picture is
    clipped. where: the file that the notes name. size: of the picture.
    """
    objects, notes = [], []
    for number, raw in enumerate(found, start=1):
        name = raw.name.strip() if isinstance(raw.name, str) else ""
        checked, problem = _check_object(name, raw, size)
        if checked:
            objects.append(checked)
        if problem:
            what = f"object {number}{f' ({name})' if name else ''} with {raw.wording} {problem}"
            notes.append(Note(where, what, "clipped" if checked else "dropped"))
    return objects, notes


def _check_object(name: str, raw: RawObject, size: Size) -> tuple[AnnotatedObject | None, str | None]:
    """The object with its box inside the picture, None where it is useless; and what is wrong with it, or None."""
    if not name:
        return None, "has no class name"
    if not all(map(isfinite, raw.box)):
        return None, "does not have four finite coordinates"
    box = [round(value, DECIMALS) for value in raw.box]
    clipped = [float(min(max(value, 0), side)) for value, side in zip(box, size * 2, strict=True)]
    x_min, y_min, x_max, y_max = clipped
    if x_min >= x_max or y_min >= y_max:
        return None, "has no area in the picture"
    leaves = max(abs(a - b) for a, b in zip(box, clipped, strict=True)) >= CLIPPED_SILENTLY
    problem = f"leaves the picture of {size[0]} x {size[1]} pixels" if leaves else None
    return AnnotatedObject(name, (x_min, y_min, x_max, y_max), raw.difficult, crowd=raw.crowd), problem


def without_crowds(image: AnnotatedImage) -> AnnotatedImage:
    """The image without its crowds, for a format that has none."""
    return image._replace(objects=[each for each in image.objects if not each.crowd])


def crowds_note(images: Iterable[AnnotatedImage], where: str | Path, format_name: str) -> list[Note]:
    """A note on the crowds that `without_crowds` drops, if there are any."""
    n_crowds = sum(each.crowd for image in images for each in image.objects)
    return [Note(str(where), f"{n_crowds} crowds, which {format_name} does not know", "dropped")] if n_crowds else []


def as_number(value: object) -> float:
    """The value as a float: NaN for what is not a number, infinity for a whole number of hundreds of digits."""
    try:
        return float(value)  # type: ignore[arg-type]  # the errors are the check
    except (TypeError, ValueError):
        return nan
    except OverflowError:
        return inf


def box_around(x: Iterable[object], y: Iterable[object]) -> Box:
    """The box around points, given by their coordinates; all NaN where these are not all finite numbers."""
    xs, ys = [as_number(value) for value in x], [as_number(value) for value in y]
    if not xs or not all(map(isfinite, (*xs, *ys))):
        return nan, nan, nan, nan
    return min(xs), min(ys), max(xs), max(ys)


def as_size(width: object, height: object) -> Size | None:
    """The size that a file gives an image, in whole pixels, or None where it gives none."""
    size = as_number(width), as_number(height)
    return (round(size[0]), round(size[1])) if all(map(isfinite, size)) else None


def upright(box: Box, size: Size, orientation: int) -> Box:
    """The box on the upright picture, for a box on the picture as it is stored with `size`.

    orientation: EXIF's 5 to 8: transposed, turned by 90 degrees clockwise, transposed along the other diagonal,
    turned counterclockwise.
    """
    x_min, y_min, x_max, y_max = box
    width, height = size
    x_min, x_max = (x_min, x_max) if orientation in (5, 6) else (width - x_max, width - x_min)
    y_min, y_max = (y_min, y_max) if orientation in (5, 8) else (height - y_max, height - y_min)
    return y_min, x_min, y_max, x_max
