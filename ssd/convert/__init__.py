"""Other people's SSD300 weights as ours, and ours as torchvision's (`python -m ssd.convert`)."""

from ssd.convert.reading import read_weights
from ssd.convert.torchvision_format import building_lines, to_torchvision

__all__ = ["building_lines", "read_weights", "to_torchvision"]
