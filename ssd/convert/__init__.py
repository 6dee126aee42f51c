"""Weights of other projects as ours, and ours as torchvision's (`python -m ssd.convert`)."""

from ssd.convert.reading import Weights, read_weights
from ssd.convert.torchvision import building_lines, to_torchvision, without_batch_norm

__all__ = ["Weights", "building_lines", "read_weights", "to_torchvision", "without_batch_norm"]
