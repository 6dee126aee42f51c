"""Evaluation by the rules of the Pascal VOC devkit.

From a model to figures: `detect_dataset`, `match_dataset`, `summarize`. From tensors to mAP: `calculate_mAP`.
"""

from ssd.evaluation.evaluate import DataSetDetections, dataset_for, detect_dataset, match_dataset
from ssd.evaluation.matches import Matches, match_detections
from ssd.evaluation.mean_ap import average_precisions, best_f1, calculate_mAP, curves
from ssd.evaluation.result_files import load_results, save_results, save_truth
from ssd.evaluation.summary import format_summary, summarize

__all__ = [
    "DataSetDetections",
    "Matches",
    "average_precisions",
    "best_f1",
    "calculate_mAP",
    "curves",
    "dataset_for",
    "detect_dataset",
    "format_summary",
    "load_results",
    "match_dataset",
    "match_detections",
    "save_results",
    "save_truth",
    "summarize",
]
