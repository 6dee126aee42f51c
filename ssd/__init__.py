"""SSD300: the single-shot multibox detector (Liu et al., 2016)."""

from ssd.config import SSDConfig
from ssd.loss import MultiBoxLoss
from ssd.model import SSD300
from ssd.postprocess import detect_objects
from ssd.priors import create_prior_boxes

__all__ = ["SSD300", "MultiBoxLoss", "SSDConfig", "create_prior_boxes", "detect_objects"]
