"""VGG16 as SSD's base network (paper, section 3, "Base network"), and the convolution that SSD is made of."""

from collections.abc import Mapping
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from ssd.config import CAFFE_INPUT, IMAGENET_INPUT, RGB

BATCH_COUNTER = "num_batches_tracked"  # a buffer of batch normalisation that older files lack


class Convolution(nn.Conv2d):
    """A convolution, batch normalisation if it has one (`norm`), and a ReLU."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        batch_norm: bool = False,
    ):
        super().__init__(n_in, n_out, kernel_size, stride, padding, dilation)
        self.norm = nn.BatchNorm2d(n_out) if batch_norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, height, width) -> (N, n_out, height, width), smaller with a stride or without padding."""
        return F.relu(self.norm(super().forward(x)), inplace=True)

    def fold_norm(self) -> None:
        """Make batch normalisation, with the statistics it has gathered, part of the weights. For evaluation mode."""
        if not isinstance(self.norm, nn.Identity):
            folded = fuse_conv_bn_eval(self, self.norm)
            self.weight, self.bias, self.norm = folded.weight, folded.bias, nn.Identity()


class VGGBase(nn.Module):
    """VGG16 through conv7: fc6 and fc7 become the atrous conv6 and the 1 x 1 conv7, and pool5 keeps its map's size."""

    def __init__(self, batch_norm: bool = False):
        super().__init__()
        conv = partial(Convolution, batch_norm=batch_norm)
        self.conv1_1 = conv(3, 64, 3, padding=1)
        self.conv1_2 = conv(64, 64, 3, padding=1)
        self.conv2_1 = conv(64, 128, 3, padding=1)
        self.conv2_2 = conv(128, 128, 3, padding=1)
        self.conv3_1 = conv(128, 256, 3, padding=1)
        self.conv3_2 = conv(256, 256, 3, padding=1)
        self.conv3_3 = conv(256, 256, 3, padding=1)
        self.conv4_1 = conv(256, 512, 3, padding=1)
        self.conv4_2 = conv(512, 512, 3, padding=1)
        self.conv4_3 = conv(512, 512, 3, padding=1)
        self.conv5_1 = conv(512, 512, 3, padding=1)
        self.conv5_2 = conv(512, 512, 3, padding=1)
        self.conv5_3 = conv(512, 512, 3, padding=1)
        self.conv6 = conv(512, 1024, 3, padding=6, dilation=6)
        self.conv7 = conv(1024, 1024, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, 300, 300) -> the maps of conv4_3 (N, 512, 38, 38) and conv7 (N, 1024, 19, 19)."""
        x = self.conv1_2(self.conv1_1(images))  # (N, 64, 300, 300)
        x = F.max_pool2d(x, 2)
        x = self.conv2_2(self.conv2_1(x))  # (N, 128, 150, 150)
        x = F.max_pool2d(x, 2)
        x = self.conv3_3(self.conv3_2(self.conv3_1(x)))  # (N, 256, 75, 75)
        x = F.max_pool2d(x, 2, ceil_mode=True)
        conv4_3 = self.conv4_3(self.conv4_2(self.conv4_1(x)))  # (N, 512, 38, 38)
        x = F.max_pool2d(conv4_3, 2)
        x = self.conv5_3(self.conv5_2(self.conv5_1(x)))  # (N, 512, 19, 19)
        x = F.max_pool2d(x, 3, stride=1, padding=1)
        return conv4_3, self.conv7(self.conv6(x))

    def load_pretrained(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights of an ImageNet classifier.

        weights: a state dict of `vgg16_reducedfc`, or of torchvision's `vgg16` (or `vgg16_bn`), whose fully connected
        layers `reduce_fc` turns into conv6 and conv7. The classifier has no batch normalisation for those two: theirs
        keeps its initial values. `pretrained_input` returns the normalisation of the input that the weights expect.
        Raises ValueError if they are the weights of another network, or not finite.
        """
        own = {name: tensor for name, tensor in self.state_dict().items() if not name.endswith(BATCH_COUNTER)}
        copied = [name for name in own if not name.startswith(("conv6.norm", "conv7.norm"))]
        try:
            loaded = dict(zip(copied, _from_conv1_1_to_conv7(weights), strict=True))
            self.load_state_dict(own | loaded)
        except (AttributeError, KeyError, ValueError, RuntimeError):
            plain = isinstance(self.conv1_1.norm, nn.Identity)
            networks = "torchvision's vgg16 or of vgg16_reducedfc" if plain else "torchvision's vgg16_bn"
            raise ValueError(f"not the weights of {networks}") from None
        if bad := [name for name, tensor in loaded.items() if not tensor.isfinite().all()]:
            raise ValueError(f"{bad[0]} is not finite, as in torchvision's file of VGG16's features alone")


def pretrained_input(weights: object) -> dict[str, RGB]:
    """The `SSDConfig` fields mean and std of the pictures that a VGG16 was trained on.

    weights: as for `VGGBase.load_pretrained`. Raises ValueError if they are the weights of another network.
    """
    names = weights if isinstance(weights, dict) else {}
    if _is_reducedfc(names):
        return CAFFE_INPUT
    if "features.0.weight" in names:
        return IMAGENET_INPUT
    raise ValueError("not the weights of torchvision's VGG16 or of vgg16_reducedfc")


def _is_reducedfc(weights: Mapping[str, Tensor]) -> bool:
    """Whether weights have the names of `vgg16_reducedfc`: one `nn.Sequential`, in which conv7 is the layer 33."""
    return "33.weight" in weights


def _from_conv1_1_to_conv7(weights: Mapping[str, Tensor]) -> list[Tensor]:
    if _is_reducedfc(weights):
        return list(weights.values())
    features = [
        tensor for name, tensor in weights.items() if name.startswith("features") and not name.endswith(BATCH_COUNTER)
    ]
    return [*features, *reduce_fc(weights)]


def reduce_fc(weights: Mapping[str, Tensor]) -> list[Tensor]:
    """conv6's weight and bias, and conv7's, from the fully connected layers of torchvision's VGG16.

    fc6 (4096, 512 * 7 * 7) becomes conv6 (1024, 512, 3, 3), fc7 (4096, 4096) becomes conv7 (1024, 1024, 1, 1) by
    subsampling (DeepLab's à trous): every fourth output, every third row and column, for conv7 every fourth input.
    """
    fc6 = weights["classifier.0.weight"].view(4096, 512, 7, 7)
    fc7 = weights["classifier.3.weight"].view(4096, 4096, 1, 1)
    biases = weights["classifier.0.bias"], weights["classifier.3.bias"]
    return [fc6[::4, :, ::3, ::3], biases[0][::4], fc7[::4, ::4], biases[1][::4]]
