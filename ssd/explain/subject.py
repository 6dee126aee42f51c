"""What a page is about: a picture, its objects, and what a model predicts for it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
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
from ssd.data.lists import SPLITS, DataList, list_files, read_data_list, read_image_paths
from ssd.errors import InputError
from ssd.evaluation.evaluate import match_dataset
from ssd.evaluation.matches import Matches
from ssd.evaluation.result_files import load_results
from ssd.model.network import SSD
from ssd.model.priors import create_prior_boxes
from ssd.pretrained import find_checkpoint, load_model, model_line, newest_checkpoint
from ssd.text import abbreviated, counted
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


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture with everything that the sections draw, computed once.

    name: of the picture's file. image: the whole picture, upright RGB. shown: its copy on the page.
    input: (3, 300, 300), what the network sees. boxes: (n, 4) corner fractions of the objects. labels: (n,) int64, from
    1. difficulties: (n,) bool. n may be 0. origin: a sentence that says where the objects come from. is_own: whether
    they are the model's own detections. model_name: its file, "" without a model. priors_cxcy: (8732, 4).
    model: None where there is none; then `locs` (8732, 4) and `scores` (8732, n_classes), logits, have no rows.
    evaluated: the detections in a whole test list, or None.
    """

    name: str
    image: Image.Image
    shown: Image.Image
    config: SSDConfig
    input: Tensor
    boxes: Tensor
    labels: Tensor
    difficulties: Tensor
    origin: str
    is_own: bool
    model_name: str
    priors_cxcy: Tensor
    model: SSD | None
    locs: Tensor
    scores: Tensor
    evaluated: Matches | None = None

    @property
    def frame(self) -> tuple[int, int]:
        """Width and height of the picture in the units of figures."""
        return self.shown.size

    @property
    def introduction(self) -> str:
        """Sentences on where the model and the objects come from."""
        model = f"The model is {self.model_name}." if self.model else "There is no model, so some sections are empty."
        return f"{model} {self.origin}"

    def in_frame(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of corner fractions in the units of figures."""
        return boxes * torch.tensor([*self.frame, *self.frame])

    def in_pixels(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) of corner fractions in pixels of the whole picture."""
        return boxes * torch.tensor([*self.image.size, *self.image.size])

    def name_of(self, label: int) -> str:
        """The name of a class; "background" for 0, "no class" for a label that has none."""
        return ("background", *self.config.class_names)[label] or "no class"


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
    image = load_image(picture)
    model = None if checkpoint is None else _load(checkpoint)
    truth = _marked(picture, annotation, data, image.size, model.config.class_names if model else ())
    is_own = truth is None and model is not None
    config = model.config if model else _config(truth)
    network_input = preprocess(image, config)
    locs, scores = torch.zeros(0, 4), torch.zeros(0, config.n_classes)
    if model:
        locs, scores = _predict(model, network_input)
        truth = truth or _detected(model, locs, scores)
    boxes, labels, difficulties, origin = _labelled(truth, config)
    return Subject(
        name=Path(picture).name,
        image=image,
        shown=fit_to_side(image, SHOWN_SIDE)[0],
        config=config,
        input=network_input,
        boxes=boxes,
        labels=labels,
        difficulties=difficulties,
        origin=origin,
        is_own=is_own,
        model_name=model_line(Path(checkpoint), config) if checkpoint else "",
        priors_cxcy=model.priors_cxcy if model else create_prior_boxes(config),
        model=model,
        locs=locs,
        scores=scores,
        evaluated=None if results is None else _evaluated(results, data),
    )


def _evaluated(results: str | Path, folder: str | Path | None) -> Matches:
    if folder is None:
        raise InputError(f"{results}: name the data lists that these are detections in with --data")
    data = read_data_list(folder, "test")
    return match_dataset(load_results(results, data), data)


def _load(checkpoint: str | Path) -> SSD:
    if Path(checkpoint).suffix.lower() in (".onnx", ".pt2"):
        raise InputError(f"{checkpoint}: an export, which hides the network; give the checkpoint it was made from")
    return load_model(checkpoint)


def _config(truth: Truth | None) -> SSDConfig:
    return SSDConfig(class_names=tuple(truth.class_names)) if truth else SSDConfig()


@torch.no_grad()
def _predict(model: SSD, network_input: Tensor) -> tuple[Tensor, Tensor]:
    locs, scores = model(network_input.unsqueeze(0))
    return locs[0], scores[0]


def _marked(picture, annotation, data, size, class_names: Sequence[str]) -> Truth | None:
    """The objects that somebody has marked, None if nobody has."""
    if annotation is not None:
        return _annotated(picture, annotation, class_names)
    return None if data is None else _listed(picture, data, size)


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
            return _of_list(data, places[0], size, f"The objects come from the {split} list in {folder}.")
    return None


def _is_same(path: str, picture: str | Path) -> bool:
    return Path(path).name == Path(picture).name and os.path.realpath(path) == os.path.realpath(picture)


def _of_list(data: DataList, index: int, size: tuple[int, int], origin: str) -> Truth:
    listed = data[index]
    if listed.size != size:
        raise InputError(f"{listed.path}: has other pixels than when its data lists were written; write them again")
    names = [data.class_names[label - 1] for label in listed.labels]
    boxes, difficulties = _fractions(listed.boxes, size), torch.from_numpy(listed.difficulties)
    return Truth(boxes, names, difficulties, data.class_names, origin)


def _fractions(boxes: ArrayLike, size: tuple[int, int]) -> Tensor:
    """Boxes in pixels as (n, 4) float32 fractions."""
    return torch.from_numpy(np.asarray(boxes, dtype=np.float64).reshape(-1, 4) / np.tile(size, 2)).float()


def _detected(model: SSD, locs: Tensor, scores: Tensor) -> Truth:
    thresholds = MIN_SCORE, MAX_OVERLAP, MOST_OBJECTS
    (boxes,), (labels,), _ = model.detect_objects(locs[None], scores[None], *thresholds)
    has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    names = [model.config.class_names[label - 1] for label in labels[has_area].tolist()]
    above = f"a score above {MIN_SCORE:g}"
    one, many = f"detection with {above} stands in for them", f"detections with {above} stand in for them"
    stand_in = f"so the model's {counted(len(names), one, many)}"
    origin = f"{UNMARKED}, {stand_in if names else f'and the model gives nothing {above}'}."
    return Truth(boxes[has_area], names, torch.zeros(len(names)), model.config.class_names, origin)


def _labelled(truth: Truth | None, config: SSDConfig) -> tuple[Tensor, Tensor, Tensor, str]:
    """Boxes, labels, difficulties and origin of the objects whose classes the config knows."""
    if truth is None:
        return torch.zeros(0, 4), torch.zeros(0).long(), torch.zeros(0).bool(), f"{UNMARKED}."
    kept = [k for k, name in enumerate(truth.names) if name in config.class_names]
    labels = torch.tensor([config.label_map[truth.names[k]] for k in kept], dtype=torch.int64)
    unknown = sorted(set(truth.names) - set(config.class_names))
    left_out = f" Left out, because the model does not know them: {abbreviated(unknown)}." if unknown else ""
    return truth.boxes[kept], labels, truth.difficulties[kept].bool(), truth.origin + left_out
