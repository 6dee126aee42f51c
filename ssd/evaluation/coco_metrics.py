"""COCO's figures, from a library: COCO's matching rule is not the devkit's."""

import numpy as np

from ssd.evaluation.matches import Matches

INSTALL = 'pip install -e ".[eval]"'


def coco_figures(matches: Matches) -> dict[str, float | None] | None:
    """COCO's "ap" (mean over the IoUs 0.50, 0.55, ..., 0.95), "ap50" and "ap75", of the 100 best detections of each
    class in each image.

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
    # (IoU thresholds, recalls, classes, areas, limits of detections); the first area is "all", the last limit is 100.
    precision = np.asarray(evaluation.eval["precision"])[..., 0, -1]  # type: ignore[index]  # accumulate() filled it
    return {"ap": _mean(precision), "ap50": _mean(precision[0]), "ap75": _mean(precision[5])}


def _xywh(boxes: np.ndarray) -> np.ndarray:
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _mean(precision: np.ndarray) -> float | None:
    """Mean of what is defined: COCO marks classes without objects by -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None
