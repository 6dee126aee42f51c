"""What the page shows, without the page: what its models predict for a picture, and what is chosen from that."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from PIL import Image
from torch import Tensor

from ssd.data.images import load_image
from ssd.detector import Detections, Detector
from ssd.errors import InputError
from ssd.inference.predictor import check_thresholds
from ssd.media.annotator import Annotator
from ssd.media.frames import open_frames
from ssd.media.journal import append
from ssd.media.outputs import SAVED_AS, output_names, record, save_picture, save_records, written_files
from ssd.media.sources import Sources
from ssd.pretrained import find_checkpoint, load_trained, model_line
from ssd.text import counted

Models = Mapping[str, Detector]  # by their names on the page

TOP_K = 200
NEVER = 1.0  # no score exceeds it
COLUMNS = ("name", "score", "box in pixels")


class Choice(NamedTuple):
    """Which detections to show. classes: their names; none means all."""

    min_score: float
    max_overlap: float
    classes: Sequence[str] = ()

    def min_scores(self, detector: Detector) -> dict[str, float]:
        """The score that a detection of each of the detector's classes must exceed."""
        names = filter(None, detector.config.class_names)
        return {name: self.min_score if name in self.classes or not self.classes else NEVER for name in names}


def class_names(models: Models) -> list[str]:
    """What any of the models detects, each name once."""
    return list(dict.fromkeys(name for one in models.values() for name in one.config.class_names if name))


def make_choice(models: Models, min_score: float, max_overlap: float, classes: Sequence[str] | None) -> Choice:
    """The choice for these models. Raises InputError on numbers out of range and on a class that none of them knows."""
    check_thresholds(min_score, max_overlap, TOP_K)
    chosen, known = classes or (), class_names(models)
    if not isinstance(chosen, list | tuple):  # a program may send anything
        raise InputError(f"the classes must be a list of names, not {chosen!r}")
    if unknown := [str(name) for name in chosen if name not in known]:
        raise InputError(f"unknown class {', '.join(unknown)}; the classes are {', '.join(known)}")
    return Choice(min_score, max_overlap, chosen)


def _temporary_folder() -> TemporaryDirectory:
    """A folder for results, outside Gradio's, so that Gradio keeps a copy of each version of a file."""
    return TemporaryDirectory(prefix="ssd300-results-", ignore_cleanup_errors=True)


@dataclass(frozen=True, eq=False)
class Predicted:
    """What the models predict for a picture, before any threshold. It holds no pixels: a few MB for each model.

    path: of the picture. size: (width, height) in pixels. predictions: of each model, as `Detector.predict` returns
    them. folder: for files; it is removed with this object.
    """

    path: Path
    size: tuple[int, int]
    predictions: dict[str, tuple[Tensor, Tensor]]
    folder: TemporaryDirectory = field(default_factory=_temporary_folder)


class Shown(NamedTuple):
    """What the page shows of one model. rows: a detection each, as COLUMNS say. files: to download."""

    title: str
    picture: str
    rows: list[list]
    files: list[str]


def load_models(
    checkpoints: Sequence[str | None], device: str | None, precision: str, tell: Callable[[str], object]
) -> dict[str, Detector]:
    """The detectors of checkpoints (see `find_checkpoint`), by short names. tell: is called with a line for each.

    Raises InputError as `load_trained` does.
    """
    paths = [find_checkpoint(name) for name in checkpoints]
    short = [str(Path(*path.parts[-2:])) for path in paths]
    names = short if len(set(short)) == len(set(paths)) else map(str, paths)
    models = {}
    for name, path in zip(names, paths, strict=True):
        models[name] = Detector(load_trained(path, device, precision, tell), device, precision)
        tell(f"{model_line(path, models[name].config)}; {models[name].predictor.engine}")
    return models


def predict(models: Models, path: Path) -> Predicted:
    """The only step that runs the networks. Raises InputError as `load_image` does."""
    image = load_image(path)
    predictions = {name: detector.predict([detector.prepare(image)]) for name, detector in models.items()}
    return Predicted(path, image.size, predictions)


def choose(models: Models, predicted: Predicted, choice: Choice) -> dict[str, Detections]:
    """The detections of each model."""
    return {
        name: detector.choose(
            predicted.predictions[name], [predicted.size], choice.min_scores(detector), choice.max_overlap, TOP_K
        )[0]
        for name, detector in models.items()
    }


def show(models: Models, predicted: Predicted, choice: Choice) -> list[Shown]:
    """What the page shows of each model. Writes files. Raises InputError where the picture is gone."""
    image = load_image(predicted.path)
    shown = []
    for place, (name, found) in enumerate(choose(models, predicted, choice).items(), start=1):
        folder = Path(predicted.folder.name, str(place))
        files = write_files(folder, predicted.path.name, image, found, models[name].config.class_names)
        shown.append(Shown(f"{name}: {counted(len(found), 'object')}", files[0], table(found), files))
    return shown


def table(detections: Detections) -> list[list]:
    """A row for each detection, as COLUMNS say."""
    return [
        [found.name, f"{found.score:.3f}", ", ".join(f"{value:.0f}" for value in found.box)] for found in detections
    ]


def records(models: Models, predicted: Predicted, choice: Choice) -> list[dict]:
    """For each model, its name and the record of what it found."""
    name, found = Path(predicted.path.name), choose(models, predicted, choice)
    return [{"model": model, **record(name, None, predicted.size, own)} for model, own in found.items()]


def write_files(
    folder: Path, name: str, image: Image.Image, detections: Detections, class_names: Sequence[str]
) -> list[str]:
    """Write what was found in a picture of this name. Returns the paths: the annotated copy, JSON, VOC XML and YOLO."""
    folder.mkdir(exist_ok=True)
    path, formats = Path(name), ("json", "voc", "yolo")
    sources = Sources([path], [], {path: name})
    copy = save_picture(detections.draw(image), folder / f"{path.stem}.jpg")
    save_records(folder, [record(path, copy, image.size, detections)], formats, class_names, sources.names)
    return [str(folder / file) for file in (copy, *written_files(formats, sources))]


class Film(NamedTuple):
    """An annotated video. message: what was found, or what went wrong. files: to download, first the video, if any."""

    message: str
    files: list[str]
    folder: TemporaryDirectory


def annotate_film(detector: Detector, path: Path, choice: Choice, tell: Callable[[int, int | None], object]) -> Film:
    """Find objects in a video, frame by frame.

    tell: is called after each frame with how many there have been, and how many there are if the file says so. An
    InputError that it raises ends the work. Raises InputError where the file is no video.
    """
    with open_frames(path) as video:
        n_frames = video.n_frames
    held, names, problems = _temporary_folder(), output_names([], [path]), list[InputError]()
    folder = Path(held.name)

    def write(entry: dict) -> None:
        if "frame" in entry:
            append(folder / SAVED_AS["jsonl"], entry | {"image": path.name})
            tell(entry["frame"] + 1, n_frames)

    find = partial(detector.find, min_score=choice.min_scores(detector), max_overlap=choice.max_overlap, top_k=TOP_K)
    annotator = Annotator(detector.prepare, find, folder, names, write, report=problems.append)
    annotator.video(path)
    found = f"{counted(annotator.counts['objects'], 'object')} in {counted(annotator.counts['frames'], 'frame')}"
    files = [folder / name for name in (*names.values(), SAVED_AS["jsonl"])]
    message = f"{problems[0]}; {found}" if problems else f"{path.name}: {found}"
    return Film(message, [str(file) for file in files if file.exists()], held)
