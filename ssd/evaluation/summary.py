"""What an evaluation found, as plain data for JSON and as text."""

from collections.abc import Mapping

import numpy as np

from ssd.evaluation.coco_metrics import INSTALL, SIZES, coco_figures
from ssd.evaluation.localisation import top1_localisation
from ssd.evaluation.matches import Matches
from ssd.evaluation.mean_ap import Curve, average_precision, best_f1, curves, mean_of_numbers
from ssd.text import text_table

COLUMNS = {  # of the table of classes: key in the summary -> heading
    "name": "class",
    "objects": "objects",
    "difficult": "difficult",
    "detections": "detections",
    "ap_voc07": "AP voc07",
    "ap_voc10": "AP voc10",
    "best_f1": "best F1",
    "best_f1_score": "at score",
}


def summarize(matches: Matches, seconds: Mapping[str, float] | None = None) -> dict:
    """Every figure of an evaluation as plain data, ready for `json.dump`; an undefined figure is None.

    seconds: what the detections took, by part (`DataSetDetections.seconds`).
    Keys: "images", "iou_threshold", "map_voc07", "map_voc10"; "coco" (see `coco_figures`); "localisation" (see
    `top1_localisation`); "images_per_second", of "all" and by part; "classes", a list of dicts with "name", "objects"
    (those that count), "difficult", "detections", "ap_voc07", "ap_voc10", "best_f1" and "best_f1_score", the score
    threshold of the best F1.
    """
    n_difficult = np.bincount(matches.true_classes[matches.true_difficult], minlength=len(matches.names)).tolist()
    rows = zip(curves(matches).items(), n_difficult, strict=True)
    classes = [_class_figures(name, curve, difficult) for (name, curve), difficult in rows]
    return _without_nan(
        {
            "images": matches.n_images,
            "iou_threshold": matches.iou_threshold,
            "map_voc07": mean_of_numbers(figures["ap_voc07"] for figures in classes),
            "map_voc10": mean_of_numbers(figures["ap_voc10"] for figures in classes),
            "coco": coco_figures(matches),
            "localisation": top1_localisation(matches),
            "images_per_second": _speeds(matches.n_images, seconds or {}),
            "classes": classes,
        }
    )


def best_thresholds(matches: Matches) -> dict[str, float]:
    """What the scores of each class must exceed for its best F1, by name, without the classes that have none.

    That is the middle between the lowest score that is kept and the next one of the class, so that scores which differ
    a little, in another number format or on another machine, stay on their side. Below the last score, it is the next
    float32.
    """
    thresholds = {}
    for name, curve in curves(matches).items():
        lowest = np.float32(best_f1(curve)[1])
        just_below = np.nextafter(lowest, np.float32(0))
        following = curve.scores[curve.scores < lowest].max(initial=0)
        if lowest > 0:  # not NaN
            thresholds[name] = float(min((lowest + following) / 2, just_below) if following else just_below)
    return thresholds


def format_summary(summary: dict) -> str:
    """The summary as text: a table of the classes, and the means below it; "n/a" for what is undefined."""
    rows = [[cell_text(figures[key]) for key in COLUMNS] for figures in summary["classes"]]
    lines = [f"{name:<20}{text}" for name, text in summary_lines(summary)]
    return "\n".join([text_table([list(COLUMNS.values()), *rows]), "", *lines])


def summary_lines(summary: dict) -> list[tuple[str, str]]:
    """The figures over all classes: (name, text)."""
    threshold = f"{summary['iou_threshold']:g}"
    at = "" if threshold == "0.5" else f" at IoU {threshold}"
    lines = [(f"mAP {kind}{at}", cell_text(summary[f"map_{kind}"])) for kind in ("voc07", "voc10")]
    coco = summary["coco"]
    for name in ("AP", "AP50", "AP75"):
        lines.append((f"COCO {name}", f"n/a ({INSTALL})" if coco is None else cell_text(coco[name.lower()])))
    lines += [(f"COCO AP {size}", cell_text(coco[f"ap_{size}"])) for size in SIZES if coco]
    if top1 := summary["localisation"]:
        lines.append(("top-1 class right", cell_text(top1["accuracy"])))
        lines.append(("top-1 mean IoU", cell_text(top1["mean_iou"])))
        lines.append(("top-1 both right", f"{cell_text(top1['both'])} (class, and IoU of at least {threshold})"))
    if (floor := summary.get("constant_box_map_voc07")) is not None:
        lines.append(("constant box", f"{cell_text(floor)} (mAP voc07 of one box a class, the same in every picture)"))
    lines.append(("images", str(summary["images"])))
    if speeds := summary["images_per_second"]:
        parts = ", ".join(f"{part} {speed:.1f}" for part, speed in speeds.items() if part != "all")
        lines.append(("images per second", f"{speeds['all']:.1f} ({parts})"))
    return lines


def cell_text(value: str | float | None) -> str:
    """A figure as text: floats with four decimals, "n/a" for None and NaN, counts and names as they are."""
    if value is None or value != value:
        return "n/a"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _speeds(n_images: int, seconds: Mapping[str, float]) -> dict[str, float]:
    if not n_images or not seconds:
        return {}
    return {part: n_images / value for part, value in {"all": sum(seconds.values()), **seconds}.items()}


def _class_figures(name: str, curve: Curve, n_difficult: int) -> dict:
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
    return None if value != value else value
