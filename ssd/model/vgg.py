"""VGG16 as SSD's base network (paper, section 3, "Base network"), and convolutions by name."""

import torch
import torch.nn.functional as F
from torch import nn

from ssd.config import CAFFE_INPUT, IMAGENET_INPUT

# The channels of VGG16's five stages; each stage but the last is followed by a 2 x 2 pooling.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
# The places of conv1_1 to conv7 in one `nn.Sequential` of VGG16, between its ReLUs and poolings.
SEQUENTIAL = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28, 31, 33)


class NamedConvolutions(nn.Module):
    """Convolutions under the paper's names (`conv1_1`), each with its batch normalisation (`bn1_1`) where wanted."""

    def add(self, name, n_in, n_out, kernel_size, batch_norm=False, **options):
        """Add convolution `name`; `options` as for `nn.Conv2d`."""
        self.add_module(name, nn.Conv2d(n_in, n_out, kernel_size, **options))
        if batch_norm:
            self.add_module(name.replace("conv", "bn"), nn.BatchNorm2d(n_out))

    def relu(self, name, x):
        """ReLU of convolution `name` of x, batch-normalised in between where it has one."""
        x = self.get_submodule(name)(x)
        norm = self._modules.get(name.replace("conv", "bn"))
        return F.relu(x if norm is None else norm(x), inplace=True)


class VGGBase(NamedConvolutions):
    """VGG16 through conv7: fc6 and fc7 are the atrous conv6 and the 1 x 1 conv7, pool5 keeps its map's size."""

    def __init__(self, batch_norm=False):
        super().__init__()
        self.stages = []
        n_in = 3
        for stage, channels in enumerate(STAGES, start=1):
            self.stages.append([f"conv{stage}_{k}" for k in range(1, len(channels) + 1)])
            for name, n_out in zip(self.stages[-1], channels, strict=True):
                self.add(name, n_in, n_out, 3, batch_norm, padding=1)
                n_in = n_out
        self.add("conv6", 512, 1024, 3, batch_norm, padding=6, dilation=6)
        self.add("conv7", 1024, 1024, 1, batch_norm)

    def forward(self, images):
        """Images (N, 3, 300, 300) -> the maps of conv4_3 (N, 512, 38, 38) and conv7 (N, 1024, 19, 19)."""
        x = images
        for stage, names in enumerate(self.stages, start=1):
            for name in names:
                x = self.relu(name, x)
            if stage == 4:
                conv4_3 = x
            if stage < 5:
                x = F.max_pool2d(x, 2, ceil_mode=stage == 3)  # 300, 150, 75, 38 and 19 cells a side
        x = F.max_pool2d(x, 3, stride=1, padding=1)
        return conv4_3, self.relu("conv7", self.relu("conv6", x))

    def load_pretrained(self, weights):
        """Take over an ImageNet classifier's weights.

        weights: a state dict of `vgg16_reducedfc`, or of torchvision's `vgg16` (or `vgg16_bn`), of which `reduce_fc`
        makes conv6 and conv7. The batch normalisation of those two, which the classifier lacks, keeps its initial
        values. `pretrained_input` tells which normalisation of the input belongs to them.
        Raises ValueError on a state dict of another network.
        """
        own = _learnt(self.state_dict())
        networks = "torchvision's vgg16_bn" if "bn1_1.weight" in own else "torchvision's vgg16 or of vgg16_reducedfc"
        try:
            loaded = _reducedfc(own, weights) if is_reducedfc(weights) else _classifier(own, weights)
            self.load_state_dict(own | loaded)
        except (AttributeError, KeyError, ValueError, RuntimeError):
            raise ValueError(f"not the weights of {networks}") from None
        if bad := [name for name, tensor in loaded.items() if not tensor.isfinite().all()]:
            raise ValueError(f"holds no numbers for {bad[0]} (torchvision's file of VGG16's features alone is such)")


def is_reducedfc(weights):
    """Whether a state dict has the names of `vgg16_reducedfc`: one `nn.Sequential`, fc6 and fc7 reduced already."""
    return f"{SEQUENTIAL[-1]}.weight" in weights


def pretrained_input(weights):
    """The `SSDConfig` fields mean and std, as a dict, of the pictures that a state dict of VGG16 was trained on.

    weights: as for `VGGBase.load_pretrained`. Raises ValueError on the names of another network.
    """
    names = weights if isinstance(weights, dict) else {}
    if is_reducedfc(names):
        return CAFFE_INPUT  # RGB of 0-255 less 123, 117, 104
    if "features.0.weight" in names:
        return IMAGENET_INPUT
    raise ValueError("not the weights of torchvision's VGG16 or of vgg16_reducedfc")


def _reducedfc(own, weights):
    theirs = [f"{place}.{kind}" for place in SEQUENTIAL for kind in ("weight", "bias")]
    if set(theirs) != set(weights):
        raise ValueError("another network")
    return dict(zip(own, (weights[name] for name in theirs), strict=True))


def _classifier(own, weights):
    copied = [name for name in own if not name.startswith(("conv6", "conv7", "bn6", "bn7"))]
    features = [tensor for name, tensor in _learnt(weights).items() if name.startswith("features.")]
    return dict(zip(copied, features, strict=True)) | reduce_fc(weights)


def reduce_fc(weights):
    """conv6 and conv7 of torchvision's VGG16, by decimation (`decimate`).

    fc6 (4096, 512, 7, 7) becomes conv6 (1024, 512, 3, 3), fc7 (4096, 4096, 1, 1) becomes conv7 (1024, 1024, 1, 1).
    """
    return {
        "conv6.weight": decimate(weights["classifier.0.weight"].view(4096, 512, 7, 7), (4, 1, 3, 3)),
        "conv6.bias": decimate(weights["classifier.0.bias"], (4,)),
        "conv7.weight": decimate(weights["classifier.3.weight"].view(4096, 4096, 1, 1), (4, 4, 1, 1)),
        "conv7.bias": decimate(weights["classifier.3.bias"], (4,)),
    }


def _learnt(state):
    """A state dict less the counts of batches, which files of weights from before they existed lack."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def decimate(tensor, steps):
    """Keep every `steps[d]`-th value along each dimension d, from the first (DeepLab's à trous subsampling)."""
    for dimension, step in enumerate(steps):
        tensor = tensor.index_select(dimension, torch.arange(0, tensor.shape[dimension], step))
    return tensor
