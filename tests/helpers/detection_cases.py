"""Random detections and objects for the tests of the evaluation, with all that can go wrong in them."""

import numpy as np
import pytest
import torch

from ssd.evaluation import match_detections

LABEL_MAP = {"background": 0, "bird": 1, "cat": 2, "dog": 3, "sofa": 4}
ONE_CLASS = {"background": 0, "cat": 1}
CATS_AND_DOGS = {"background": 0, "cat": 1, "dog": 2}


def lists(*images):
    """[(boxes, labels, scores or difficulties), ...] -> three lists of tensors."""
    boxes = [torch.tensor(b, dtype=torch.float32).reshape(-1, 4) for b, _, _ in images]
    return (
        boxes,
        [torch.tensor(labels, dtype=torch.int64) for _, labels, _ in images],
        [torch.tensor(values) for _, _, values in images],
    )


# Two pictures with four easy cats and one difficult cat, and eight detections of cats.
EIGHT_DETECTIONS = lists(
    (
        [
            [0, 0, 10, 10],  # 0.9: the first cat exactly, true positive
            [0, 0, 10, 9],  # 0.8: the same cat again, false positive
            [50, 0, 60, 10],  # 0.7: the difficult cat, ignored
            [50, 0, 60, 10],  # 0.6: the difficult cat again, ignored too
            [20, 0, 30, 5],  # 0.5: IoU with the second cat is 0.5 to the digit, true positive
        ],
        [1] * 5,
        [0.9, 0.8, 0.7, 0.6, 0.5],
    ),
    (
        [
            [80, 80, 90, 90],  # 0.95: nothing there, false positive
            [0, 0, 10, 4.99],  # 0.4: IoU with the third cat is 0.499, false positive
            [0, 0, 10, 10],  # 0.3: the third cat, true positive
        ],
        [1] * 3,
        [0.95, 0.4, 0.3],
    ),
)
FIVE_CATS = lists(
    ([[0, 0, 10, 10], [20, 0, 30, 10], [50, 0, 60, 10]], [1] * 3, [0, 0, 1]),
    ([[0, 0, 10, 10], [30, 30, 40, 40]], [1] * 2, [0, 0]),
)
FIVE_CATS_IN_ONE = tuple([torch.cat(values)] for values in FIVE_CATS)


def random_case(seed, n_images=12, n_classes=4, n_detections=12, apart=False):
    """The seven arguments of `calculate_mAP`: whole-pixel boxes, scores that tie, images without objects or
    detections. The last class has no objects and the one before has only difficult ones.

    apart: objects stand 100 pixels apart, so that no detection reaches two of them.
    """
    rng = np.random.default_rng(seed)
    names = list(LABEL_MAP)[1 : n_classes + 1]
    case = tuple([] for _ in range(6))
    for _ in range(n_images):
        n_true, n_det = rng.integers(0, 5), rng.integers(0, n_detections + 1)
        true_boxes = _boxes_apart(rng, n_true) if apart else _boxes(rng, n_true)
        true_labels = rng.integers(1, max(2, n_classes), n_true)
        difficult = (true_labels == n_classes - 1) | (rng.random(n_true) < 0.2)
        det_boxes, det_labels = _boxes(rng, n_det), rng.integers(1, n_classes + 1, n_det)
        if n_true:
            near = rng.random(n_det) < 0.8
            of = rng.integers(0, n_true, n_det)
            det_boxes[near] = (true_boxes[of] + rng.integers(-5, 6, (n_det, 4)))[near]
            right = near & (rng.random(n_det) < 0.7)
            det_labels[right] = true_labels[of][right]
        scores = rng.integers(1, 8, n_det) / 8
        for values, new in zip(
            case, (det_boxes, det_labels, scores, true_boxes, true_labels, difficult.astype(int)), strict=True
        ):
            values.append(torch.from_numpy(np.ascontiguousarray(new)))
    for k in (0, 2, 3):
        case[k][:] = [tensor.float() for tensor in case[k]]
    return (*case, {"background": 0} | {name: LABEL_MAP[name] for name in names})


def _boxes(rng, n):
    corner = rng.integers(0, 60, (n, 2))
    return np.hstack([corner, corner + rng.integers(10, 50, (n, 2))])


def _boxes_apart(rng, n):
    corner = 100 * np.stack([np.arange(n), np.zeros(n, dtype=int)], axis=1)
    return np.hstack([corner, corner + rng.integers(15, 60, (n, 2))])


def one_image(detections, objects):
    """The matches of [(box, label, score), ...] with [(box, label, difficult), ...]."""
    found, true = (lists(tuple(zip(*rows, strict=True)) or ([], [], [])) for rows in (detections, objects))
    return match_detections(*found, *true, CATS_AND_DOGS)


# Detections and objects of one image, for `one_image`, with an error of every kind.
BY_HAND = (
    [
        ([0, 0, 10, 10], 1, 0.9),  # right
        ([0, 0, 10, 9], 1, 0.8),  # duplicate
        ([20, 0, 30, 4], 1, 0.7),  # localisation of the second cat: IoU 0.4
        ([40, 0, 50, 10], 1, 0.6),  # classification of the dog
        ([40, 0, 50, 3], 1, 0.5),  # both: IoU 0.3 with the dog
        ([90, 0, 99, 9], 1, 0.4),  # background
        ([60, 0, 70, 10], 1, 0.3),  # the difficult cat: no error
        ([60, 0, 70, 10], 2, 0.2),  # on the difficult cat, which is as if it were not there: background
        ([20, 0, 30, 3], 1, 0.1),  # localisation of the second cat again
    ],
    [
        ([0, 0, 10, 10], 1, 0),
        ([20, 0, 30, 10], 1, 0),
        ([40, 0, 50, 10], 2, 0),
        ([60, 0, 70, 10], 1, 1),
        ([80, 80, 90, 90], 2, 0),  # missed
    ],
)


def agreeable_case(seed, difficult=False):
    """A case where the rules of tidecv and hotcoco are ours: objects stand apart, scores differ, no class is empty."""
    case = list(random_case(seed, n_images=40, n_classes=3, apart=True))
    rng = np.random.default_rng(seed)
    case[5] = [torch.from_numpy(rng.random(len(values)) < 0.3 * difficult) for values in case[5]]
    # No IoU is exactly 0.1 or 0.5.
    case[0] = [boxes.double() + torch.from_numpy(rng.uniform(0, 0.01, boxes.shape)) for boxes in case[0]]
    scores = torch.from_numpy(rng.permutation(sum(map(len, case[2]))) + 1)
    case[2] = list((scores / (len(scores) + 1)).split([len(values) for values in case[2]]))
    case[1] = [labels.clamp(max=2) for labels in case[1]]
    case[4] = [labels.clamp(max=2) for labels in case[4]]
    return *case[:6], CATS_AND_DOGS


def xywh(boxes):
    return np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])


def hotcoco_evaluation(matches):
    """hotcoco's evaluation of the detections and objects of some matches; skips the test without hotcoco."""
    hotcoco = pytest.importorskip("hotcoco")
    truth = hotcoco.COCO.from_arrays(
        [{"id": k} for k in range(matches.n_images)],
        [{"id": k, "name": name} for k, name in enumerate(matches.names)],
        matches.true_images,
        matches.true_classes,
        xywh(matches.true_boxes),
        iscrowd=matches.true_difficult,
    )
    columns = (matches.det_images, xywh(matches.det_boxes), matches.det_scores, matches.det_classes)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(np.column_stack(columns)), "bbox")
    evaluation.evaluate()
    return evaluation
