"""Our weights as torchvision's `ssd300_vgg16`, and back.

torchvision orders the priors of a cell in one way: the square, the larger square, then each ratio wide and high. The
channels of our prediction convolutions are permuted to match. It has no batch normalisation, so ours is folded into the
convolutions (`without_batch_norm`).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from math import isclose, log, sqrt

import numpy as np
import torch
from torch import Tensor

from ssd.config import VARIANCES, SSDConfig
from ssd.convert.layouts import NO_CLASS, TORCHVISION, convert
from ssd.errors import InputError
from ssd.inference.predictor import for_inference
from ssd.model.network import create_network

METADATA = "ssd300"  # the key of our config in the state dict's metadata, which PyTorch ignores

AllSizes = Sequence[Sequence[tuple[float, float]]]  # (width, height) of each prior of a cell, for each map


def without_batch_norm(config: SSDConfig, state: dict[str, Tensor]) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The config and the state dict of the `vgg16` network that predicts what this one predicts in evaluation mode.

    It is made for evaluation: a training of it goes another way than one with batch normalisation.
    """
    if config.backbone != "vgg16_bn":
        return config, state
    model = create_network(config)
    model.load_state_dict(state)
    folded = for_inference(model, "cpu", torch.float32).state_dict()
    return replace(config, backbone="vgg16"), {name: tensor.contiguous() for name, tensor in folded.items()}


def to_torchvision(config: SSDConfig, state: dict[str, Tensor]) -> OrderedDict[str, Tensor]:
    """Our state dict, without batch normalisation, as one for torchvision's `ssd300_vgg16`.

    Its metadata holds our config, so that `from_torchvision` is the exact inverse.
    Raises InputError where torchvision has no such network.
    """
    check_expressible(config)
    ordered = _permute(state, config, [torchvision_order(sizes) for sizes in config.prior_sizes])
    theirs = OrderedDict((name, ordered[ours]) for ours, name in TORCHVISION.names.items())
    theirs[TORCHVISION.scale] = theirs[TORCHVISION.scale].reshape(-1)
    metadata = OrderedDict({"": {"version": 1, METADATA: config.to_dict()}})
    theirs._metadata = metadata  # type: ignore[attr-defined]  # as `nn.Module.state_dict` does
    return theirs


