"""COCO's figures, from a library: COCO's matching rule is not the devkit's."""

import numpy as np

from ssd.evaluation.matches import Matches

INSTALL = "pip install hotcoco"
SIZES = ("small", "medium", "large")  # COCO's, of objects


def coco_figures(matches: Matches) -> dict[str, float | None] | None:
    """COCO's "ap" (mean over the IoUs 0.50, 0.55, ..., 0.95), "ap50" and "ap75", of the 100 best detections of each
    class in each image; and "ap_small", "ap_medium" and "ap_large", the AP of objects by the area of their box, between
    which lie 32 x 32 and 96 x 96 pixels.

    Difficult objects count as COCO's crowds, which neither reward nor punish. A figure is None if no class has
    objects; the result is None if the library (hotcoco, extra `eval`) is not installed.
    """
    try:
        from hotcoco import COCO, COCOeval
    except ImportError:
        return None
    truth = COCO.from_arrays(
        images=[{"id": i} for i in range(matches.n_images)],
        categories=[{"id": i, "name": name} for i, name in enumerate(matches.names)],
        image_ids=matches.true_images,
        category_ids=matches.true_classes,
        boxes=_xywh(matches.true_boxes),
        iscrowd=matches.true_difficult,
    )
    rows = (matches.det_images, _xywh(matches.det_boxes), matches.det_scores, matches.det_classes)
    evaluation = COCOeval(truth, truth.load_res(np.column_stack(rows)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoU thresholds, recalls, classes, areas, limits of detections), of which the last limit is 100
    precision = np.asarray(evaluation.eval["precision"])[..., -1]  # type: ignore[index]  # accumulate() filled it
    of_all, *by_size = (precision[..., area] for area in range(4))
    figures = {"ap": _mean(of_all), "ap50": _mean(of_all[0]), "ap75": _mean(of_all[5])}
    return figures | {f"ap_{size}": _mean(some) for size, some in zip(SIZES, by_size, strict=True)}


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _mean(precision: np.ndarray) -> float | None:
    """Mean of what is defined: COCO marks classes without objects by -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None
