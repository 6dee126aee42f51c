"""Weights that training starts from."""

from pathlib import Path

import torch
from torchvision.models import get_model_weights

from ssd.checkpoint import is_checkpoint, load_checkpoint, read_file
from ssd.config import SSDConfig
from ssd.errors import InputError
from ssd.model import SSD300
from ssd.training.transfer import transfer

ALTERNATIVES = "give a file of VGG16's weights with --weights FILE, or start without any with --weights none"


def initial_model(class_names, weights, backbone=None, seed=0):
    """The `SSD300` that a run starts from, and a sentence on what it knows already.

    weights: "imagenet" (torchvision's, downloaded and cached), "none", or the path of a state dict of torchvision's
    VGG16 or of a checkpoint of ours; a checkpoint brings its config, all but the class names. backbone: "vgg16" (the
    default) or "vgg16_bn". seed: of what is initialised at random.
    Raises InputError where the weights cannot be had or do not fit.
    """
    torch.manual_seed(seed)
    if weights in ("imagenet", "none") or not is_checkpoint(weights):
        model = SSD300(SSDConfig(class_names=class_names, backbone=backbone or "vgg16"))
        load_base_weights(model.base, weights, model.config.backbone)
        return model, "random weights" if weights == "none" else f"VGG16's ImageNet weights ({weights})"
    detector = load_checkpoint(weights)
    if backbone not in (None, detector.config.backbone):
        raise InputError(f"{weights}: its backbone is {detector.config.backbone}; leave out --backbone {backbone}")
    model, new = transfer(detector, class_names)
    learns = f"the scores of {', '.join(new)}, which start at random" if new else "nothing, its classes are the same"
    return model, f"the detector {weights}, all of it but for {learns}"


def load_base_weights(base, weights, backbone):
    """Start a `VGGBase` from ImageNet weights, as `initial_model` does."""
    if weights == "none":
        return
    if weights == "imagenet":
        weights = _download(backbone)
        state = read_file(weights, "delete it to have it downloaded again")
    else:
        state = read_file(weights, ALTERNATIVES)
    try:
        base.load_pretrained(state)
    except ValueError as error:
        raise InputError(f"{weights}: {error}") from None


def _download(backbone):
    """The path of torchvision's file in PyTorch's cache; it is downloaded where it is not there yet."""
    url = get_model_weights(backbone)["IMAGENET1K_V1"].url
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            torch.hub.download_url_to_file(url, path, hash_prefix=path.stem.rpartition("-")[2])
        return path
    except (OSError, RuntimeError) as error:  # no network, or a file that does not have its checksum
        raise InputError(f"the ImageNet weights cannot be downloaded ({error}); {ALTERNATIVES}") from None
