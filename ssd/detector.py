"""Pictures in, detections out."""

from dataclasses import dataclass

import numpy as np
import torch

from ssd.data.device_input import preprocess_on
from ssd.data.images import preprocess, size_of, to_rgb
from ssd.errors import InputError
from ssd.inference.device import choose_device, choose_precision
from ssd.inference.predictor import as_predictor, detections, forward
from ssd.pretrained import find_checkpoint, load_trained
from ssd.visualize import class_colour, draw_boxes


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

    def __len__(self):
        return len(self.names)

    def without(self, names):
        """The detections of other classes than these."""
        kept = [k for k, name in enumerate(self.names) if name not in names]
        return Detections(self.boxes[kept], self.labels[kept], self.scores[kept], [self.names[k] for k in kept])

    def draw(self, image):
        """An annotated RGB copy of the picture."""
        texts = [f"{name} {score:.2f}" for name, score in zip(self.names, self.scores.tolist(), strict=True)]
        return draw_boxes(to_rgb(image), self.boxes, texts, [class_colour(label) for label in self.labels.tolist()])

    def to_list(self):
        """Plain data, for JSON: a dict of name, score and box for each detection."""
        rows = zip(self.names, self.scores.tolist(), self.boxes.tolist(), strict=True)
        return [{"name": name, "score": score, "box": box} for name, score, box in rows]


class Detector:
    """An `SSD300` ready for pictures of any size.

    model: left as it is, the detector works on a copy; or an exported model (`ssd.export.engines`), which has its
    device and its precision already. device: the GPU where there is one, unless named.
    precision: "auto" (bfloat16 where the hardware is fast at it), "fp32", "bf16" or "fp16".
    """

    def __init__(self, model, device=None, precision="auto"):
        device = choose_device(device)
        self.config = model.config
        self.predictor = as_predictor(model, device, choose_precision(precision, device))

    @classmethod
    def from_checkpoint(cls, path, device=None, precision="auto"):
        """The detector of a checkpoint, or of an export (.onnx, .pt2). Raises InputError as `load_trained` does."""
        return cls(load_trained(path, device, precision), device, precision)

    def __call__(self, image, min_score=0.2, max_overlap=0.45, top_k=200):
        """`Detections` in a PIL image or an RGB array (height, width, 3) of uint8; for a list of images, which is one
        batch, a list of them.

        min_score: the score a detection must exceed. max_overlap: IoU of the same class above which only the better
        one is kept. top_k: detections kept for a picture.
        """
        if not isinstance(image, list | tuple):
            return self([image], min_score, max_overlap, top_k)[0]
        if not image:
            return []
        pictures = [picture if isinstance(picture, np.ndarray) else to_rgb(picture) for picture in image]
        sizes = [size_of(picture) for picture in pictures]
        predictions = forward(self.predictor, self._inputs(pictures))
        found = detections(self.predictor, predictions, sizes, min_score, max_overlap, top_k)
        return [
            Detections(boxes, labels, scores, [self.config.class_names[label - 1] for label in labels.tolist()])
            for boxes, labels, scores in zip(*found, strict=True)
        ]

    def _inputs(self, pictures):
        """The network's input for RGB pictures: the same numbers on every device, made there where it is a GPU."""
        if self.predictor.device.type == "cpu":
            return torch.stack([preprocess(picture, self.config) for picture in pictures])
        return preprocess_on(self.predictor.device, pictures, self.config)


def detect(original_image, min_score=0.2, max_overlap=0.5, top_k=200, suppress=None, checkpoint=None):
    """An annotated copy of a picture.

    original_image: PIL image. min_score: the score a detection must exceed. max_overlap: IoU of the same class above
    which only the better one is kept. top_k: detections kept. suppress: names of classes (or one) to leave out.
    checkpoint: its path, or a `Detector`, which is not loaded anew for each picture; without one, the newest run's.
    Raises InputError on a class that the detector does not know.
    """
    detector = checkpoint if isinstance(checkpoint, Detector) else None
    detector = detector or Detector.from_checkpoint(find_checkpoint(checkpoint))
    suppress = {suppress} if isinstance(suppress, str) else set(suppress or ())
    if unknown := suppress - set(detector.config.class_names):
        known = ", ".join(filter(None, detector.config.class_names))
        raise InputError(f"suppress: unknown class {', '.join(sorted(unknown))}; the classes are {known}")
    return detector(original_image, min_score, max_overlap, top_k).without(suppress).draw(original_image)
