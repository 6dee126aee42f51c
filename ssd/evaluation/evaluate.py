"""Runs a model over a data set."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ssd import distributed
from ssd.config import SSDConfig
from ssd.data.columns import DataList
from ssd.data.dataset import PascalVOCDataset
from ssd.data.lists import read_data_list
from ssd.data.loading import loader
from ssd.evaluation.matches import Matches, match_detections
from ssd.inference.predictor import Predictor, as_predictor, detections_in_pixels
from ssd.model.loss import Figures, MultiBoxLoss
from ssd.model.network import SSD


class Thresholds(NamedTuple):
    """What becomes a detection: see `ssd.model.postprocess.detect_objects`."""

    min_score: float
    max_overlap: float
    top_k: int


PAPER = Thresholds(0.01, 0.45, 200)  # of the paper's evaluation


@dataclass
class DataSetDetections:
    """Detections in a whole data set: lists with one tensor per image, boxes in pixels of the pictures.

    Best first; of equal scores the lower label, which is the order that result files keep.
    seconds: time spent on "data" (waiting for it), "network" and "post-processing".
    sums: the packed `Figures` of the loss over the whole data set, if a criterion was given.
    """

    boxes: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    scores: list[Tensor] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    sums: Tensor = field(default_factory=lambda: torch.zeros(len(Figures._fields)))

    def add(self, boxes: Tensor, labels: Tensor, scores: Tensor) -> None:
        """Add the detections of the next image: boxes (n, 4), labels (n,) and scores (n,)."""
        order = np.lexsort((labels.numpy(), -scores.numpy()))
        self.boxes.append(boxes[order])
        self.labels.append(labels[order])
        self.scores.append(scores[order])

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of all D detections: the place of the image (D,), box (D, 4), label (D,) and score (D,)."""
        images = np.repeat(np.arange(len(self.labels)), list(map(len, self.labels)))
        empty = (torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
        lists = zip((self.boxes, self.labels, self.scores), empty, strict=True)
        boxes, labels, scores = (torch.cat([*tensors, nothing]).numpy() for tensors, nothing in lists)
        return images, boxes, labels, scores

    @classmethod
    def from_columns(
        cls, images: np.ndarray, boxes: np.ndarray, labels: np.ndarray, scores: np.ndarray, n_images: int, **others: Any
    ) -> "DataSetDetections":
        """What has these `columns`, of which `images` ascends. others: further fields."""
        per_image = np.bincount(images, minlength=n_images).tolist()
        lists = [list(torch.from_numpy(column).split(per_image)) for column in (boxes, labels, scores)]
        return cls(lists[0], lists[1], lists[2], **others)

    def __reduce__(self) -> tuple:
        """Pickle the columns: tensors of each image would take more time and memory than what they hold."""
        restore = partial(DataSetDetections.from_columns, seconds=self.seconds, sums=self.sums)
        return restore, (*self.columns(), len(self.labels))


class Stopwatch:
    """Seconds by name: each `lap` adds the time since the lap before it, the device's work included."""

    def __init__(self, device: torch.device):
        self.seconds: dict[str, float] = {}
        self.device = device
        self.start = time.perf_counter()

    def lap(self, name: str | None = None) -> None:
        """Count the time since the last lap under a name, or nowhere."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if name:
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self.start
        self.start = now


def dataset_for(config: SSDConfig, data_folder: str | Path, split: str = "test") -> PascalVOCDataset:
    """The samples of a data set for a model of this config, which may have more classes than the data set.

    Raises InputError as `PascalVOCDataset` does, also if the model lacks a class of the data set.
    """
    class_names = read_data_list(data_folder, split).class_names
    if set(class_names) <= set(config.class_names):
        config = replace(config, class_names=class_names)
    return PascalVOCDataset(data_folder, split, config)


def detect_dataset(
    model: SSD | Predictor,
    dataset: PascalVOCDataset,
    batch_size: int = 8,
    workers: int = 0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    criterion: MultiBoxLoss | None = None,
    quiet: bool = False,
    thresholds: Thresholds = PAPER,
) -> DataSetDetections:
    """Detect the objects of a data set under the data set's labels. `own_share` and `put_together` share the work.

    A model of more classes, such as COCO's, detects only those of the data set.

    model: an `SSD`, or an exported model (`ssd.export.engines`), which keeps its device and type. It stays as it is.
    criterion: measures an `SSD`'s predictions on the way. quiet: without a progress bar, which only the first of
    several processes shows. thresholds: others than the paper's give another mAP.
    """
    names, label_map = model.config.class_names, dataset.data.label_map
    predictor = as_predictor(model, device, dtype, [name if name in label_map else "" for name in names])
    labels_in_data = torch.tensor([0, *(label_map.get(name, 0) for name in names)])
    device = predictor.device
    batches = loader(dataset, workers, batch_size=batch_size, pin_memory=device.type == "cuda")
    found, watch = DataSetDetections(), Stopwatch(device)
    with _progress_bar(len(dataset), quiet) as bar:
        for images, true_boxes, true_labels, _ in batches:
            watch.lap("data")
            predictions = predictor(images)
            watch.lap("network")
            first = len(found.boxes)
            batch_sizes = dataset.data.sizes[first : first + len(images)].tolist()
            batch = detections_in_pixels(predictor, predictions, batch_sizes, *thresholds)
            for boxes, labels, scores in zip(*batch, strict=True):
                found.add(boxes, labels_in_data[labels], scores)
            watch.lap("post-processing")
            if criterion:
                crowds = [dataset.crowds(k) for k in range(first, first + len(images))]
                true = ([tensor.to(device) for tensor in part] for part in (true_boxes, true_labels, crowds))
                found.sums += criterion.measure(*predictions, *true).pack().cpu()
                watch.lap()
            bar.update(len(images))
    found.seconds = watch.seconds
    return found


def _progress_bar(n_images: int, quiet: bool) -> tqdm:
    """Of several processes, only the first shows one, for its share."""
    n_processes = distributed.n_processes()
    what = f"evaluating, share 1 of {n_processes}" if n_processes > 1 else "evaluating"
    quiet = quiet or distributed.rank() > 0
    return tqdm(total=n_images, desc=what, unit="image", dynamic_ncols=True, leave=None, disable=quiet)


def own_share(dataset: PascalVOCDataset) -> PascalVOCDataset:
    """What this process detects of a data set: all of it, or of n processes each takes every n-th image."""
    return dataset.subset(range(distributed.rank(), len(dataset), distributed.n_processes()))


def put_together(shares: Sequence[DataSetDetections]) -> DataSetDetections:
    """The detections in the whole data set, from what each process found in its share, in order of rank.

    The times are those of the first process, which the others worked beside.
    """
    whole = DataSetDetections(seconds=shares[0].seconds, sums=torch.stack([share.sums for share in shares]).sum(dim=0))
    for name in ("boxes", "labels", "scores"):
        turns = zip_longest(*(getattr(share, name) for share in shares))
        setattr(whole, name, [image for turn in turns for image in turn if image is not None])
    return whole


def match_dataset(found: DataSetDetections, data: DataList) -> Matches:
    """The `Matches` of detections with the objects of a data list, in which crowds count as difficult objects."""
    data = data.with_difficult_crowds()
    n_objects = np.diff(data.offsets).tolist()
    columns = (data.boxes, data.labels, data.difficulties)
    boxes, labels, difficulties = (torch.from_numpy(column).split(n_objects) for column in columns)
    return match_detections(found.boxes, found.labels, found.scores, boxes, labels, difficulties, data.label_map)
