"""Weights that training starts from."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torchvision.models import get_model_weights

from ssd.checkpoint import read_file
from ssd.config import SSDConfig
from ssd.convert.reading import find_state, interpret, load_without_running
from ssd.errors import InputError
from ssd.model.network import SSD, create_network
from ssd.model.vgg import pretrained_input
from ssd.pretrained import REDOWNLOAD, download, find_checkpoint

ALTERNATIVES = "give a file with weights of VGG16 or of an SSD, --weights FILE, or start without, --weights none"


def initial_model(
    class_names: Sequence[str], weights: str, backbone: str | None = None, seed: int = 0, size: int | None = None
) -> tuple[SSD, str]:
    """The `SSD` that a run starts from, and a few words on what it knows already.

    weights: "imagenet" (torchvision's VGG16, downloaded and cached), "none", "coco" (torchvision's SSD300), or a file
    with the weights of a VGG16 (`VGGBase.load_pretrained`) or of a detector (`read_weights`). The weights bring the
    settings that they were trained with: the normalisation, and a detector all of its config but the class names.
    backbone: "vgg16" (the default) or "vgg16_bn". seed: of whatever is initialised at random. size: of the input, one
    of SCALES (the default is 300).
    Raises InputError if the weights cannot be obtained or do not fit.
    """
    torch.manual_seed(seed)
    config = SSDConfig.of_size(size or 300, class_names=tuple(class_names), backbone=backbone or "vgg16")
    if weights == "none":
        return create_network(config), "random weights"
    if weights == "imagenet":
        path, remedy = download(get_model_weights(config.backbone)["IMAGENET1K_V1"], ALTERNATIVES), REDOWNLOAD
    else:
        path, remedy = find_checkpoint(weights), ALTERNATIVES
    content = read_file(path, remedy, load_without_running)
    state = find_state(content)
    try:
        trained_on = pretrained_input(state)
    except ValueError:  # not a VGG16
        return _from_detector(interpret(content, path, remedy), path, class_names, backbone, size)
    config = replace(config, mean=trained_on["mean"], std=trained_on["std"])
    return _from_vgg16(config, state, path), f"VGG16's weights {path}"


def transfer(
    config: SSDConfig, state: dict[str, torch.Tensor], class_names: Sequence[str]
) -> tuple[SSD, list[str]]:  # fmt: skip
    """A new model for `class_names` that keeps what a trained detector of other classes knows.

    config, state: of the trained `SSD`. The new model has its config (priors, normalisation, backbone) except for
    the class names, and all its tensors except for class scores: those of the background and of classes with the same
    name are kept, those of new classes stay at their initial values.
    Returns the model and the names of the new classes.
    """
    old_names, new_names = ("background", *config.class_names), ("background", *class_names)
    model = create_network(replace(config, class_names=tuple(class_names)))
    kept = [name for name in new_names if name in old_names]
    old, new = (torch.tensor([names.index(name) for name in kept]) for names in (old_names, new_names))
    for name, tensor in model.state_dict().items():
        if name.startswith("pred_convs.cl_"):
            by_class = tensor.unflatten(0, (-1, len(new_names)))  # (n_priors, n_classes, ...)
            by_class[:, new] = state[name].unflatten(0, (-1, len(old_names)))[:, old]
        else:
            tensor.copy_(state[name])
    return model, [name for name in class_names if name not in old_names]


def _from_vgg16(config, state, path: str | Path):
    model = create_network(config)
    try:
        model.base.load_pretrained(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return model


def _from_detector(weights, path, class_names, backbone, size):
    config = weights.config
    for option, given, own in (("backbone", backbone, config.backbone), ("size", size, config.input_size)):
        if given not in (None, own):
            raise InputError(f"{path}: its {option} is {own}; leave out --{option} {given}")
    model, new = transfer(config, weights.state, class_names)
    origin = f" ({weights.origin})" if weights.origin else ""
    missing = f", except for the scores of {', '.join(new)}, which start at random" if new else ""
    return model, f"the detector {path}{origin}{missing}"