def from_torchvision(theirs: dict[str, Tensor], *stored: tuple[str, ...]) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The `SSDConfig` and our state dict of torchvision's, the inverse of `to_torchvision`.

    Without our config in the metadata the priors and the normalisation are torchvision's, and 91 outputs get COCO's
    names. stored: as for `convert`. Raises ValueError on tensors that do not fit.
    """
    config, state = convert(TORCHVISION, theirs, *stored)
    fields = getattr(theirs, "_metadata", {}).get("", {}).get(METADATA)
    if fields is None:
        return config, state
    config = SSDConfig.from_dict(fields)
    orders = [torchvision_order(sizes) for sizes in config.prior_sizes]
    return config, _permute(state, config, [np.argsort(order).tolist() for order in orders])


def torchvision_order(sizes: Sequence[tuple[float, float]]) -> list[int]:
    """The indices of a cell's priors (width, height) in torchvision's order."""

    def rank(k: int) -> tuple[float, float]:
        width, height = sizes[k]
        if isclose(width, height):
            return 0, width
        return round(abs(log(width / height)), 3), width < height

    return sorted(range(len(sizes)), key=rank)


def _permute(state: dict[str, Tensor], config: SSDConfig, orders: list[list[int]]) -> dict[str, Tensor]:
    """A copy of our state dict with the priors of each map's prediction convolutions in another order."""
    permuted = dict(state)
    for kind, n_values in (("loc", 4), ("cl", config.n_classes)):
        convolutions = [name for name in TORCHVISION.names if name.startswith(f"pred_convs.{kind}_")]
        for k, name in enumerate(convolutions):  # the weight and the bias of each map
            tensor = state[name]
            priors = tensor.reshape(-1, n_values, *tensor.shape[1:])  # (priors of a cell, n_values, ...)
            permuted[name] = priors[orders[k // 2]].reshape(tensor.shape)
    return permuted


def check_expressible(config: SSDConfig) -> None:
    """Raise InputError if torchvision's `ssd300_vgg16` cannot express a config."""
    if config.backbone != "vgg16":
        raise InputError("torchvision's ssd300_vgg16 has no batch normalisation; without_batch_norm folds it")
    if config.input_size != 300:
        raise InputError("torchvision has no SSD512")
    if config.priors_per_cell != (4, 6, 6, 6, 4, 4) or config.variances != VARIANCES:
        raise InputError("torchvision's ssd300_vgg16 has 4, 6, 6, 6, 4 and 4 priors a cell and variances 0.1 and 0.2")


LINES = """\
import torch
from torchvision.models.detection import ssd300_vgg16
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
{clipped_generator}
model = ssd300_vgg16(
    weights=None, weights_backbone=None, num_classes={n_classes},
    image_mean={mean}, image_std={std},
)
model.anchor_generator = {generator}(
    {ratios},
    scales={scales},
    steps={steps},
    clip={clip},
)
{own_sizes}model.load_state_dict(torch.load({path!r}, weights_only=True))
model.eval()
names = {names}"""

CLIPPED_GENERATOR = """\
from torchvision.ops import box_convert


class ClippedBoxGenerator(DefaultBoxGenerator):  # the last cells' centres lie beyond the picture
    def forward(self, image_list, feature_maps):
        boxes = super().forward(image_list, feature_maps)
        return [box_convert(box_convert(b, "xyxy", "cxcywh").clamp(0, 300), "cxcywh", "xyxy") for b in boxes]

"""

OWN_SIZES = """\
# priors of other ratios than a generator's, as (width, height)
model.anchor_generator._wh_pairs = [torch.tensor(sizes) for sizes in {sizes}]
"""


def building_lines(config: SSDConfig, path: object) -> str:
    """Python code that builds the torchvision model of a config and loads `to_torchvision`'s state dict from `path`."""
    sizes = [[size[k] for k in torchvision_order(size)] for size in config.prior_sizes]
    ratios = [[round(width / height, 6) for width, height in size[2::2]] for size in sizes]
    scales = [size[0][0] for size in sizes]
    scales.append(sizes[-1][1][0] ** 2 / scales[-1])  # a larger square is the geometric mean of this scale and the next
    exact = _close(sizes, _generated_sizes(ratios, scales))
    clips = _clips_centres(config)
    return LINES.format(
        clipped_generator=CLIPPED_GENERATOR if clips else "",
        generator="ClippedBoxGenerator" if clips else "DefaultBoxGenerator",
        n_classes=config.n_classes,
        mean=list(config.mean),
        std=list(config.std),
        ratios=ratios,
        scales=[round(scale, 9) for scale in scales],
        steps=[round(step * config.input_size, 9) for step in config.steps],
        clip=config.clip != "none",
        own_sizes="" if exact else OWN_SIZES.format(sizes=sizes),
        path=str(path),
        names=["__background__", *(name or NO_CLASS for name in config.class_names)],
    )


def _clips_centres(config: SSDConfig) -> bool:
    """Whether a prior's centre is clipped, which `DefaultBoxGenerator` never does."""
    beyond = [(cells - 0.5) * step > 1 for cells, step in zip(config.feature_maps, config.steps, strict=True)]
    return config.clip == "all" and any(beyond)


def _generated_sizes(ratios: list[list[float]], scales: list[float]) -> AllSizes:
    """The prior sizes that `DefaultBoxGenerator` makes: six lists."""
    sizes: list[list[tuple[float, float]]] = []
    for scale, following, map_ratios in zip(scales, scales[1:], ratios, strict=False):
        sizes.append([(scale, scale), (sqrt(scale * following),) * 2])
        for ratio in map_ratios:
            wide = scale * sqrt(ratio), scale / sqrt(ratio)
            sizes[-1] += [wide, wide[::-1]]
    return sizes


def _close(sizes: AllSizes, others: AllSizes) -> bool:
    ours, theirs = (torch.tensor([size for cell in cells for size in cell]) for cells in (sizes, others))
    return torch.allclose(ours, theirs, rtol=0, atol=1e-6)
