"""Running a trained model: what `Detector` and evaluation share."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Protocol

import torch
from torch import Tensor

from ssd.config import SSDConfig
from ssd.errors import InputError
from ssd.inference.device import precision_name
from ssd.model.network import SSD
from ssd.model.postprocess import Detected, detect_objects
from ssd.model.vgg import Convolution


class Predictor(Protocol):
    """A trained model that only predicts, whatever runs it: a `NetworkPredictor`, or a class of `ssd.export.engines`.

    config: what the predictions mean; labels without a name are not detected. device: where the predictions lie.
    engine: what computes, and in which number format, in words.
    """

    config: SSDConfig
    device: torch.device
    engine: str

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Two tensors of raw predictions for normalised images (N, 3, 300, 300) of any device and type."""

    def detect_objects(
        self, first: Tensor, second: Tensor, min_score: float | Tensor, max_overlap: float, top_k: int
    ) -> Detected:
        """What `SSD.detect_objects` returns, for the two tensors of a call."""


class NetworkPredictor:
    """A `Predictor` that runs a copy of an `SSD` from `for_inference`."""

    def __init__(self, model: SSD, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32):
        self.model = for_inference(model, device, dtype)
        self.config = model.config
        self.device = self.model.rescale_factors.device
        self.engine = f"PyTorch, {precision_name(dtype)}"

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (N, 3, 300, 300) of any device and type -> what `SSD.forward` returns for them."""
        dtype, on_gpu = self.model.rescale_factors.dtype, self.device.type == "cuda"
        images = images.to(self.device, dtype, memory_format=torch.channels_last, non_blocking=on_gpu)
        if on_gpu:
            return self.model(images)
        locs, scores = zip(*map(self.model, images.split(images_at_once())), strict=True)
        return torch.cat(locs), torch.cat(scores)

    def detect_objects(
        self, locs: Tensor, scores: Tensor, min_score: float | Tensor, max_overlap: float, top_k: int
    ) -> Detected:
        """What `SSD.detect_objects` returns."""
        variances, unused = self.config.variances, self.config.unused_labels
        thresholds = min_score, max_overlap, top_k
        return detect_objects(locs, scores, self.model.priors_cxcy, *thresholds, variances=variances, unused=unused)


def as_predictor(
    model: SSD | Predictor,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    class_names: Sequence[str] | None = None,
) -> Predictor:
    """The `Predictor` of an `SSD`. One that is a predictor already keeps its device and its type.

    class_names: of the labels 1, 2, ... in place of the model's own, "" for a label that is not to be detected. The
    model itself keeps its names.
    """
    predictor = NetworkPredictor(model, device, dtype) if isinstance(model, SSD) else copy.copy(model)
    if class_names is not None:
        predictor.config = replace(predictor.config, class_names=tuple(class_names))
    return predictor


def images_at_once() -> int:
    """How many images the network takes at a time on a CPU: one for every four threads.

    The maps of one image fit into memory that the allocator keeps, while larger blocks are mapped again each time, page
    by page: on one thread a batch of eight takes an eighth longer in one piece.
    """
    return max(1, torch.get_num_threads() // 4)


def for_inference(model: SSD, device: torch.device | str, dtype: torch.dtype) -> SSD:
    """A copy of an `SSD` that only predicts: evaluation mode, on `device`, weights in `dtype`.

    Batch normalisation is folded into the convolutions, in float32, before anything is rounded. The copy keeps its
    tensors in channels_last order, in which convolutions are fastest.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for part in model.modules():
        if isinstance(part, Convolution):
            part.fold_norm()
    return model.to(device, dtype).to(memory_format=torch.channels_last)


def check_thresholds(min_score: float | Mapping[str, float], max_overlap: float, top_k: int) -> None:
    """Raise InputError if detections cannot be chosen by these numbers. min_score: of all classes, or by name."""
    if isinstance(min_score, Mapping):
        scores = {f"min_score of {name}": score for name, score in min_score.items()}
    else:
        scores = {"min_score": min_score}
    for name, value in (scores | {"max_overlap": max_overlap}).items():
        if not isinstance(value, Real):
            by_name = ", or a number for each name" if name == "min_score" else ""
            raise InputError(f"{name} must be a number{by_name}, not {type(value).__name__}")
        if not 0 <= value <= 1:
            raise InputError(f"{name} is {value}, must be from 0 to 1")
    if not isinstance(top_k, Integral) or top_k < 0:
        raise InputError(f"top_k is {top_k}, must be a whole number from 0")


@torch.inference_mode()
def detections_in_pixels(
    predictor: Predictor,
    predictions: tuple[Tensor, Tensor],
    sizes: Sequence[Sequence[int]],
    min_score: float | Tensor,
    max_overlap: float,
    top_k: int,
) -> Detected:
    """Detections in the pixels of the pictures, from what the predictor returned for them.

    sizes: N pairs (width, height). Returns three lists with a CPU tensor an image, best first: boxes (n, 4) float32
    corner pixels, labels (n,), scores (n,).
    """
    found = predictor.detect_objects(*predictions, min_score, max_overlap, top_k)
    counts = [len(labels) for labels in found[1]]
    boxes, labels, scores = (list(torch.cat(part).cpu().split(counts)) for part in found)  # one transfer for all images
    return [b * torch.tensor([*size, *size]) for b, size in zip(boxes, sizes, strict=True)], labels, scores
