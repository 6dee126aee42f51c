"""Runs a model over a data set."""

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from tqdm import tqdm

from ssd.data.loading import loader
from ssd.evaluation.matches import match_detections
from ssd.evaluation.result_files import as_saved
from ssd.inference.predictor import as_predictor, detections
from ssd.model.loss import Figures

# The settings of the paper's evaluation.
MIN_SCORE, MAX_OVERLAP, TOP_K = 0.01, 0.45, 200


@dataclass
class DataSetDetections:
    """Detections of a whole data set: lists with a tensor an image, in the pixels of the pictures, best first.

    seconds: time spent on "data" (waiting for it), "network" and "post-processing".
    sums: of the whole data set, the packed `Figures` of the loss, where a criterion was given.
    """

    boxes: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    seconds: Counter = field(default_factory=Counter)
    sums: torch.Tensor = field(default_factory=lambda: torch.zeros(len(Figures._fields)))

    @contextmanager
    def timed(self, what, device):
        """Add the time that the block takes, the device's work included, to `seconds`."""
        start = time.perf_counter()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        self.seconds[what] += time.perf_counter() - start


def detect_dataset(
    model, dataset, batch_size=8, workers=0, device="cpu", dtype=torch.float32, criterion=None, quiet=False
):  # fmt: skip
    """`DataSetDetections` of a `PascalVOCDataset` at the paper's evaluation settings.

    model: an `SSD300`, which stays as it is, or an exported model (`ssd.export.engines`), which has its device and
    its type.
    criterion: a `MultiBoxLoss` that measures an `SSD300`'s predictions on the way. quiet: without a progress line.
    They are rounded as result files round them, so that their figures are those of the files.
    """
    predictor = as_predictor(model, device, dtype)
    device = predictor.device
    batches = loader(dataset, workers, batch_size=batch_size, pin_memory=device.type == "cuda")
    found = DataSetDetections()
    sizes = dataset.data.sizes.tolist()
    with found.timed("data", device):
        waiting = iter(batches)
    bar = {"desc": "evaluating", "unit": "image", "dynamic_ncols": True, "leave": None, "disable": quiet}
    with tqdm(total=len(dataset), **bar) as progress:
        for _ in range(len(batches)):
            with found.timed("data", device):
                images, true_boxes, true_labels, _ = next(waiting)
            with found.timed("network", device):
                predictions = predictor(images)
            if criterion:
                true = ([tensor.to(device) for tensor in part] for part in (true_boxes, true_labels))
                found.sums += criterion.measure(*predictions, *true).pack().cpu()
            with found.timed("post-processing", device):
                start = len(found.boxes)
                batch_sizes = sizes[start : start + len(images)]
                batch = detections(predictor, predictions, batch_sizes, MIN_SCORE, MAX_OVERLAP, TOP_K)
            for whole, part in zip((found.boxes, found.labels, found.scores), batch, strict=True):
                whole += part
            progress.update(len(images))
    found.boxes, found.labels, found.scores = as_saved(found.boxes, found.labels, found.scores)
    return found


def match_dataset(found, data):
    """The `Matches` of detections (anything with boxes, labels and scores) with the objects of a `DataList`."""
    n_objects = np.diff(data.offsets).tolist()
    columns = (data.boxes, data.labels, data.difficulties)
    true = (torch.from_numpy(column).split(n_objects) for column in columns)
    return match_detections(found.boxes, found.labels, found.scores, *true, data.label_map)
