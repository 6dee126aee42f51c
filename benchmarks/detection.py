"""Pictures to detections, the network alone, and post-processing alone, against torchvision's SSD300."""

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD
from torchvision.transforms.functional import to_tensor

from benchmarks.models import (
    SETTINGS,
    background_bias,
    count_candidates,
    create_pair,
    expect_candidates,
    inputs,
    random_scenes,
    with_bias,
)
from benchmarks.timing import Measured, Timer, agree
from ssd import SSD300, Detector, detect_objects
from ssd.export.engines import ExportedModel, OnnxRuntimeModel, OpenVinoModel
from ssd.export.quantise import FEWEST_PICTURES
from ssd.export.write import export
from ssd.inference.predictor import NetworkPredictor
from ssd.model.postprocess import decode_predictions

TORCHVISION = "torchvision ssd300_vgg16"
CANDIDATES, MANY_CANDIDATES = 100, 6000  # of a picture


def end_to_end(timer: Timer, batch: int = 8, precision: str = "auto") -> Measured:
    """Pictures in memory (640 x 480, uint8) to detections in their pixels."""
    device = timer.device
    ours, theirs = create_pair()
    images, _ = random_scenes(batch)
    expect_candidates(ours, theirs, inputs(images, ours.config), CANDIDATES)
    check_network(ours, theirs, images, device, precision)
    detector, theirs = Detector(ours, str(device), precision), theirs.to(device)
    arrays = [np.array(image) for image in images]  # writable, or to_tensor warns
    seconds = timer.measure(
        {"ours": partial(detector, arrays, *SETTINGS), TORCHVISION: partial(detect_theirs, theirs, arrays)}
    )
    return Measured(f"picture to detections, batch {batch}, ours {precision}", seconds, batch)


@torch.inference_mode()
def detect_theirs(theirs: SSD, arrays: Sequence[np.ndarray]) -> list[dict[str, Tensor]]:
    """What torchvision's model finds in pictures, as CPU tensors."""
    device = next(theirs.parameters()).device
    found = theirs([to_tensor(array).to(device) for array in arrays])
    return [{name: tensor.cpu() for name, tensor in image.items()} for image in found]


def eight_bits(timer: Timer, batch: int = 8) -> Measured:
    """Pictures in memory (640 x 480, uint8) to detections in their pixels: our exports, and models in PyTorch.

    All run on the CPU.
    """
    ours, theirs = create_pair()
    images, _ = random_scenes(max(batch, FEWEST_PICTURES))
    x = inputs(images, ours.config)
    expect_candidates(ours, theirs, x, CANDIDATES)
    exports = run_exports(ours, images)
    check_exports(ours, exports, x[:1])
    arrays = [np.array(image) for image in images[:batch]]
    contenders: dict[str, Callable[[], object]] = {}
    for detector in (*map(Detector, exports), Detector(ours, "cpu")):
        contenders[detector.predictor.engine] = partial(detector, arrays, *SETTINGS)
    seconds = timer.measure(contenders | {TORCHVISION: partial(detect_theirs, theirs, arrays)})
    return Measured(f"picture to detections, batch {batch}, 8 bits and float", seconds, batch)


def run_exports(model: SSD300, images: Sequence[Image.Image]) -> list[ExportedModel]:
    """The model in 8 bits and in float, run by each engine that is installed. images: calibrate the former."""
    engines = [OpenVinoModel, OnnxRuntimeModel] if find_spec("openvino") else [OnnxRuntimeModel]
    with TemporaryDirectory() as folder:
        pictures = [Path(folder, f"{k}.png") for k in range(len(images))]
        for image, path in zip(images, pictures, strict=True):
            image.save(path)
        files = Path(folder, "int8.onnx"), Path(folder, "float.onnx")
        for file, calibration in zip(files, (pictures, ()), strict=True):
            export(model, file, calibration=calibration)
        return [engine(file) for file in files for engine in engines]


