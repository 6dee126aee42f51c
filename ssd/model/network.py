"""The networks SSD300 and SSD512 (paper, figure 2 and section 3).

In all of this folder, `locs` are predicted offsets, to be decoded by the priors, and `scores` of a network are logits.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssd.config import SSDConfig
from ssd.model.postprocess import Detected, detect_objects
from ssd.model.priors import create_prior_boxes
from ssd.model.vgg import Convolution, VGGBase

# The maps that predict, and their channels. SSD300 has the first six.
MAP_CHANNELS = {
    "conv4_3": 512, "conv7": 1024, "conv8_2": 512, "conv9_2": 256, "conv10_2": 256, "conv11_2": 256, "conv12_2": 256,
}  # fmt: skip


class AuxiliaryConvolutions(nn.Module):
    """conv8_1, conv8_2, conv9_1, ...: pairs of convolutions after conv7, each of which makes a smaller map.

    The last one never has batch normalisation: its map is a single cell, so a batch of one image has no variance there.

    n_maps: number of the maps that predict, conv4_3's and conv7's included: 6 for SSD300, 7 for SSD512.
    """

    def __init__(self, n_maps: int = 6, batch_norm: bool = False):
        super().__init__()
        conv = partial(Convolution, batch_norm=batch_norm)
        self.conv8_1 = conv(1024, 256, 1)
        self.conv8_2 = conv(256, 512, 3, stride=2, padding=1)
        self.conv9_1 = conv(512, 128, 1)
        self.conv9_2 = conv(128, 256, 3, stride=2, padding=1)
        self.conv10_1 = conv(256, 128, 1)
        if n_maps == 6:
            self.conv10_2 = conv(128, 256, 3)
            self.conv11_1 = conv(256, 128, 1)
            self.conv11_2 = Convolution(128, 256, 3)
        else:
            self.conv10_2 = conv(128, 256, 3, stride=2, padding=1)
            self.conv11_1 = conv(256, 128, 1)
            self.conv11_2 = conv(128, 256, 3, stride=2, padding=1)
            self.conv12_1 = conv(256, 128, 1)
            self.conv12_2 = Convolution(128, 256, 4, padding=1)

    def forward(self, conv7: Tensor) -> list[Tensor]:
        """conv7's map (N, 1024, 19, 19) -> the maps of conv8_2 (N, 512, 10, 10), conv9_2 (N, 256, 5, 5), ..."""
        maps, x = [], conv7
        for name, convolution in self.named_children():
            x = convolution(x)
            if name.endswith("_2"):
                maps.append(x)
        return maps


class PredictionConvolutions(nn.Module):
    """For each map, a 3 x 3 convolution for the offsets of its priors (`loc_...`) and one for the scores (`cl_...`)."""

    def __init__(self, n_classes: int, priors_per_cell: Sequence[int]):
        super().__init__()
        self.n_classes = n_classes
        for (name, channels), n_priors in zip(MAP_CHANNELS.items(), priors_per_cell, strict=False):
            self.add_module(f"loc_{name}", nn.Conv2d(channels, n_priors * 4, 3, padding=1))
            self.add_module(f"cl_{name}", nn.Conv2d(channels, n_priors * n_classes, 3, padding=1))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The maps (N, channels, cells, cells) -> offsets (N, 8732, 4) and logits (N, 8732, n_classes)."""
        return self._predict("loc", maps, 4), self._predict("cl", maps, self.n_classes)

    def _predict(self, kind: str, maps: Sequence[Tensor], n_values: int) -> Tensor:
        predictions = []
        for name, x in zip(MAP_CHANNELS, maps, strict=False):
            x = self.get_submodule(f"{kind}_{name}")(x)  # (N, n_priors * n_values, cells, cells)
            x = x.permute(0, 2, 3, 1)  # cells row by row, then their priors: the order of the prior table
            predictions.append(x.reshape(x.shape[0], -1, n_values))  # (N, cells * cells * n_priors, n_values)
        return torch.cat(predictions, dim=1)


class SSD(nn.Module):
    """The detector: normalised images in; four offsets and a score per class for each prior out.

    `config` says what the outputs mean, and is by default that of the subclass. Weights start from He's initialisation
    in the base network and from Xavier's elsewhere. Raises ValueError if a config is for another number of maps.
    """

    default: ClassVar[SSDConfig]
    priors_cxcy: Tensor

    def __init__(self, config: SSDConfig | None = None):
        super().__init__()
        self.config = config = config or self.default
        if (n_maps := len(config.feature_maps)) != len(self.default.feature_maps):
            raise ValueError(f"the config is for a network with {n_maps} maps; create_network(config) makes it")
        batch_norm = config.backbone == "vgg16_bn"
        self.base = VGGBase(batch_norm)
        self.aux_convs = AuxiliaryConvolutions(n_maps, batch_norm)
        self.pred_convs = PredictionConvolutions(config.n_classes, config.priors_per_cell)
        self.rescale_factors = nn.Parameter(torch.full((1, 512, 1, 1), 20.0))
        self.register_buffer("priors_cxcy", create_prior_boxes(config), persistent=False)  # made from the saved config
        self._initialise()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (N, 3, 300, 300) -> locs (N, 8732, 4) and scores (N, 8732, n_classes), logits, in every mode.

        SSD512 takes 512 x 512 pixels and has 24,564 priors.
        """
        conv4_3, conv7 = self.base(images)
        return self.pred_convs((self.l2_normalise(conv4_3), conv7, *self.aux_convs(conv7)))

    def l2_normalise(self, x: Tensor) -> Tensor:
        """Scale each cell's channels (N, 512, 38, 38) to length 1, then by the learnt `rescale_factors` (ParseNet)."""
        exact = x if x.dtype == torch.float64 else x.float()  # squares overflow float16
        length = exact.square().sum(dim=1, keepdim=True).clamp(min=1e-10).sqrt()
        return (exact / length * self.rescale_factors).to(x.dtype)

    def detect_objects(
        self, locs: Tensor, scores: Tensor, min_score: float | Tensor, max_overlap: float, top_k: int
    ) -> Detected:
        """`ssd.detect_objects` with this model's priors and variances; labels without a class are never detected."""
        variances, unused = self.config.variances, self.config.unused_labels
        thresholds = min_score, max_overlap, top_k
        return detect_objects(locs, scores, self.priors_cxcy, *thresholds, variances=variances, unused=unused)

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                if name.startswith("base."):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.get_parameter("bias"))

    def _apply(self, fn: Callable, recurse: bool = True) -> "SSD":
        """Move and cast as every module does, but keep the priors in float32 whatever the weights become."""
        priors = self.priors_cxcy
        super()._apply(fn, recurse)
        self.priors_cxcy = priors.to(self.priors_cxcy.device)
        return self


class SSD300(SSD):
    """The network for images of 300 x 300 pixels: six maps, of 38 to 1 cells."""

    default = SSDConfig()


class SSD512(SSD):
    """The network for images of 512 x 512 pixels: seven maps, of 64 to 1 cells."""

    default = SSDConfig.of_size(512)


def create_network(config: SSDConfig) -> SSD300 | SSD512:
    """The network that a config describes."""
    return SSD300(config) if len(config.feature_maps) == 6 else SSD512(config)
