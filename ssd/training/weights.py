"""Weights that training starts from."""

from dataclasses import replace

import torch
from torchvision.models import get_model_weights

from ssd.checkpoint import read_file
from ssd.config import SSDConfig
from ssd.convert.reading import find_state, interpret, load_without_running
from ssd.errors import InputError
from ssd.model.network import SSD300
from ssd.model.vgg import pretrained_input
from ssd.pretrained import REDOWNLOAD, download, find_checkpoint
from ssd.training.transfer import transfer

ALTERNATIVES = (
    "give a file of weights, of VGG16 or of an SSD300, with --weights FILE, or start without any with --weights none"
)


def initial_model(class_names, weights, backbone=None, seed=0):
    """The `SSD300` that a run starts from, and a few words on what it knows already.

    weights: "imagenet" (torchvision's VGG16, downloaded and cached), "none", "coco" (torchvision's SSD300), or a file
    of VGG16's weights (`VGGBase.load_pretrained`) or of a detector's (`read_weights`). What the weights were trained
    with comes along: the normalisation, and of a detector its whole config but for the class names.
    backbone: "vgg16" (the default) or "vgg16_bn". seed: of what is initialised at random.
    Raises InputError where the weights cannot be had or do not fit.
    """
    torch.manual_seed(seed)
    config = SSDConfig(class_names=class_names, backbone=backbone or "vgg16")
    if weights == "none":
        return SSD300(config), "random weights"
    if weights == "imagenet":
        path, remedy = download(get_model_weights(config.backbone)["IMAGENET1K_V1"], ALTERNATIVES), REDOWNLOAD
    else:
        path, remedy = find_checkpoint(weights), ALTERNATIVES
    content = read_file(path, remedy, load_without_running)
    state = find_state(content)
    try:
        config = replace(config, **pretrained_input(state))
    except ValueError:  # no VGG16
        _, trained, state = interpret(content, path, remedy)
        return _from_detector(trained, state, path, class_names, backbone)
    return _from_vgg16(config, state, path), f"VGG16's weights {path}"


def _from_vgg16(config, state, path):
    model = SSD300(config)
    try:
        model.base.load_pretrained(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return model


def _from_detector(config, state, path, class_names, backbone):
    if backbone not in (None, config.backbone):
        raise InputError(f"{path}: its backbone is {config.backbone}; leave out --backbone {backbone}")
    model, new = transfer(config, state, class_names)
    missing = f", but for the scores of {', '.join(new)}, which start at random" if new else ""
    return model, f"the detector {path}{missing}"
