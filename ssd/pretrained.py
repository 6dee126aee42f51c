"""Finds the weights that --checkpoint or --weights refers to: a file, torchvision's ("coco"), or the newest run's."""

from collections.abc import Callable
from pathlib import Path

import torch
from torchvision.models import WeightsEnum
from torchvision.models.detection import SSD300_VGG16_Weights

from ssd.checkpoint import VERSION, chosen_list, network_with, write_checkpoint
from ssd.config import SSDConfig
from ssd.convert.reading import read_weights
from ssd.errors import InputError
from ssd.export.engines import open_export
from ssd.files import digest, oldest_first, read_json
from ssd.inference.predictor import Predictor
from ssd.model.network import SSD
from ssd.text import abbreviated, counted, one_line

COCO = "coco"
CHECKPOINT_HELP = (
    "trained model, its export (.onnx), or weights that ssd300 convert reads; coco: torchvision's COCO weights, "
    "downloaded (default: the newest runs/*/best.pth)"
)
ALTERNATIVES = (
    f"get {SSD300_VGG16_Weights.COCO_V1.url} elsewhere and convert it with python -m ssd.convert, or give a model that "
    "train.py made"
)
REDOWNLOAD = "delete it to have it downloaded again"


def load_trained(
    checkpoint: str | Path | None = None,
    device: str | None = None,
    precision: str = "auto",
    tell: Callable[[str], object] | None = None,
) -> SSD | Predictor:
    """The trained model that --checkpoint refers to: an `SSD`, or the `Predictor` of an .onnx file.

    checkpoint: as for `find_checkpoint`. device, precision: as for `Detector`; an exported model comes with both.
    tell: as for `load_model`.
    Raises InputError where there is no such model, or where it is damaged or cannot be run like that.
    """
    path = find_checkpoint(checkpoint)
    kind = path.suffix.lower()
    if kind == ".pt2":
        raise InputError(f"{path}: .pt2 files are for other programs; give its checkpoint, or export that to .onnx")
    if kind != ".onnx":
        return load_model(path, tell)
    if not path.is_file():
        raise InputError(f"{path}: no such file; python -m ssd.export CHECKPOINT {path} writes it")
    return open_export(path, device, precision)


def load_model(path: str | Path, tell: Callable[[str], object] | None = None) -> SSD:
    """The model in a file of weights that `read_weights` reads, in evaluation mode and float32.

    tell: is called with one line if the weights are of another project.
    Raises InputError as `read_weights` does.
    """
    weights = read_weights(path)
    if tell and weights.origin:
        tell(one_line(f"{path}: {weights.origin}"))
    return network_with(weights.config, weights.state)


def was_chosen_on(checkpoint: Path, digest: str) -> bool:
    """Whether a run is known to have chosen this model by the data list of this digest: the best of its evaluations."""
    try:
        chosen_on = chosen_list(checkpoint)
    except InputError:  # an export, or weights of another project
        return False
    return chosen_on is not None and chosen_on["digest"] == digest


def find_checkpoint(name: str | Path | None = None) -> Path:
    """The path that --checkpoint refers to: "coco" is `coco_checkpoint`, None the newest run's best.

    Raises InputError where there is none.
    """
    if name is None:
        return newest_checkpoint()
    return coco_checkpoint() if name == COCO else Path(name)


def newest_checkpoint() -> Path:
    """The best checkpoint of the newest run, those with --overfit aside. Raises InputError where there is none."""
    found = oldest_first("runs", "*/best.pth")
    usable = [path for path in found if not _is_overfit(path.parent)]
    if not usable:
        but = " but of runs with --overfit" if found else ""
        raise InputError(f"no checkpoint in runs/{but}; train one with train.py, or give a path with --checkpoint")
    return usable[-1]


def _is_overfit(run: Path) -> bool:
    """Whether a run was the test of train.py --overfit, as its args.json says."""
    try:
        starts = read_json(run / "args.json", dict)["starts"]
        return any(start["arguments"].get("overfit") for start in starts)
    except (InputError, AttributeError, KeyError, TypeError):
        return False


def describe_model(checkpoint: Path, config: SSDConfig) -> dict:
    """What identifies a model, as plain data. checkpoint: its file."""
    return {
        "checkpoint": str(checkpoint.absolute()),
        "sha256": digest(checkpoint),
        "backbone": config.backbone,
        "classes": list(config.class_names),
    }


def model_line(checkpoint: Path, config: SSDConfig) -> str:
    """A model in a few words, for the terminal."""
    names = list(filter(None, config.class_names))
    classes = f"{counted(len(names), 'class', 'classes')} ({abbreviated(names)})"
    return one_line(f"{checkpoint}: SSD{config.input_size} with {config.backbone}, {classes}")


def coco_checkpoint() -> Path:
    """The path of torchvision's COCO weights of `ssd300_vgg16` as a checkpoint, beside them in PyTorch's cache.

    The first call downloads and converts them. Raises InputError where that fails.
    """
    weights = SSD300_VGG16_Weights.COCO_V1
    path = cached(weights)
    converted = path.with_name(f"{path.stem}-ssd300-v{VERSION}.pth")
    if not converted.exists():
        read = read_weights(download(weights, ALTERNATIVES), REDOWNLOAD)
        write_checkpoint(converted, read.config, read.state)
    return converted


def cached(weights: WeightsEnum) -> Path:
    """Where torchvision keeps a file of its weights API."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def download(weights: WeightsEnum, alternatives: str) -> Path:
    """The path of a file of torchvision's weights API, downloaded where it is not there yet.

    alternatives: what to do without it, the end of the sentence where the download fails, which raises InputError.
    """
    path = cached(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(weights.url, str(path), hash_prefix=path.stem.rpartition("-")[2])
        return path
    except (OSError, RuntimeError) as error:  # no network, or a file that does not have its checksum
        raise InputError(f"{path.name} cannot be downloaded ({error}); {alternatives}") from None
