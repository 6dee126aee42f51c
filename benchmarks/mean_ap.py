"""How long it takes to compute mAP at IoU 0.5 from tensors, for as many detections as VOC07's test set gives.

All contenders get the same lists of tensors and find the same mAP: objects stand apart, so that COCO's matching rule
finds the devkit's matches, and precision is averaged over VOC 2007's eleven recalls.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import Measured, Timer
from ssd.evaluation import calculate_mAP

N_CLASSES = 20
RECALLS = np.arange(0.0, 1.1, 0.1)
N_IMAGES, N_DETECTIONS = 4952, 200  # in VOC07's test set; in each image


class Case(NamedTuple):
    """What `calculate_mAP` takes: lists with one tensor per image."""

    det_boxes: list[Tensor]
    det_labels: list[Tensor]
    det_scores: list[Tensor]
    true_boxes: list[Tensor]
    true_labels: list[Tensor]
    true_difficulties: list[Tensor]


Contender = Callable[[Case], float]


def mean_average_precision(timer: Timer, n_images: int = N_IMAGES) -> Measured:
    """Time the mAP of `n_images` by all contenders that are installed. Raises RuntimeError if they disagree."""
    case = random_detections(n_images, N_DETECTIONS)
    installed = {name: run for name, run in LIBRARIES.items() if is_installed(name, run)}
    contenders: dict[str, Contender] = {"ours": ours, **installed}
    results = {name: run(case) for name, run in contenders.items()}
    worst = max(abs(result - results["ours"]) for result in results.values())
    if worst > 1e-6:
        raise RuntimeError(f"mAP: the results differ by up to {worst:g}")
    runs = {name: partial(run, case) for name, run in contenders.items()}
    title = f"mAP of {n_images * N_DETECTIONS} detections in {n_images} images"
    return Measured(title, timer.measure(runs, warm_up=0), n_images)


def is_installed(name: str, run: Contender) -> bool:
    try:
        run(random_detections(n_images=20, n_detections=20))
    except ImportError as error:
        print(f"{name}: left out ({error})")
        return False
    return True


def random_detections(n_images: int, n_detections: int, seed: int = 0) -> Case:
    """A random case.

    Each image has 1 to 4 objects, each in its own quarter and none difficult. Detections lie around them, most too far
    off or of another class, like the low scores of a detector.
    """
    rng = np.random.default_rng(seed)
    case = Case([], [], [], [], [], [])
    for _ in range(n_images):
        n = rng.integers(1, 5)
        corners = np.array([(0, 0), (250, 0), (0, 190), (250, 190)])[rng.permutation(4)[:n]]
        low = corners + rng.uniform(0, 60, (n, 2))
        true_boxes = np.hstack([low, low + rng.uniform(30, 110, (n, 2))])
        true_labels = rng.integers(1, N_CLASSES + 1, n)
        of = rng.integers(0, n, n_detections)
        boxes = true_boxes[of] + rng.normal(0, 12, (n_detections, 4))
        boxes = np.hstack([np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:]) + 1])
        right = rng.random(n_detections) < 0.1
        labels = np.where(right, true_labels[of], rng.integers(1, N_CLASSES + 1, n_detections))
        scores = np.sort(rng.beta(np.where(right, 2, 0.5), 4))[::-1]
        image = (boxes, labels, scores.copy(), true_boxes, true_labels, np.zeros(n, dtype=np.int64))
        for values, new in zip(case, image, strict=True):
            values.append(torch.from_numpy(new.astype(np.float32) if new.dtype == np.float64 else new))
    return case


def ours(case: Case) -> float:
    label_map = {"background": 0} | {str(label): label for label in range(1, N_CLASSES + 1)}
    return calculate_mAP(*case, label_map)[1]


def hotcoco(case: Case) -> float:
    from hotcoco import COCO, COCOeval

    truth = COCO.from_arrays(
        [{"id": k} for k in range(len(case.true_boxes))],
        [{"id": label, "name": str(label)} for label in range(1, N_CLASSES + 1)],
        image_ids(case.true_boxes),
        torch.cat(case.true_labels).numpy(),
        xywh(case.true_boxes),
    )
    evaluation = COCOeval(truth, truth.load_res(coco_rows(case)), "bbox")
    parameters = evaluation.params
    parameters.iou_thrs, parameters.rec_thrs = [0.5], RECALLS.tolist()
    parameters.max_dets, parameters.area_rng, parameters.area_rng_lbl = [1000], [[0, 1e10]], ["all"]
    evaluation.params = parameters
    evaluation.evaluate()
    evaluation.accumulate()
    return mean_of_classes(evaluation.eval["precision"])  # type: ignore[index]  # accumulate() filled it


def faster_coco_eval(case: Case) -> float:
    from faster_coco_eval import COCO, COCOeval_faster

    rows = zip(
        image_ids(case.true_boxes).tolist(),
        xywh(case.true_boxes).tolist(),
        torch.cat(case.true_labels).tolist(),
        strict=True,
    )
    annotations = [
        {"id": k, "image_id": image, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for k, (image, box, label) in enumerate(rows, start=1)
    ]
    categories = [{"id": label} for label in range(1, N_CLASSES + 1)]
    images = [{"id": k} for k in range(len(case.true_boxes))]
    truth = COCO({"images": images, "categories": categories, "annotations": annotations})
    found = truth.loadRes(coco_rows(case))
    evaluation = COCOeval_faster(truth, found, "bbox")
    evaluation.params.iouThrs, evaluation.params.recThrs = np.array([0.5]), RECALLS
    evaluation.params.maxDets = [1000]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    return mean_of_classes(evaluation.eval["precision"])


def torchmetrics(case: Case, backend: Literal["pycocotools", "faster_coco_eval"] = "faster_coco_eval") -> float:
    from torchmetrics.detection import MeanAveragePrecision

    metric = MeanAveragePrecision(iou_thresholds=[0.5], rec_thresholds=RECALLS.tolist(), backend=backend)
    metric.warn_on_many_detections = False
    found = zip(case.det_boxes, case.det_labels, case.det_scores, strict=True)
    true = zip(case.true_boxes, case.true_labels, strict=True)
    metric.update(
        [{"boxes": boxes, "labels": labels, "scores": scores} for boxes, labels, scores in found],
        [{"boxes": boxes, "labels": labels} for boxes, labels in true],
    )
    return float(metric.compute()["map"])


def mean_of_classes(precision: np.ndarray) -> float:
    """Mean precision of the classes that have objects; COCO marks the others by -1."""
    precision = np.asarray(precision)
    return float(precision[precision > -1].mean())


def coco_rows(case: Case) -> np.ndarray:
    """(D, 7) float64: image, x_min, y_min, width, height, score, label."""
    columns = (
        image_ids(case.det_boxes),
        xywh(case.det_boxes),
        torch.cat(case.det_scores).numpy(),
        torch.cat(case.det_labels).numpy(),
    )
    return np.column_stack(columns)


def image_ids(boxes: list[Tensor]) -> np.ndarray:
    """The image of each box."""
    return np.repeat(np.arange(len(boxes)), [len(tensor) for tensor in boxes])


def xywh(boxes: list[Tensor]) -> np.ndarray:
    """All boxes as (n, 4) float64: x_min, y_min, width, height."""
    corners = torch.cat(boxes).double().numpy()
    return np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])


LIBRARIES: dict[str, Contender] = {
    "hotcoco": hotcoco,
    "faster-coco-eval": faster_coco_eval,
    "torchmetrics, faster_coco_eval": torchmetrics,
    "torchmetrics, pycocotools": partial(torchmetrics, backend="pycocotools"),
}
