"""VGG16 as SSD's base network (paper, section 3, "Base network"), and convolutions by name."""

import torch
import torch.nn.functional as F
from torch import nn

# The channels of VGG16's five stages; each stage but the last is followed by a 2 x 2 pooling.
STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


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
        """Take over an ImageNet classifier's weights: a state dict of torchvision's `vgg16` (or `vgg16_bn`).

        fc6 (4096, 512, 7, 7) becomes conv6 (1024, 512, 3, 3) and fc7 (4096, 4096, 1, 1) becomes conv7
        (1024, 1024, 1, 1) by decimation (`decimate`). The batch normalisation of conv6 and conv7, which the
        classifier lacks, keeps its initial values.
        Raises ValueError on a state dict of another network.
        """
        own = _learnt(self.state_dict())
        copied = [name for name in own if not name.startswith(("conv6", "conv7", "bn6", "bn7"))]
        try:
            features = [tensor for name, tensor in _learnt(weights).items() if name.startswith("features.")]
            loaded = dict(zip(copied, features, strict=True))
            loaded["conv6.weight"] = decimate(weights["classifier.0.weight"].view(4096, 512, 7, 7), (4, 1, 3, 3))
            loaded["conv6.bias"] = decimate(weights["classifier.0.bias"], (4,))
            loaded["conv7.weight"] = decimate(weights["classifier.3.weight"].view(4096, 4096, 1, 1), (4, 4, 1, 1))
            loaded["conv7.bias"] = decimate(weights["classifier.3.bias"], (4,))
            self.load_state_dict(own | loaded)
        except (AttributeError, KeyError, ValueError, RuntimeError):
            network = "vgg16_bn" if "bn1_1.weight" in own else "vgg16"
            raise ValueError(f"not the weights of torchvision's {network}") from None


def _learnt(state):
    """A state dict less the counts of batches, which files of weights from before they existed lack."""
    return {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}


def decimate(tensor, steps):
    """Keep every `steps[d]`-th value along each dimension d, from the first (DeepLab's à trous subsampling)."""
    for dimension, step in enumerate(steps):
        tensor = tensor.index_select(dimension, torch.arange(0, tensor.shape[dimension], step))
    return tensor
