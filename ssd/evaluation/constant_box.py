"""The floor of a data set with one object in a picture: what the same answer to every picture reaches."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_iou

from ssd.data.columns import DataList
from ssd.data.lists import read_data_list
from ssd.data.prior_fit import box_fractions
from ssd.errors import InputError
from ssd.evaluation.evaluate import DataSetDetections, match_dataset
from ssd.evaluation.mean_ap import average_precisions, mean_of_numbers

FEWEST, MOST = 0.5, 1.5  # objects in a picture, on average, that are about one
MOST_COMPARED = 1000  # training boxes of a class: more would hardly move the best one
MOST_DETECTIONS = 2_000_000  # with so many classes and pictures, the floor is next to nothing


def constant_box_map(data_folder: str | Path, data: DataList) -> float | None:
    """The mAP voc07 of one box for each class, the same in every picture of `data`.

    The box of a class is the one of its training boxes whose mean IoU with all of them is the highest, as fractions of
    the picture. So a detector that does not reach this mAP has learnt no more than where objects usually are.
    None unless `data` has about one object in a picture, and where `data_folder` has no training list with objects.
    """
    n_objects = (~data.difficulties).sum() / max(len(data), 1)
    if not FEWEST <= n_objects <= MOST or len(data) * len(data.class_names) > MOST_DETECTIONS:
        return None
    try:
        train = read_data_list(data_folder, "train")
    except InputError:
        return None
    if not len(train.labels):
        return None
    matches = match_dataset(same_everywhere(constant_boxes(train), data), data)
    return mean_of_numbers(average_precisions(matches).values())


def constant_boxes(train: DataList) -> dict[int, Tensor]:
    """Label -> the training box (4,) of the best mean IoU with the others of its class, as fractions of the picture."""
    boxes = box_fractions(train)
    return {label: _central(boxes[train.labels == label]) for label in np.unique(train.labels).tolist()}


def _central(boxes: Tensor) -> Tensor:
    some = boxes[:: -(-len(boxes) // MOST_COMPARED)]  # (n, 4), evenly chosen
    return some[box_iou(some, some).mean(dim=1).argmax()]


def same_everywhere(boxes: dict[int, Tensor], data: DataList) -> DataSetDetections:
    """Detections of the same boxes (label -> fractions of the picture) in every picture of a data list.

    Scores rank the pictures by chance: equal ones would follow the order of the list, which may be sorted by class.
    """
    labels, stacked = torch.tensor(list(boxes)), torch.stack(list(boxes.values()))  # (C,), (C, 4)
    scores = torch.from_numpy(np.random.default_rng(0).permutation(len(data))) + 1.0
    return DataSetDetections(
        boxes=[stacked * torch.tensor([width, height] * 2) for width, height in data.sizes.tolist()],
        labels=[labels] * len(data),
        scores=[score.expand(len(labels)) for score in scores],
    )
