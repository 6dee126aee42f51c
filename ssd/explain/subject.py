"""What a page is about: a picture, its objects, and what a model predicts for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image
from torch import Tensor

from ssd.config import SSDConfig
from ssd.data.formats.single import read_single
from ssd.data.images import load_image, preprocess
from ssd.data.lists import SPLITS, list_files, read_data_list, read_image_paths
from ssd.errors import InputError
from ssd.evaluation.evaluate import match_dataset
from ssd.evaluation.matches import Matches
from ssd.evaluation.result_files import load_results
from ssd.explain import svg
from ssd.model.network import SSD
from ssd.model.priors import create_prior_boxes
from ssd.pretrained import find_checkpoint, load_model, model_line, newest_checkpoint
from ssd.text import abbreviated
from ssd.visualize import fit_to_side

USUAL_LISTS = "data"
UNMARKED = "Nobody has marked the objects"
SHOWN_SIDE = 600  # longer side of the picture on the page, in pixels and in the units of its figures
# The model's own detections that stand in for objects.
MIN_SCORE, MAX_OVERLAP, MOST_OBJECTS = 0.5, 0.45, 20


class Truth(NamedTuple):
    """The n objects of a picture. boxes: (n, 4) corner fractions. names: of their classes. difficulties: (n,).

    class_names: all classes of where they come from, in order. origin: a sentence that says where that is.
    """

    boxes: Tensor
    names: Sequence[str]
    difficulties: Tensor
    class_names: Sequence[str]
    origin: str


NOTHING = Truth(torch.zeros(0, 4), (), torch.zeros(0), SSDConfig().class_names, f"{UNMARKED}.")


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture with everything that the sections draw.

    name: of the picture's file. image: the whole picture, upright RGB. boxes: (n, 4) corner fractions of the objects.
    labels: (n,) int64, from 1. difficulties: (n,) bool. n may be 0. origin: a sentence that says where the objects
    come from. is_own: whether they are the model's own detections. model: None where there is none; then `locs`
    (8732, 4) and `scores` (8732, n_classes), logits, have no rows. model_name: its file, "" without a model.
    evaluated: the detections in a whole test list, or None.
    """

    name: str
    image: Image.Image
    config: SSDConfig
    boxes: Tensor
    labels: Tensor
    difficulties: Tensor
    origin: str
    is_own: bool
    model: SSD | None
    model_name: str
    locs: Tensor
    scores: Tensor
    evaluated: Matches | None = None

    @cached_property
    def input(self) -> Tensor:
        """What the network sees, (3, 300, 300)."""
        return preprocess(self.image, self.config)

    @cached_property
    def priors_cxcy(self) -> Tensor:
        """The priors (8732, 4), centre and size."""
        return create_prior_boxes(self.config)

    @cached_property
    def shown(self) -> Image.Image:
        """The picture's copy on the page, whose pixels are the units of its figures."""
        return fit_to_side(self.image, SHOWN_SIDE)[0]

    @property
    def introduction(self) -> str:
        """Sentences on where the model and the objects come from."""
        model = f"The model is {self.model_name}." if self.model else "There is no model, so some sections are empty."
        return f"{model} {self.origin}"

    def in_frame(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of corner fractions in the units of figures."""
        return boxes * torch.tensor(self.shown.size * 2)

    def in_pixels(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of corner fractions in pixels of the whole picture."""
        return boxes * torch.tensor(self.image.size * 2)

    def name_of(self, label: int | Tensor) -> str:
        """The name of a class; "background" for 0, "no class" for a label that has none."""
        return ("background", *self.config.class_names)[int(label)] or "no class"

    def photo(self) -> str:
        """The hidden SVG that holds the picture once, for every `drawing`."""
        size = {"width": self.shown.width, "height": self.shown.height}
        held = svg.element("image", id="photo", href=svg.data_address(self.shown, quality=85), **size)
        return svg.element("svg", svg.element("defs", held), width=0, height=0, class_="hidden", aria_hidden="true")

    def drawing(self, *parts: str, label: str, class_: str | None = None, faint: bool = False) -> str:
        """A figure of the picture, perhaps a faint one, with parts on it. label: what it shows."""
        photo = svg.element("use", href="#photo", class_="faint" if faint else None)
        return svg.figure(*self.shown.size, photo, *parts, label=label, class_=class_)

    def outlines(self, boxes: Tensor, kind: str) -> str:
        """Boxes (n, 4) or (4,) of corner fractions, drawn with lines of CSS classes."""
        return svg.outlines(self.in_frame(boxes).view(-1, 4).tolist(), kind)


def find_model(name: str | None) -> Path | None:
    """The checkpoint that a name refers to, see `find_checkpoint`; None, if no name is given and there is no run."""
    if name is not None:
        return find_checkpoint(name)
    try:
        return newest_checkpoint()
    except InputError:
        return None


def find_lists(folder: str | None) -> str | None:
    """The folder of data lists: the one that is given, else `data` where it holds some."""
    return folder or (USUAL_LISTS if Path(USUAL_LISTS, "label_map.json").exists() else None)


def read_subject(
    picture: str | Path,
    checkpoint: str | Path | None = None,
    data: str | Path | None = None,
    annotation: str | Path | None = None,
    results: str | Path | None = None,
) -> Subject:
    """The subject of a picture's file.

    checkpoint: of the model, None without one. The objects come from the annotation file, else from the data lists in
    the folder `data` if they hold the picture, else from the model's detections. results: detections in the test list
    of `data`, as `load_results` reads them.
    Raises InputError where a file is missing, damaged or of another kind.
    """
    image, marked = load_image(picture), None
    model = None if checkpoint is None else load_model(checkpoint)
    if annotation is not None:
        marked = _annotated(picture, annotation, model.config.class_names if model else ())
    elif data is not None:
        marked = _listed(picture, data, image.size)
    config = model.config if model else SSDConfig(class_names=tuple((marked or NOTHING).class_names))
    locs, scores = torch.zeros(0, 4), torch.zeros(0, config.n_classes)
    if model:
        with torch.no_grad():
            locs, scores = (table[0] for table in model(preprocess(image, config).unsqueeze(0)))
    truth = marked or (_detected(model, locs, scores) if model else NOTHING)
    kept = [k for k, name in enumerate(truth.names) if name in config.class_names]
    unknown = abbreviated(sorted(set(truth.names) - set(config.class_names)))
    left_out = f" Left out, because the model does not know them: {unknown}." if unknown else ""
    return Subject(
        name=Path(picture).name,
        image=image,
        config=config,
        boxes=truth.boxes[kept],
        labels=torch.tensor([config.label_map[truth.names[k]] for k in kept], dtype=torch.int64),
        difficulties=truth.difficulties[kept].bool(),
        origin=truth.origin + left_out,
        is_own=model is not None and marked is None,
        model=model,
        model_name=model_line(Path(checkpoint), config) if checkpoint else "",
        locs=locs,
        scores=scores,
        evaluated=None if results is None else _evaluated(results, data),
    )


def _evaluated(results: str | Path, folder: str | Path | None) -> Matches:
    if folder is None:
        raise InputError(f"{results}: name the data lists that these are detections in with --data")
    data = read_data_list(folder, "test")
    return match_dataset(load_results(results, data), data)


def _annotated(picture: str | Path, annotation: str | Path, class_names: Sequence[str]) -> Truth:
    image, notes = read_single(annotation, picture, class_names)
    objects = [each for each in image.objects if not each.crowd]
    names = [each.name for each in objects]
    remarks = "".join(f" {note.what[:1].upper()}{note.what[1:]}, {note.action}." for note in notes)
    origin = f"The objects come from {Path(annotation).name}.{remarks}"
    boxes = _fractions([each.box for each in objects], image.size)
    return Truth(boxes, names, torch.tensor([each.difficult for each in objects]), sorted(set(names)), origin)


def _listed(picture: str | Path, folder: str | Path, size: tuple[int, int]) -> Truth | None:
    """The objects in the data lists of a folder, None if they do not hold the picture."""
    splits = [split for split in SPLITS if list_files(folder, split)[0].exists()]
    if not splits:
        read_data_list(folder, SPLITS[0])  # says what is missing
    for split in splits:
        paths = read_image_paths(list_files(folder, split)[0])
        places = [k for k, path in enumerate(paths) if _is_same(path, picture)]
        if places:
            data = read_data_list(folder, split)
            listed = data[places[0]]
            if listed.size != size:
                raise InputError(
                    f"{listed.path}: has other pixels than when its data lists were written; write them again"
                )
            return Truth(
                boxes=_fractions(listed.boxes, size),
                names=[data.class_names[label - 1] for label in listed.labels],
                difficulties=torch.from_numpy(listed.difficulties),
                class_names=data.class_names,
                origin=f"The objects come from the {split} list in {folder}.",
            )
    return None


def _is_same(path: str, picture: str | Path) -> bool:
    return Path(path).name == Path(picture).name and os.path.realpath(path) == os.path.realpath(picture)


def _fractions(boxes: ArrayLike, size: tuple[int, int]) -> Tensor:
    """Boxes in pixels as (n, 4) float32 fractions."""
    return torch.from_numpy(np.asarray(boxes, dtype=np.float64).reshape(-1, 4) / np.tile(size, 2)).float()


def _detected(model: SSD, locs: Tensor, scores: Tensor) -> Truth:
    thresholds = MIN_SCORE, MAX_OVERLAP, MOST_OBJECTS
    (boxes,), (labels,), _ = model.detect_objects(locs[None], scores[None], *thresholds)
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    names = [model.config.class_names[label - 1] for label in labels[has_area].tolist()]
    stand_in = f"the model's detections with a score above {MIN_SCORE:g} stand in for them: {len(names) or 'none'}"
    origin = f"{UNMARKED}, so {stand_in}."
    return Truth(boxes[has_area], names, torch.zeros(len(names)), model.config.class_names, origin)
