"""Evaluation by the rules of the Pascal VOC devkit."""

from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.mean_ap import average_precisions, best_f1, calculate_mAP, curves

__all__ = ["Matches", "average_precisions", "best_f1", "calculate_mAP", "curves", "match_detections"]
