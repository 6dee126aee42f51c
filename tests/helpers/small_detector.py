"""detect.py with `small_network`, for what is true of every network.

python -m tests.helpers.small_detector ARGUMENTS OF detect.py
"""

import sys

import torch

from ssd import SSDConfig, save_checkpoint
from ssd.commands import detect
from tests.helpers import small_network


def write_checkpoint(path):
    """Write a checkpoint whose detections depend on the picture. Returns its path."""
    torch.manual_seed(0)
    model = small_network.SmallSSD(SSDConfig(class_names=("cat", "dog")))
    torch.nn.init.normal_(model.pred_convs.weight, std=3)
    save_checkpoint(path, model)
    return path


if __name__ == "__main__":
    small_network.use()
    sys.exit(detect.main())
