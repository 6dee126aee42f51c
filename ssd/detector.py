"""Pictures in, detections out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np
import torch
from PIL import Image

from ssd.config import SSDConfig
from ssd.data.images import Picture, normalise_levels, resized, to_rgb
from ssd.errors import InputError, optional
from ssd.files import read_json
from ssd.inference.device import choose_device, choose_precision
from ssd.inference.predictor import Predictor, as_predictor, check_thresholds, detections_in_pixels
from ssd.model.network import SSD
from ssd.pretrained import load_trained
from ssd.threads import ahead, batched
from ssd.visualize import class_colour, draw_boxes

BATCH_SIZE = 8  # pictures that the network takes at a time
MinScore = float | Mapping[str, float]  # of all classes, or by name; classes without one have MIN_SCORE
MIN_SCORE = 0.2

if TYPE_CHECKING:
    import supervision


class Detection(NamedTuple):
    """One object that was found, in plain Python. box: x_min, y_min, x_max, y_max in pixels of the upright picture."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    label: int


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture, best first.

    boxes: (n, 4) float32, x_min, y_min, x_max, y_max in pixels of the upright picture. labels: (n,) int64, from 1.
    scores: (n,) float32. names: n class names. n may be 0.

    A loop gives one `Detection` after the other, and `found[0]` is the first. `found[:5]`, indices `found[[0, 2]]` and
    a mask `found[found.scores > 0.5]` give `Detections`.
    """

    boxes: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Detection]:
        rows = zip(self.names, self.scores.tolist(), self.boxes.tolist(), self.labels.tolist(), strict=True)
        for name, score, (x_min, y_min, x_max, y_max), label in rows:
            yield Detection(name, score, (x_min, y_min, x_max, y_max), label)

    @overload
    def __getitem__(self, which: int) -> Detection: ...

    @overload
    def __getitem__(self, which: slice | Sequence[int] | np.ndarray | torch.Tensor) -> "Detections": ...

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, torch.Tensor):  # one of length 1 would pass for a number
            which = which.numpy()
        chosen = np.arange(len(self))[which].tolist()
        if isinstance(chosen, int):
            return list(self)[chosen]
        return Detections(self.boxes[chosen], self.labels[chosen], self.scores[chosen], [self.names[k] for k in chosen])

    def without(self, names: str | Iterable[str]) -> "Detections":
        """The detections of all classes but these, or this one."""
        left_out = _name_set(names)
        return self[[k for k, name in enumerate(self.names) if name not in left_out]]

    def draw(self, image: Picture) -> Image.Image:
        """An annotated RGB copy of the picture, which `Detector` takes too."""
        texts = [f"{name} {score:.2f}" for name, score in zip(self.names, self.scores.tolist(), strict=True)]
        return draw_boxes(to_rgb(image), self.boxes, texts, [class_colour(label) for label in self.labels.tolist()])

    def to_list(self) -> list[dict]:
        """Plain data, for JSON: a dict of name, score and box for each detection."""
        return [{"name": found.name, "score": found.score, "box": list(found.box)} for found in self]

    def to_supervision(self) -> "supervision.Detections":
        """The same as `supervision.Detections`, for that library's trackers, zones and annotators.

        `class_id` is our label, which counts from 1; `data["class_name"]` are the names.
        Raises InputError if `supervision` is not installed.
        """
        return optional("supervision", "supervision", "Detections.to_supervision").Detections(
            xyxy=self.boxes.numpy(),
            confidence=self.scores.numpy(),
            class_id=self.labels.numpy(),
            data={"class_name": np.array(self.names, dtype=str)},
        )


class Prepared(NamedTuple):
    """A picture as `Detector.find` takes it. square: resized, (300, 300, 3) of uint8. size: (width, height) before."""

    square: np.ndarray
    size: tuple[int, int]


class Detector:
    """A trained model ready for pictures of any size.

    model: an `SSD`, which is copied, not changed; or an exported model (`ssd.export.engines`), which has
    its device and its precision already. device: by default the GPU where there is one. precision: "auto" (bfloat16
    where the hardware is fast at it), "fp32", "bf16" or "fp16". Threads may share a detector.
    Raises TypeError on a model that is none of these, such as a path.
    """

    def __init__(self, model: SSD | Predictor, device: str | None = None, precision: str = "auto"):
        if not hasattr(model, "detect_objects"):
            raise TypeError(
                f"Detector takes an SSD300, an SSD512 or an exported model, not {type(model).__name__}; "
                "Detector.from_checkpoint(path) reads a model from a file"
            )
        chosen = choose_device(device)
        self.predictor = as_predictor(model, chosen, choose_precision(precision, chosen))
        self.config: SSDConfig = self.predictor.config

    @classmethod
    def from_checkpoint(
        cls, checkpoint: str | Path | None = None, device: str | None = None, precision: str = "auto"
    ) -> "Detector":
        """The detector of a checkpoint, an export (.onnx), weights of another project, "coco", or the newest run.

        Raises InputError as `load_trained` does.
        """
        return cls(load_trained(checkpoint, device, precision), device, precision)

    def only(self, names: str | Iterable[str]) -> "Detector":
        """A detector that finds these classes, or this one, alone. Raises InputError as `known_classes` does."""
        kept = known_classes(names, self.config)
        return Detector(
            as_predictor(self.predictor, class_names=[name if name in kept else "" for name in self.config.class_names])
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is a path, although it is a sequence of texts too
        self, image: Picture, min_score: MinScore = ..., max_overlap: float = ..., top_k: int = ...
    ) -> Detections: ...

    @overload
    def __call__(
        self, image: Sequence[Picture], min_score: MinScore = ..., max_overlap: float = ..., top_k: int = ...
    ) -> list[Detections]: ...

    def __call__(self, image: Any, min_score: MinScore = MIN_SCORE, max_overlap: float = 0.45, top_k: int = 200) -> Any:
        """The `Detections` in a picture, or a list of them for a list of pictures, which run as `stream` does.

        image: path, PIL image, RGB array (height, width, 3) of uint8, or tensor (3, height, width) of uint8 or of
        floats from 0 to 1; or a list of these.
        min_score: the score a detection must exceed, of all classes or {"cat": 0.5, ...}, where the others have the
        default. max_overlap: IoU with a better detection of the same class above which a detection is dropped.
        top_k: most detections in a picture.
        Raises InputError, a ValueError, on a file that is no picture, on numbers that are out of range and on a class
        that the detector does not know; ValueError on an array or tensor that is no picture; TypeError on anything
        else.
        """
        if not isinstance(image, list | tuple):
            return self([image], min_score, max_overlap, top_k)[0]
        return list(self.stream(image, min_score, max_overlap, top_k))

    def stream(
        self, pictures: Iterable[Picture], min_score: MinScore = MIN_SCORE, max_overlap: float = 0.45, top_k: int = 200
    ) -> Iterator[Detections]:
        """Yield the `Detections` in each of any number of pictures, in order. Arguments and errors as for a call.

        While the network works on `BATCH_SIZE` of them, threads decode and resize the next; memory holds no others.
        """
        check_thresholds(min_score, max_overlap, top_k)
        for batch in batched(ahead(self.prepare, pictures, BATCH_SIZE), BATCH_SIZE):
            yield from self.find(batch, min_score, max_overlap, top_k)

    def prepare(self, picture: Picture) -> Prepared:
        """A picture decoded and resized for `find`."""
        image = to_rgb(picture)
        return Prepared(np.asarray(resized(image, self.config.input_size)), image.size)

    def find(
        self, prepared: Sequence[Prepared], min_score: MinScore, max_overlap: float, top_k: int
    ) -> list[Detections]:
        """The `Detections` in each picture from `prepare`; all of them are one batch."""
        sizes = [one.size for one in prepared]
        return self.choose(self.predict(prepared), sizes, min_score, max_overlap, top_k)

    def predict(self, prepared: Sequence[Prepared]) -> tuple[torch.Tensor, torch.Tensor]:
        """The first half of `find`, which no threshold changes: what the predictor returns for the pictures."""
        squares = np.stack([one.square for one in prepared])
        return self.predictor(network_input(squares, self.config, self.predictor.device))

    def choose(
        self,
        predictions: tuple[torch.Tensor, torch.Tensor],
        sizes: Sequence[tuple[int, int]],
        min_score: MinScore,
        max_overlap: float,
        top_k: int,
    ) -> list[Detections]:
        """The second half of `find`, from what `predict` returns. sizes: (width, height) of each picture, in pixels."""
        least = label_scores(min_score, self.config, self.predictor.device)
        found = detections_in_pixels(self.predictor, predictions, sizes, least, max_overlap, top_k)
        return [
            Detections(boxes, labels, scores, [self.config.class_names[label - 1] for label in labels.tolist()])
            for boxes, labels, scores in zip(*found, strict=True)
        ]


def _name_set(names: str | Iterable[str]) -> set[str]:
    return {names} if isinstance(names, str) else set(names)  # a text is one name, not its letters


def known_classes(names: str | Iterable[str], config: SSDConfig, where: str = "") -> set[str]:
    """The names. Raises InputError, which begins with `where`, on one that a model of this config does not detect."""
    chosen = _name_set(names)
    if unknown := chosen - set(filter(None, config.class_names)):
        known = ", ".join(filter(None, config.class_names))
        raise InputError(f"{where}unknown class {', '.join(sorted(unknown))}; the classes are {known}")
    return chosen


def label_scores(min_score: MinScore, config: SSDConfig, device: torch.device) -> float | torch.Tensor:
    """The score that a detection must exceed, as `detect_objects` takes it: of all labels, or one of each (n_classes,).

    Raises InputError as `known_classes` does.
    """
    if not isinstance(min_score, Mapping):
        return min_score
    known_classes(min_score, config)
    names = ("background", *config.class_names)
    return torch.tensor([min_score.get(name, MIN_SCORE) for name in names], device=device)


def read_thresholds(path: str | Path, config: SSDConfig) -> dict[str, float]:
    """The scores by class name in a file that `eval.py --save-thresholds` wrote, or a hand, for a model of this config.

    Raises InputError where the file is missing or is not such a file, and as `known_classes` does.
    """
    scores = read_json(path, dict, "no such file; eval.py --save-thresholds FILE writes one")
    for name, score in scores.items():
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InputError(f"{path}: the threshold of {name} is {score!r}, must be a number from 0 to 1")
    known_classes(scores, config, f"{path}: ")
    return scores


def network_input(squares: np.ndarray, config: SSDConfig, device: torch.device) -> torch.Tensor:
    """Pictures (N, 300, 300, 3) of uint8 as the network's input (N, 3, 300, 300) on `device`, as `preprocess` makes it.

    They travel there as bytes, a quarter of the input.
    """
    levels = torch.from_numpy(squares).permute(0, 3, 1, 2)  # (N, 3, 300, 300)
    if device.type == "cuda":
        levels = levels.pin_memory().to(device, non_blocking=True)
    return normalise_levels(levels, config)


@overload
def detect(  # type: ignore[overload-overlap]  # as above
    original_image: Picture, min_score: MinScore = ..., max_overlap: float = ..., top_k: int = ...,
    suppress: str | Iterable[str] | None = ..., checkpoint: str | Path | Detector | None = ...,
) -> Image.Image: ...  # fmt: skip


@overload
def detect(
    original_image: Sequence[Picture], min_score: MinScore = ..., max_overlap: float = ..., top_k: int = ...,
    suppress: str | Iterable[str] | None = ..., checkpoint: str | Path | Detector | None = ...,
) -> list[Image.Image]: ...  # fmt: skip


def detect(
    original_image: Any, min_score: MinScore = MIN_SCORE, max_overlap: float = 0.5, top_k: int = 200,
    suppress: str | Iterable[str] | None = None, checkpoint: str | Path | Detector | None = None,
) -> Any:  # fmt: skip
    """An annotated copy of a picture, or a list of them for a list of pictures.

    original_image, min_score, top_k: as for `Detector`. max_overlap: too, but 0.5 by default, as in the tutorial that
    this project follows; `Detector` and `ssd300 detect` have the paper's 0.45. So this keeps a few more detections that
    overlap. suppress: names of classes (or one) to leave out.
    checkpoint: as for `Detector.from_checkpoint`; pass a `Detector` to load the model only once.
    Raises InputError on a class that the detector does not know.
    """
    detector = checkpoint if isinstance(checkpoint, Detector) else Detector.from_checkpoint(checkpoint)
    suppressed = known_classes(suppress or (), detector.config)
    if not isinstance(original_image, list | tuple):
        return detector(original_image, min_score, max_overlap, top_k).without(suppressed).draw(original_image)
    found = detector(original_image, min_score, max_overlap, top_k)
    return [one.without(suppressed).draw(picture) for one, picture in zip(found, original_image, strict=True)]
