"""Weights that training starts from."""

from pathlib import Path

import torch
from torchvision.models import get_model_weights

from ssd.checkpoint import read_file
from ssd.errors import InputError

ALTERNATIVES = "give a file of VGG16's weights with --weights FILE, or start without any with --weights none"


def load_base_weights(base, weights, backbone):
    """Start a `VGGBase` from ImageNet weights.

    weights: "imagenet" (torchvision's, downloaded and cached), "none" (keep the initialisation) or the path of a
    state dict of torchvision's VGG16. Raises InputError where they cannot be had or do not fit.
    """
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
