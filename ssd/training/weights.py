"""Weights that training starts from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import torch
from torchvision.models import get_model_weights

from ssd.checkpoint import read_file
from ssd.config import BACKBONES, SSDConfig
from ssd.convert.reading import find_state, interpret, load_without_running
from ssd.errors import InputError
from ssd.model.network import MAP_CHANNELS, SSD, create_network
from ssd.model.vgg import pretrained_input
from ssd.pretrained import REDOWNLOAD, download, find_checkpoint

ALTERNATIVES = "give a file with weights of VGG16 or of an SSD, --weights FILE, or start without, --weights none"


@dataclass(frozen=True)
class NetworkOptions:
    """What can be chosen of the network to train. None: as the detector has it whose weights it gets, else the default.

    backbone: one of BACKBONES. size: of the input, one of SCALES. scales, ratios: see `SSDConfig.with_priors`.
    """

    backbone: str | None = None
    size: int | None = None
    scales: Sequence[float] | None = None
    ratios: Sequence[float] | None = None

    def of(self, class_names: Sequence[str]) -> SSDConfig:
        """The config of a new network. Raises InputError on scales or ratios that do not fit it."""
        config = SSDConfig.of_size(
            self.size or SSDConfig().input_size, class_names=tuple(class_names), backbone=self.backbone or BACKBONES[0]
        )
        return config.with_priors(self.scales, self.ratios)

    def changed(self, config: SSDConfig) -> SSDConfig:
        """The config of a trained detector with what is chosen here. Raises InputError as `of`, or on its backbone."""
        if self.backbone not in (None, config.backbone):
            raise InputError(f"its backbone is {config.backbone}; leave out --backbone {self.backbone}")
        if self.size not in (None, config.input_size):
            config = config.resized(self.size)
        return config.with_priors(self.scales, self.ratios)


def initial_model(
    class_names: Sequence[str], weights: str, network: NetworkOptions | None = None, seed: int = 0
) -> tuple[SSD, str]:
    """The `SSD` that a run starts from, and a few words on what it knows already.

    weights: "imagenet" (torchvision's VGG16, downloaded and cached), "none", "coco" (torchvision's SSD300), or a file
    with the weights of a VGG16 (`VGGBase.load_pretrained`) or of a detector (`read_weights`). The weights bring the
    settings that they were trained with: the normalisation, and a detector all of its config but the class names.
    network: what to change. seed: of whatever is initialised at random.
    Raises InputError if the weights cannot be obtained or do not fit.
    """
    torch.manual_seed(seed)
    network = network or NetworkOptions()
    if weights == "none":
        return create_network(network.of(class_names)), "random weights"
    if weights == "imagenet":
        config = network.of(class_names)  # refuses what does not fit before the download
        path = download(get_model_weights(config.backbone)["IMAGENET1K_V1"], ALTERNATIVES)
        remedy = REDOWNLOAD
    else:
        path, remedy = find_checkpoint(weights), ALTERNATIVES
    content = read_file(path, remedy, load_without_running)
    state = find_state(content)
    try:
        trained_on = pretrained_input(state)
    except ValueError:  # not a VGG16
        return _from_detector(interpret(content, path, remedy), path, class_names, network)
    config = replace(network.of(class_names), mean=trained_on["mean"], std=trained_on["std"])
    return _from_vgg16(config, state, path), f"VGG16's weights {path}"


def transfer(
    trained: SSDConfig, state: dict[str, torch.Tensor], config: SSDConfig
) -> tuple[SSD, list[str], list[str]]:  # fmt: skip
    """A new model that keeps what a trained detector of other classes or priors knows.

    trained, state: of the detector. config: of the new model, with the same backbone.
    The model has all of the detector's tensors, except for class scores: those of the background and of classes with
    the same name are kept, those of new classes stay at their initial values. So do layers that the detector lacks, and
    the prediction layers of maps whose priors have other shapes.
    Returns the model, the names of the new classes, and those of the layers that stay at their initial values.
    """
    old_names, new_names = ("background", *trained.class_names), ("background", *config.class_names)
    model = create_network(config)
    kept = [name for name in new_names if name in old_names]
    old, new = (torch.tensor([names.index(name) for name in kept]) for names in (old_names, new_names))
    restarting = tuple(
        f"pred_convs.{kind}_{name}." for kind in ("loc", "cl") for name in reshaped_maps(trained, config)
    )
    restarted = []
    for name, tensor in model.state_dict().items():
        if name not in state or name.startswith(restarting):
            restarted.append(name.partition(".")[2].rpartition(".")[0])
        elif name.startswith("pred_convs.cl_"):
            by_class = tensor.unflatten(0, (-1, len(new_names)))  # (n_priors, n_classes, ...)
            by_class[:, new] = state[name].unflatten(0, (-1, len(old_names)))[:, old]
        else:
            tensor.copy_(state[name])
    return model, [name for name in config.class_names if name not in old_names], list(dict.fromkeys(restarted))


def reshaped_maps(trained: SSDConfig, config: SSDConfig) -> list[str]:
    """The maps of a config whose priors have other ratios, or another order, than in `trained`, or which that lacks."""
    old, new = ([[round(w / h, 2) for w, h in sizes] for sizes in each.prior_sizes] for each in (trained, config))
    return [name for name, before, after in zip_longest(MAP_CHANNELS, old, new) if after and before != after]


def _from_vgg16(config, state, path: str | Path):
    model = create_network(config)
    try:
        model.base.load_pretrained(state)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    return model


def _from_detector(weights, path, class_names, network):
    try:
        config = network.changed(weights.config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    model, new_classes, layers = transfer(
        weights.config, weights.state, replace(config, class_names=tuple(class_names))
    )
    origin = f" ({weights.origin})" if weights.origin else ""
    parts = [f"the scores of {', '.join(new_classes)}"] if new_classes else []
    parts += [f"the layers {', '.join(layers)}"] if layers else []
    missing = f", except for {' and '.join(parts)}, which start at random" if parts else ""
    return model, f"the detector {path}{origin}{missing}"
