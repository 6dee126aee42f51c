"""Other people's SSD300 weights as ours, and ours as torchvision's (`python -m ssd.convert`)."""

from ssd.convert.coco import CHECKPOINT_HELP, coco_checkpoint, find_checkpoint
from ssd.convert.reading import read_weights
from ssd.convert.torchvision_format import building_lines, to_torchvision

__all__ = ["CHECKPOINT_HELP", "building_lines", "coco_checkpoint", "find_checkpoint", "read_weights", "to_torchvision"]
