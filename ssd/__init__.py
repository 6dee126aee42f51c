"""SSD300: the single-shot multibox detector (Liu et al., 2016)."""

from ssd.checkpoint import load_checkpoint, save_checkpoint
from ssd.config import SSDConfig
from ssd.detector import Detections, Detector, detect
from ssd.evaluation import calculate_mAP
from ssd.model.loss import MultiBoxLoss
from ssd.model.network import SSD300
from ssd.model.postprocess import detect_objects
from ssd.model.priors import create_prior_boxes

__version__ = "1.0.0"

__all__ = [
    "SSD300",
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
