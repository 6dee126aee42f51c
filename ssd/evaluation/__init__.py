"""Evaluation by the rules of the Pascal VOC devkit."""

from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.mean_ap import average_precisions, best_f1, calculate_mAP, curves
from ssd.evaluation.result_files import load_results, save_results, save_truth
from ssd.evaluation.summary import format_summary, summarize

__all__ = [
    "Matches",
    "average_precisions",
    "best_f1",
    "calculate_mAP",
    "curves",
    "format_summary",
    "load_results",
    "match_detections",
    "save_results",
    "save_truth",
    "summarize",
]
