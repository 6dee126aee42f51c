"""Runs a model over a data set."""

from dataclasses import dataclass, field

import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from ssd.data import collate
from ssd.inference import for_inference, predict

# The settings of the paper's evaluation.
MIN_SCORE, MAX_OVERLAP, TOP_K = 0.01, 0.45, 200


@dataclass
class DataSetDetections:
    """Detections of a whole data set: lists with a tensor an image, in the pixels of the pictures, best first."""

    boxes: list = field(default_factory=list)
    labels: list = field(default_factory=list)
    scores: list = field(default_factory=list)


def detect_dataset(model, dataset, batch_size=8, workers=0, device="cpu", dtype=torch.float32):
    """`DataSetDetections` of a `PascalVOCDataset` at the paper's evaluation settings. The model stays as it is."""
    model = for_inference(model, device, dtype)
    loader = DataLoader(
        dataset, batch_size, num_workers=workers, collate_fn=collate, pin_memory=torch.device(device).type == "cuda"
    )
    found = DataSetDetections()
    sizes = [entry["size"] for entry in dataset.objects]
    with tqdm(total=len(dataset), desc="evaluating", unit="image") as progress:
        for images, *_ in loader:
            start = len(found.boxes)
            batch = predict(model, images, sizes[start : start + len(images)], MIN_SCORE, MAX_OVERLAP, TOP_K)
            for whole, part in zip((found.boxes, found.labels, found.scores), batch, strict=True):
                whole += part
            progress.update(len(images))
    return found


def ground_truth(objects):
    """The objects of a data list as `calculate_mAP` takes them: lists of boxes (n, 4) in pixels, labels (n,) and
    difficulties (n,)."""
    boxes = [torch.tensor(entry["boxes"], dtype=torch.float64).view(-1, 4) for entry in objects]
    labels = [torch.tensor(entry["labels"], dtype=torch.int64) for entry in objects]
    difficulties = [torch.tensor(entry["difficulties"], dtype=torch.bool) for entry in objects]
    return boxes, labels, difficulties
