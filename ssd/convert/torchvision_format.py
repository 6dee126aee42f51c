"""Our checkpoints as torchvision's `ssd300_vgg16`, and back.

torchvision has the priors of a cell in one order: the square, the larger square, then each ratio wide and high. The
channels of the prediction convolutions are permuted to it.
"""

from collections import OrderedDict
from math import isclose, log, sqrt

import torch

from ssd.config import VARIANCES, SSDConfig
from ssd.convert.layouts import NO_CLASS, TORCHVISION, convert
from ssd.errors import InputError

METADATA = "ssd300"  # beside the version of the layout in a state dict's metadata, which PyTorch passes over


def to_torchvision(config, state):
    """A state dict for torchvision's `ssd300_vgg16`, whose tensors are those of ours in its order.

    The config goes with it in the metadata of the state dict, so that `from_torchvision` undoes this bit for bit.
    Raises InputError where torchvision has no such network.
    """
    check_expressible(config)
    ordered = _permute(state, config, [torchvision_order(sizes) for sizes in config.prior_sizes])
    theirs = OrderedDict((name, ordered[ours]) for ours, name in TORCHVISION.names.items())
    theirs[TORCHVISION.scale] = theirs[TORCHVISION.scale].reshape(-1)
    theirs._metadata = OrderedDict({"": {"version": 1, METADATA: config.to_dict()}})
    return theirs


def from_torchvision(theirs):
    """The `SSDConfig` and our state dict of torchvision's, the inverse of `to_torchvision`.

    Without our config in the metadata, torchvision's own priors and normalisation, and COCO's names for 91 outputs.
    Raises ValueError on tensors that do not fit.
    """
    config, state = convert(TORCHVISION, theirs)
    fields = getattr(theirs, "_metadata", {}).get("", {}).get(METADATA)
    if fields is None:
        return config, state
    config = SSDConfig.from_dict(fields)
    orders = [torchvision_order(sizes) for sizes in config.prior_sizes]
    return config, _permute(state, config, [sorted(range(len(order)), key=order.__getitem__) for order in orders])


def torchvision_order(sizes):
    """The places of a cell's priors (width, height) in torchvision's order."""

    def rank(k):
        width, height = sizes[k]
        if isclose(width, height):
            return 0, width
        return round(abs(log(width / height)), 3), width < height

    return sorted(range(len(sizes)), key=rank)


def _permute(state, config, orders):
    """A copy of our state dict in which the priors of each map's prediction convolutions have another order."""
    permuted = dict(state)
    for kind, n_values in (("loc", 4), ("cl", config.n_classes)):
        convolutions = [name for name in TORCHVISION.names if name.startswith(f"pred_convs.{kind}_")]
        for k, name in enumerate(convolutions):  # the weight and the bias of each map
            tensor = state[name]
            priors = tensor.reshape(-1, n_values, *tensor.shape[1:])  # (priors of a cell, n_values, ...)
            permuted[name] = priors[orders[k // 2]].reshape(tensor.shape)
    return permuted


def check_expressible(config):
    """Raises InputError where torchvision's `ssd300_vgg16` has no network for a config."""
    if config.backbone != "vgg16":
        raise InputError(f"torchvision's ssd300_vgg16 has no batch normalisation, which {config.backbone} has")
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


def building_lines(config, path):
    """Python that builds the torchvision model of a config and loads `to_torchvision`'s state dict from `path`."""
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


def _clips_centres(config):
    """Whether a prior's centre is clipped: `DefaultBoxGenerator` clips widths and heights alone."""
    beyond = [(cells - 0.5) * step > 1 for cells, step in zip(config.feature_maps, config.steps, strict=True)]
    return config.clip == "all" and any(beyond)


def _generated_sizes(ratios, scales):
    """The (width, height) that `DefaultBoxGenerator` makes: six lists."""
    sizes = []
    for scale, following, map_ratios in zip(scales, scales[1:], ratios, strict=False):
        sizes.append([(scale, scale), (sqrt(scale * following),) * 2])
        for ratio in map_ratios:
            wide = scale * sqrt(ratio), scale / sqrt(ratio)
            sizes[-1] += [wide, wide[::-1]]
    return sizes


def _close(sizes, others):
    pairs = zip(torch.tensor(sum(sizes, [])), torch.tensor(sum(others, [])), strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=1e-6) for a, b in pairs)
