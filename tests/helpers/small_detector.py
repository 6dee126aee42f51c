"""detect.py with `small_network`, for what is true of every network.

python -m tests.helpers.small_detector ARGUMENTS OF detect.py
"""

import sys
import time

import torch

from ssd import SSDConfig, save_checkpoint
from ssd.commands import detect
from ssd.media.job import Job
from tests.helpers import small_network


def write_checkpoint(path):
    """Write a checkpoint whose detections depend on the picture. Returns its path."""
    torch.manual_seed(0)
    model = small_network.SmallSSD(SSDConfig(class_names=("cat", "dog")))
    torch.nn.init.normal_(model.pred_convs.weight, std=3)
    save_checkpoint(path, model)
    return path


def save_slowly(job, is_end=True, save=Job.save):
    """`Job.save`, which takes as long as that of a large job, so that other processes could end meanwhile."""
    time.sleep(2)
    return save(job, is_end)


if __name__ == "__main__":
    small_network.use()
    Job.save = save_slowly
    sys.exit(detect.main())
