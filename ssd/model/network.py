"""The network of SSD300 (paper, figure 2)."""

import torch
from torch import nn

from ssd.config import SSDConfig
from ssd.model.postprocess import decode_predictions, detect_objects
from ssd.model.priors import create_prior_boxes
from ssd.model.vgg import NamedConvolutions, VGGBase

# The six maps that predict, and their channels.
MAP_CHANNELS = {"conv4_3": 512, "conv7": 1024, "conv8_2": 512, "conv9_2": 256, "conv10_2": 256, "conv11_2": 256}


class AuxiliaryConvolutions(NamedConvolutions):
    """conv8_1 to conv11_2: four maps smaller and smaller.

    Batch normalisation leaves out conv11_2: its map is one cell, of which a batch of one image has no variance.
    """

    def __init__(self, batch_norm=False):
        super().__init__()
        self.add("conv8_1", 1024, 256, 1, batch_norm)
        self.add("conv8_2", 256, 512, 3, batch_norm, stride=2, padding=1)
        self.add("conv9_1", 512, 128, 1, batch_norm)
        self.add("conv9_2", 128, 256, 3, batch_norm, stride=2, padding=1)
        self.add("conv10_1", 256, 128, 1, batch_norm)
        self.add("conv10_2", 128, 256, 3, batch_norm)
        self.add("conv11_1", 256, 128, 1, batch_norm)
        self.add("conv11_2", 128, 256, 3)

    def forward(self, conv7):
        """conv7's map (N, 1024, 19, 19) -> conv8_2 (N, 512, 10, 10), conv9_2, conv10_2 and conv11_2 (N, 256, s, s)
        with s = 5, 3, 1."""
        conv8_2 = self.relu("conv8_2", self.relu("conv8_1", conv7))
        conv9_2 = self.relu("conv9_2", self.relu("conv9_1", conv8_2))
        conv10_2 = self.relu("conv10_2", self.relu("conv10_1", conv9_2))
        conv11_2 = self.relu("conv11_2", self.relu("conv11_1", conv10_2))
        return conv8_2, conv9_2, conv10_2, conv11_2


class PredictionConvolutions(nn.Module):
    """A 3 x 3 convolution for the offsets (`loc_...`) and one for the class scores (`cl_...`) of each map's priors."""

    def __init__(self, n_classes, priors_per_cell):
        super().__init__()
        self.n_classes = n_classes
        for (name, channels), n_priors in zip(MAP_CHANNELS.items(), priors_per_cell, strict=True):
            self.add_module(f"loc_{name}", nn.Conv2d(channels, n_priors * 4, 3, padding=1))
            self.add_module(f"cl_{name}", nn.Conv2d(channels, n_priors * n_classes, 3, padding=1))

    def forward(self, maps):
        """The six maps (N, channels, cells, cells) -> offsets (N, 8732, 4) and logits (N, 8732, n_classes)."""
        return self._predict("loc", maps, 4), self._predict("cl", maps, self.n_classes)

    def _predict(self, kind, maps, n_values):
        predictions = []
        for name, x in zip(MAP_CHANNELS, maps, strict=True):
            x = self.get_submodule(f"{kind}_{name}")(x)  # (N, n_priors * n_values, cells, cells)
            x = x.permute(0, 2, 3, 1)  # cells row by row, then their priors: the order of the prior table
            predictions.append(x.reshape(x.shape[0], -1, n_values))  # (N, cells * cells * n_priors, n_values)
        return torch.cat(predictions, dim=1)


class SSD300(nn.Module):
    """The detector: normalised images in, for each of the 8732 priors four offsets and a score for each class out.

    `config` says what the outputs mean. The parameters start from He (base) and Xavier (the rest) initialisation.
    """

    def __init__(self, config=None):
        super().__init__()
        self.config = config = config or SSDConfig()
        batch_norm = config.backbone == "vgg16_bn"
        self.base = VGGBase(batch_norm)
        self.aux_convs = AuxiliaryConvolutions(batch_norm)
        self.pred_convs = PredictionConvolutions(config.n_classes, config.priors_per_cell)
        self.rescale_factors = nn.Parameter(torch.full((1, 512, 1, 1), 20.0))
        self.register_buffer("priors_cxcy", create_prior_boxes(config), persistent=False)  # the config has them
        self._initialise()

    def forward(self, images):
        """Images (N, 3, 300, 300) -> locs (N, 8732, 4) and scores (N, 8732, n_classes), logits, in every mode."""
        conv4_3, conv7 = self.base(images)
        return self.pred_convs((self.l2_normalise(conv4_3), conv7, *self.aux_convs(conv7)))

    def l2_normalise(self, x):
        """Scale each cell's channels (N, 512, 38, 38) to the lengths learnt in `rescale_factors` (ParseNet)."""
        exact = x if x.dtype == torch.float64 else x.float()  # squares overflow float16
        length = (exact.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()
        return (exact / length * self.rescale_factors).to(x.dtype)

    def detect_objects(self, locs, scores, min_score, max_overlap, top_k):
        """`ssd.detect_objects` with this model's priors and variances, of the labels that have a class."""
        options = {"variances": self.config.variances, "unused": self.config.unused_labels}
        return detect_objects(locs, scores, self.priors_cxcy, min_score, max_overlap, top_k, **options)

    def decode_predictions(self, locs, scores):
        """`ssd.model.postprocess.decode_predictions` with this model's priors and variances."""
        return decode_predictions(locs, scores, self.priors_cxcy, self.config.variances)

    def _initialise(self):
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                if name.startswith("base."):
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                else:
                    nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def _apply(self, fn, recurse=True):
        """Move and cast as every module does, but keep the priors in float32 whatever the weights become."""
        super()._apply(fn, recurse)
        if self.priors_cxcy.dtype != torch.float32:
            self.priors_cxcy = create_prior_boxes(self.config).to(self.priors_cxcy.device)
        return self
