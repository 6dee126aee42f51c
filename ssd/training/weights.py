"""Weights that training starts from."""

from torchvision.models import get_model_weights

from ssd.checkpoint import read_file
from ssd.errors import InputError

ALTERNATIVES = "give a file of them with --weights FILE, or start without any with --weights none"


def load_base_weights(base, weights, backbone):
    """Start a `VGGBase` from ImageNet weights.

    weights: "imagenet" (torchvision's, downloaded and cached), "none" (keep the initialisation) or the path of a
    state dict of torchvision's VGG16. Raises InputError where they cannot be had or do not fit.
    """
    if weights == "none":
        return
    state = _download(backbone) if weights == "imagenet" else read_file(weights)
    try:
        base.load_pretrained(state)
    except ValueError as error:
        raise InputError(f"{weights}: {error}") from None


def _download(backbone):
    try:
        return get_model_weights(backbone)["IMAGENET1K_V1"].get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:  # no network, or a file that does not have its checksum
        raise InputError(f"the ImageNet weights cannot be downloaded ({error}); {ALTERNATIVES}") from None
