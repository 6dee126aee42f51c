"""Pictures in, detections out."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import torch
from PIL import Image

from ssd.config import SSDConfig
from ssd.data.images import normalise_levels, resized, to_rgb
from ssd.errors import InputError
from ssd.inference.device import choose_device, choose_precision
from ssd.inference.predictor import Predictor, as_predictor, detections
from ssd.model.network import SSD300
from ssd.pretrained import load_trained
from ssd.visualize import class_colour, draw_boxes

Picture = Image.Image | np.ndarray


@dataclass(frozen=True)
class Detections:
    """What was found in one picture, best first.

    boxes: (n, 4) float32, x_min, y_min, x_max, y_max in pixels of the upright picture. labels: (n,) int64, from 1.
    scores: (n,) float32. names: n class names. n may be 0.
    """

    boxes: torch.Tensor
    labels: torch.Tensor
    scores: torch.Tensor
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def without(self, names: Iterable[str]) -> "Detections":
        """The detections of all classes but these."""
        left_out = set(names)
        kept = [k for k, name in enumerate(self.names) if name not in left_out]
        return Detections(self.boxes[kept], self.labels[kept], self.scores[kept], [self.names[k] for k in kept])

    def draw(self, image: Picture) -> Image.Image:
        """An annotated RGB copy of the picture."""
        texts = [f"{name} {score:.2f}" for name, score in zip(self.names, self.scores.tolist(), strict=True)]
        return draw_boxes(to_rgb(image), self.boxes, texts, [class_colour(label) for label in self.labels.tolist()])

    def to_list(self) -> list[dict]:
        """Plain data, for JSON: a dict of name, score and box for each detection."""
        rows = zip(self.names, self.scores.tolist(), self.boxes.tolist(), strict=True)
        return [{"name": name, "score": score, "box": box} for name, score, box in rows]


class Detector:
    """A trained model ready for pictures of any size.

    model: an `SSD300`, of which the detector works on a copy; or an exported model (`ssd.export.engines`), which has
    its device and its precision already. device: by default the GPU where there is one. precision: "auto" (bfloat16
    where the hardware is fast at it), "fp32", "bf16" or "fp16".
    """

    def __init__(self, model: SSD300 | Predictor, device: str | None = None, precision: str = "auto"):
        chosen = choose_device(device)
        self.predictor = as_predictor(model, chosen, choose_precision(precision, chosen))
        self.config: SSDConfig = self.predictor.config

    @classmethod
    def from_checkpoint(
        cls, checkpoint: str | Path | None = None, device: str | None = None, precision: str = "auto"
    ) -> "Detector":
        """The detector of a checkpoint, of an export (.onnx), of "coco", or of the newest run: see `load_trained`."""
        return cls(load_trained(checkpoint, device, precision), device, precision)

    @overload
    def __call__(
        self, image: Picture, min_score: float = ..., max_overlap: float = ..., top_k: int = ...
    ) -> Detections: ...

    @overload
    def __call__(
        self, image: Sequence[Picture], min_score: float = ..., max_overlap: float = ..., top_k: int = ...
    ) -> list[Detections]: ...

    def __call__(self, image, min_score=0.2, max_overlap=0.45, top_k=200):
        """The `Detections` in a picture, or a list of them for a list of pictures, which run as one batch.

        image: PIL image, or RGB array (height, width, 3) of uint8.
        min_score: the score a detection must exceed. max_overlap: IoU with a better detection of the same class above
        which a detection is dropped. top_k: most detections in a picture.
        """
        if not isinstance(image, list | tuple):
            return self([image], min_score, max_overlap, top_k)[0]
        if not image:
            return []
        pictures = [to_rgb(picture) for picture in image]
        predictions = self.predictor(network_input(pictures, self.config, self.predictor.device))
        sizes = [picture.size for picture in pictures]
        found = detections(self.predictor, predictions, sizes, min_score, max_overlap, top_k)
        return [
            Detections(boxes, labels, scores, [self.config.class_names[label - 1] for label in labels.tolist()])
            for boxes, labels, scores in zip(*found, strict=True)
        ]


def network_input(pictures: Sequence[Image.Image], config: SSDConfig, device: torch.device) -> torch.Tensor:
    """`preprocess` of each RGB picture as one tensor (N, 3, 300, 300) on `device`.

    The resized pictures travel there as bytes, a quarter of the input.
    """
    with ThreadPoolExecutor() as threads:
        squares = threads.map(lambda picture: np.asarray(resized(picture, config.input_size)), pictures)
        levels = torch.from_numpy(np.stack(list(squares))).permute(0, 3, 1, 2)  # (N, 3, 300, 300)
    if device.type == "cuda":
        levels = levels.pin_memory().to(device, non_blocking=True)
    return normalise_levels(levels, config)


def detect(
    original_image: Picture,
    min_score: float = 0.2,
    max_overlap: float = 0.5,
    top_k: int = 200,
    suppress: str | Iterable[str] | None = None,
    checkpoint: str | Path | Detector | None = None,
) -> Image.Image:
    """An annotated copy of a picture.

    min_score, max_overlap, top_k: as for `Detector`. suppress: names of classes (or one) to leave out.
    checkpoint: as for `Detector.from_checkpoint`; or a `Detector`, which is not loaded again for each picture.
    Raises InputError on a class that the detector does not know.
    """
    detector = checkpoint if isinstance(checkpoint, Detector) else Detector.from_checkpoint(checkpoint)
    suppressed = {suppress} if isinstance(suppress, str) else set(suppress or ())
    if unknown := suppressed - set(detector.config.class_names):
        known = ", ".join(filter(None, detector.config.class_names))
        raise InputError(f"suppress: unknown class {', '.join(sorted(unknown))}; the classes are {known}")
    return detector(original_image, min_score, max_overlap, top_k).without(suppressed).draw(original_image)
