"""What all annotation formats share: the checks of a picture's objects, and labels for names.

Each reader gives images (paths), objects and notes. Objects: for each image {"size": [width, height], "boxes":
[[x_min, y_min, x_max, y_max], ...], "names": [...], "difficulties": [0 or 1, ...]}, boxes in continuous pixels of the
upright picture. Notes: a sentence for each object or image that was not taken as it is, which names the file and ends
in what was done about it: "dropped" (an object), "left out" (an image), "clipped", "boxes turned", "boxes kept".

Each writer takes images, objects and the names of the classes, with scores (for each image a list) where the objects
are a detector's, and gives notes on what its format cannot hold. It writes annotations, no pictures; they name the
pictures relative to the folder that all of them are in, which is what the readers take as `images_folder`.
"""

from math import isfinite, nan
from typing import NamedTuple

from tqdm import tqdm

from ssd.data.images import exif_orientation, image_size, open_image
from ssd.errors import InputError

DECIMALS = 6  # of a pixel: what arithmetic with fractions of the picture's side adds is less
CLIPPED_SILENTLY = 0.5  # pixels beyond the border: files round to some digits


class Annotated(NamedTuple):
    """An object as a file gives it, not yet checked.

    name: of its class. box: x_min, y_min, x_max, y_max in continuous pixels, NaN for what is no number.
    difficult: bool. told: the file's own words for the box, for notes.
    """

    name: object
    box: tuple
    difficult: bool
    told: str


def read_images(items, description, notes=()):
    """The images and objects that a format's files speak of.

    items: for each image (where, image, read): what notes on its objects begin with, the picture's path, and a function
    from the picture's (width, height) to its list of `Annotated` and the size that the annotation gives it or None.
    notes: on what has been left out before.
    Returns images, objects and notes; what is missing or cannot be read is left out. Raises InputError, with the first
    of the notes, where no image remains.
    """
    images, objects, notes = [], [], list(notes)
    for where, image, read in tqdm(items, desc=description, unit="image"):
        try:
            entry, entry_notes = read_entry(image, read)
        except InputError as error:
            notes.append(f"{error}, left out")
            continue
        images.append(str(image))
        objects.append(entry)
        notes += [f"{where}: {note}" for note in entry_notes]
    if not images:
        others = f" (and {len(notes) - 1} like it)" if len(notes) > 1 else ""
        raise InputError(notes[0].removesuffix(", left out") + others if notes else f"{description}: holds no images")
    return images, objects, notes


def read_entry(image, read):
    """What the lists say of one image.

    image, read: see `read_images`. Where the annotation gives the size that the picture has before its EXIF orientation
    is applied, its boxes are turned with the picture; any other size that differs is named, and the boxes are taken as
    they are. (0, 0), which some tools write, says nothing.
    Returns an entry of objects, and notes. Raises InputError where the image or its annotation cannot be read.
    """
    size = image_size(image)
    annotated, annotated_size = read(size)
    notes = []
    if annotated_size not in (None, (0, 0), size):
        orientation = _orientation(image)
        if orientation >= 5 and annotated_size[::-1] == size:
            annotated = [each._replace(box=upright(each.box, annotated_size, orientation)) for each in annotated]
            done = "for its EXIF orientation turns it, boxes turned"
        else:
            done = "boxes kept"
        width, height = annotated_size
        notes = [f"annotated as {width} x {height} pixels, but the picture has {size[0]} x {size[1]}, {done}"]
    entry, more_notes = check_objects(size, annotated)
    return entry, notes + more_notes


def check_objects(size, annotated):
    """The objects of one image with boxes that can be learnt from.

    size: (width, height). annotated: list of `Annotated`. An object without a name, finite coordinates or an area in
    the picture is dropped, one that leaves the picture is clipped to it.
    Returns an entry of objects, and notes on what was dropped or clipped.
    """
    entry = {"size": list(size), "boxes": [], "names": [], "difficulties": []}
    notes = []
    for k, (name, box, difficult, told) in enumerate(annotated, start=1):
        name = name.strip() if isinstance(name, str) else ""
        what = f"object {k} ({name}) with {told}" if name else f"object {k} with {told}"
        box = [round(value, DECIMALS) if isfinite(value) else nan for value in box]
        clipped = [float(min(max(value, 0), side)) for value, side in zip(box, (*size, *size), strict=True)]
        if not name:
            notes.append(f"{what} has no class name, dropped")
        elif not all(map(isfinite, box)):
            notes.append(f"{what} does not have four finite coordinates, dropped")
        elif clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
            notes.append(f"{what} has no area in the picture, dropped")
        else:
            if max(abs(a - b) for a, b in zip(box, clipped, strict=True)) >= CLIPPED_SILENTLY:
                notes.append(f"{what} leaves the picture of {size[0]} x {size[1]} pixels, clipped")
            entry["boxes"].append(clipped)
            entry["names"].append(name)
            entry["difficulties"].append(int(difficult))
    return entry, notes


def as_number(value):
    """A float, or NaN for what is no number; a whole number of hundreds of digits is infinite."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return nan
    except OverflowError:
        return float("inf")


def box_around(x, y):
    """The box around points, given as lists of their coordinates; of NaN where these are not all finite numbers."""
    x, y = [as_number(value) for value in x], [as_number(value) for value in y]
    if not x or not all(map(isfinite, (*x, *y))):
        return (nan,) * 4
    return min(x), min(y), max(x), max(y)


def as_size(width, height):
    """The size that a file gives an image, as two whole numbers, or None where it gives none."""
    size = as_number(width), as_number(height)
    return tuple(round(side) for side in size) if all(map(isfinite, size)) else None


def upright(box, size, orientation):
    """A box on a picture as it is stored, (width, height), where it lies when the picture is set upright.

    orientation: EXIF's, 5 to 8: transposed, turned by 90 degrees clockwise, transposed along the other diagonal,
    turned counterclockwise.
    """
    x_min, y_min, x_max, y_max = box
    width, height = size
    x_min, x_max = (x_min, x_max) if orientation in (5, 6) else (width - x_max, width - x_min)
    y_min, y_max = (y_min, y_max) if orientation in (5, 8) else (height - y_max, height - y_min)
    return y_min, x_min, y_max, x_max


def _orientation(path):
    with open_image(path) as image:
        return exif_orientation(image)


def name_objects(objects, class_names):
    """The inverse of `label_objects`: entries of data lists with names for labels, as writers take them."""
    return [_renamed(entry, "labels", "names", (None, *class_names)) for entry in objects]


def _renamed(entry, old, new, table):
    return {
        "size": entry["size"],
        "boxes": entry["boxes"],
        new: [table[item] for item in entry[old]],
        "difficulties": entry["difficulties"],
    }