def check_exports(model: SSD300, exports: Sequence[ExportedModel], x: Tensor) -> None:
    """Raise RuntimeError if an export predicts other boxes or probabilities than the model that it was made from."""
    expected = decode_predictions(*NetworkPredictor(model)(x), model.priors_cxcy, model.config.variances)
    for each in exports:
        for found, true in zip(each(x), expected, strict=True):
            agree(each.engine, found, true, 0.05)


def network(timer: Timer, batch: int = 8, precision: str = "auto") -> Measured:
    """Normalised images to raw predictions."""
    device = timer.device
    ours, theirs = create_pair()
    images, _ = random_scenes(batch)
    check_network(ours, theirs, images, device, precision)
    x = inputs(images, ours.config).to(device)
    predictor, theirs = Detector(ours, str(device), precision).predictor, theirs.to(device)

    @torch.inference_mode()
    def run_theirs():
        return theirs.head(list(theirs.backbone(x).values()))

    seconds = timer.measure({"ours": lambda: predictor(x), "torchvision": run_theirs})
    return Measured(f"network, batch {batch}, ours {precision}", seconds, batch)


def check_network(
    ours: SSD300, theirs: SSD, images: Sequence[Image.Image], device: torch.device, precision: str
) -> None:
    """Raise RuntimeError if the two predict different things for the first picture.

    In float32 on the CPU they may differ by rounding alone, in what is timed by as much as its type allows.
    """
    x = inputs(images[:1], ours.config)
    with torch.inference_mode():
        head = theirs.head(list(theirs.backbone(x).values()))
    expected = head["bbox_regression"], head["cls_logits"]
    timed = Detector(ours, str(device), precision).predictor
    for predictor, tolerance in ((NetworkPredictor(ours), 1e-3), (timed, 0.05)):
        for found, true in zip(predictor(x), expected, strict=True):
            agree("network", found.float().cpu(), true, tolerance)


def postprocessing(timer: Timer, batch: int = 8) -> Measured:
    """Raw predictions to detections at evaluation settings, about 6,000 candidates a picture."""
    device = timer.device
    ours, theirs = create_pair()
    images, _ = random_scenes(batch)
    x = inputs(images, ours.config)
    locs, scores = NetworkPredictor(ours)(x)
    scores = with_bias(scores, background_bias(scores, MANY_CANDIDATES))
    locs, scores, priors = (tensor.to(device) for tensor in (locs, scores, ours.priors_cxcy))
    maps = [torch.empty(1, 1, cells, cells, device=device) for cells in ours.config.feature_maps]
    sizes = [tuple(x.shape[2:])] * batch
    anchors = theirs.anchor_generator(ImageList(x.to(device), sizes), maps)

    @torch.inference_mode()
    def run_ours():
        return detect_objects(locs, scores, priors, *SETTINGS)

    @torch.inference_mode()
    def run_theirs():
        return theirs.postprocess_detections({"bbox_regression": locs, "cls_logits": scores}, anchors, sizes)

    check_detections(run_ours(), run_theirs(), ours.config.input_size)
    seconds = timer.measure({"ours": run_ours, "torchvision": run_theirs}, warm_up=3)
    n = count_candidates(scores)
    return Measured(f"post-processing, {n:.0f} candidates a picture, batch {batch}", seconds, batch)


def check_detections(ours: tuple[list[Tensor], ...], theirs: list[dict[str, Tensor]], side: int) -> None:
    """Raise RuntimeError if the two find different things.

    They round differently, so one pair in a hundred thousand may overlap just more or just less than the limit.
    """
    for boxes, labels, scores, image in zip(*ours, theirs, strict=True):
        own = torch.cat([boxes * side, labels[:, None], 100 * scores[:, None]], dim=1)  # (n, 6)
        other = torch.cat([image["boxes"], image["labels"][:, None], 100 * image["scores"][:, None]], dim=1)
        distances = torch.cdist(other, own, compute_mode="donot_use_mm_for_euclid_dist")
        missing = (distances.amin(dim=1) > 0.1).float().mean()
        if len(own) != len(other) or missing > 0.02:
            raise RuntimeError(f"post-processing: {missing:.0%} of torchvision's detections are not among ours")
