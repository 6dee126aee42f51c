"""SSD300 and SSD512: the single-shot multibox detector (Liu et al., 2016)."""

from ssd.checkpoint import load_checkpoint, save_checkpoint
from ssd.config import SSDConfig
from ssd.detector import Detections, Detector, detect
from ssd.evaluation import calculate_mAP
from ssd.model.loss import MultiBoxLoss
from ssd.model.network import SSD300, SSD512
from ssd.model.postprocess import detect_objects
from ssd.model.priors import create_prior_boxes

__version__ = "1.0.0"

__all__ = [
    "SSD300",
    "SSD512",
    "Detections",
    "Detector",
    "MultiBoxLoss",
    "SSDConfig",
    "calculate_mAP",
    "create_prior_boxes",
    "detect",
    "detect_objects",
    "load_checkpoint",
    "save_checkpoint",
]
