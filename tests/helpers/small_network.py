"""train.py with a network whose steps take milliseconds, for what is true of every network.

python -m tests.helpers.small_network ARGUMENTS OF train.py
"""

import sys
from collections import OrderedDict

import torch
from torch import nn

import ssd.checkpoint
import ssd.training.weights
from ssd import SSD300, create_prior_boxes
from ssd.commands import train
from ssd.model.vgg import Convolution


class SmallSSD(SSD300):
    """Two convolutions and one layer that says the same of every prior of an image."""

    def __init__(self, config):
        nn.Module.__init__(self)
        self.config = config
        batch_norm = config.backbone == "vgg16_bn"
        conv1_1 = Convolution(3, 4, 3, stride=25, batch_norm=batch_norm)
        conv1_2 = Convolution(4, 8, 3, stride=4, batch_norm=batch_norm)
        self.base = nn.Sequential(OrderedDict(conv1_1=conv1_1, conv1_2=conv1_2))
        self.aux_convs = nn.Sequential()
        self.pred_convs = nn.Linear(8, 4 + config.n_classes)
        self.rescale_factors = nn.Parameter(torch.ones(1, 8, 1, 1))
        self.register_buffer("priors_cxcy", create_prior_boxes(config), persistent=False)
        self.register_buffer("ballast", torch.zeros(2**20))  # so that a checkpoint takes a while to write

    def forward(self, images):
        x = self.base(images) * self.rescale_factors  # (N, 8, 3, 3)
        output = self.pred_convs(x.mean(dim=(2, 3)))  # (N, 4 + n_classes)
        return output[:, None].expand(-1, len(self.priors_cxcy), -1).split([4, self.config.n_classes], dim=2)


def use(set_attribute=setattr):
    """Put `SmallSSD` in the place of every network, with pytest's `monkeypatch.setattr` or for good."""
    for module in (ssd.checkpoint, ssd.training.weights):
        set_attribute(module, "create_network", SmallSSD)


if __name__ == "__main__":
    use()
    sys.exit(train.main())
