"""COCO's figures, from a library: COCO's matching rule is not the devkit's."""

import numpy as np

from ssd.evaluation.matches import Matches

INSTALL = 'pip install -e ".[eval]"'


def coco_figures(matches: Matches) -> dict[str, float | None] | None:
    """COCO AP (mean over the IoUs 0.50, 0.55, ..., 0.95), AP50 and AP75, of the 100 best detections of each class
    in each image.

    Difficult objects are passed as COCO's crowds, which neither reward nor punish. A figure is None where no class
    has objects; the result is None where the library (hotcoco, extra `eval`) is not installed.
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
    # (IoU thresholds, recalls, classes, areas, detections an image); the first area is "all", the last limit is 100.
    precision = np.asarray(evaluation.eval["precision"])[..., 0, -1]
    return {"ap": _mean(precision), "ap50": _mean(precision[0]), "ap75": _mean(precision[5])}


def _xywh(boxes):
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def _mean(precision):
    """Mean over what is defined: COCO marks classes without objects by -1."""
    defined = precision[precision > -1]
    return float(defined.mean()) if defined.size else None
