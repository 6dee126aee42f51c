"""What an evaluation found, as plain data for JSON and as text."""

from math import isnan

import numpy as np

from ssd.evaluation.coco_metrics import INSTALL, coco_figures
from ssd.evaluation.localisation import top1_localisation
from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import average_precision, best_f1, curves, mean_of_numbers
from ssd.text import text_table

COLUMNS = {  # of the table of classes: key -> heading
    "name": "class",
    "objects": "objects",
    "difficult": "difficult",
    "detections": "detections",
    "ap_voc07": "AP voc07",
    "ap_voc10": "AP voc10",
    "best_f1": "best F1",
    "best_f1_score": "at score",
}


def summarize(matches: Matches, seconds=()) -> dict:
    """Every figure of an evaluation as plain data, ready for `json.dump`; None stands for a figure that is undefined.

    seconds: what the detections took, by part (`DataSetDetections.seconds`).
    Keys: "images", "iou_threshold", "map_voc07", "map_voc10"; "coco" (see `coco_figures`); "localisation" (see
    `top1_localisation`); "images_per_second", of "all" and by part; "classes", a list of dicts with "name", "objects"
    (those that count), "difficult", "detections", "ap_voc07", "ap_voc10", "best_f1" and "best_f1_score", the score
    threshold of the best F1.
    """
    difficult = np.bincount(matches.true_classes[matches.true_difficult], minlength=len(matches.names))
    classes = [
        _class_figures(name, curve, int(n)) for (name, curve), n in zip(curves(matches).items(), difficult, strict=True)
    ]
    aps = {key: [figures[key] for figures in classes] for key in ("ap_voc07", "ap_voc10")}
    summary = {
        "images": matches.n_images,
        "iou_threshold": matches.iou_threshold,
        "map_voc07": mean_of_numbers(aps["ap_voc07"]),
        "map_voc10": mean_of_numbers(aps["ap_voc10"]),
        "coco": coco_figures(matches),
        "localisation": top1_localisation(matches),
        "images_per_second": _speeds(matches.n_images, dict(seconds)),
        "classes": classes,
    }
    return _without_nan(summary)


def format_summary(summary: dict) -> str:
    """The summary as text: a table of the classes and the means below it; "n/a" for what is undefined."""
    rows = [list(COLUMNS.values())] + [[_figure(figures[key]) for key in COLUMNS] for figures in summary["classes"]]
    return "\n".join([text_table(rows), "", *(f"{name:<20}{value}" for name, value in summary_lines(summary))])


def summary_lines(summary: dict) -> list[tuple[str, str]]:
    """The figures over all classes: (name, text)."""
    at = "" if summary["iou_threshold"] == 0.5 else f" at IoU {summary['iou_threshold']:g}"
    lines = [(f"mAP {kind}{at}", _figure(summary[f"map_{kind}"])) for kind in ("voc07", "voc10")]
    for name, key in (("COCO AP", "ap"), ("COCO AP50", "ap50"), ("COCO AP75", "ap75")):
        coco = summary["coco"]
        lines.append((name, f"n/a ({INSTALL})" if coco is None else _figure(coco[key])))
    if top1 := summary["localisation"]:
        lines.append(("top-1 class right", _figure(top1["accuracy"])))
        lines.append(("top-1 mean IoU", _figure(top1["mean_iou"])))
        lines.append(
            ("top-1 both right", f"{_figure(top1['both'])} (class, and IoU of at least {summary['iou_threshold']:g})")
        )
    lines.append(("images", str(summary["images"])))
    if speeds := summary["images_per_second"]:
        parts = ", ".join(f"{part} {speed:.1f}" for part, speed in speeds.items() if part != "all")
        lines.append(("images per second", f"{speeds['all']:.1f} ({parts})"))
    return lines


def _speeds(n_images, seconds):
    if not n_images or not seconds:
        return {}
    seconds = {"all": sum(seconds.values()), **seconds}
    return {part: n_images / value for part, value in seconds.items()}


def _class_figures(name, curve, n_difficult):
    f1, score = best_f1(curve)
    return {
        "name": name,
        "objects": curve.n_objects,
        "difficult": n_difficult,
        "detections": len(curve.scores),
        "ap_voc07": average_precision(curve, "voc07"),
        "ap_voc10": average_precision(curve, "voc10"),
        "best_f1": f1,
        "best_f1_score": score,
    }


def _without_nan(value):
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and isnan(value) else value


def _figure(value):
    """A cell: figures with four decimals, counts and names as they are."""
    if value is None:
        return "n/a"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
