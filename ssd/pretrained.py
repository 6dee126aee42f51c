"""torchvision's own COCO weights as our checkpoint, for a first day without a trained model."""

from pathlib import Path

import torch
from torchvision.models.detection import SSD300_VGG16_Weights

from ssd.checkpoint import VERSION, load_checkpoint, write_checkpoint
from ssd.convert.reading import read_weights
from ssd.errors import InputError
from ssd.export.engines import OnnxModel, Pt2Model

COCO = "coco"
CHECKPOINT_HELP = (
    "trained model, or its export (.onnx, .pt2); coco: torchvision's for COCO, downloaded "
    "(default: the newest runs/*/best.pth)"
)
ALTERNATIVES = (
    f"get {SSD300_VGG16_Weights.COCO_V1.url} elsewhere and convert it with python -m ssd.convert, or give a model that "
    "train.py made"
)
REDOWNLOAD = "delete it to have it downloaded again"


def find_checkpoint(name=None):
    """The path that an argument --checkpoint means: "coco" is `coco_checkpoint`, none the newest run's best.

    Raises InputError where there is none.
    """
    if name is None:
        return newest_checkpoint()
    return coco_checkpoint() if name == COCO else name


def coco_checkpoint():
    """The path of torchvision's COCO weights of `ssd300_vgg16` as a checkpoint, beside them in PyTorch's cache.

    They are downloaded and converted where that has not been done. Raises InputError where it cannot be.
    """
    weights = SSD300_VGG16_Weights.COCO_V1
    path = cached(weights)
    converted = path.with_name(f"{path.stem}-ssd300-v{VERSION}.pth")
    if not converted.exists():
        write_checkpoint(converted, *read_weights(download(weights, ALTERNATIVES), REDOWNLOAD))
    return converted


def cached(weights):
    """Where torchvision keeps a file of its weights API."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def download(weights, alternatives):
    """The path of a file of torchvision's weights API; it is downloaded where it is not there yet.

    Raises InputError where it cannot be; alternatives: the end of its sentence, what to do.
    """
    path = cached(weights)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(weights.url, path, hash_prefix=path.stem.rpartition("-")[2])
        return path
    except (OSError, RuntimeError) as error:  # no network, or a file that does not have its checksum
        raise InputError(f"{path.name} cannot be downloaded ({error}); {alternatives}") from None


def newest_checkpoint():
    """The best checkpoint of the newest run. Raises InputError where there is none."""
    found = sorted(Path("runs").glob("*/best.pth"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError("no checkpoint in runs/; train.py makes one, --checkpoint names one elsewhere")
    return found[-1]


def load_trained(path, device=None, precision="auto"):
    """The `SSD300` of a checkpoint, or the exported model of a file that ends in .onnx or .pt2.

    An exported model is used as an `ssd.inference.predictor.Predictor` is.
    device, precision: as for `Detector`; an exported model is on its device already, in float32.
    Raises InputError where the file is missing, damaged, not of this project, or cannot be run like that.
    """
    kind = {".onnx": OnnxModel, ".pt2": Pt2Model}.get(Path(path).suffix.lower())
    if kind is None:
        return load_checkpoint(path)
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file; python -m ssd.export CHECKPOINT {path} writes it")
    if precision not in ("auto", "fp32"):
        raise InputError(f"{path}: an exported model computes in fp32, --precision {precision} needs the checkpoint")
    return kind(path, device)
