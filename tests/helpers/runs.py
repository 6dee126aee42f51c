"""Runs of training, as several tests start them and look at them."""

import torch

from ssd import load_checkpoint
from ssd.checkpoint import load_training_state
from ssd.data.columns import DataList
from ssd.detector import Detections
from ssd.training.batches import TrainingBatches, training_loader
from ssd.training.run.panels import TrackedPicture
from ssd.training.run.results import Results, read_results
from ssd.training.validation import Validated

OPTIONS = "--weights none --batch-size 2 --workers 0 --device cpu --precision fp32 --log none --lr 1e-3"
NAMES = ("cat", "dog")


def iteration_of(folder):
    return load_training_state(folder / "last.pth")["iteration"]


def rows_of(folder):
    return read_results(folder / "results.csv")["iteration"].tolist()


def weights_of(folder, name="last.pth"):
    return load_checkpoint(folder / name).state_dict()


def validated(mAP):
    return Validated(mAP, {"val_loss": 1.0, "val_mAP": mAP}, "table", [])


def batches_of(dataset, batch_size, iterations, seed=0, workers=0):
    return training_loader(dataset, TrainingBatches(len(dataset), batch_size, iterations, seed=seed), workers)


def row(iteration, **more):
    return {"iteration": iteration, "lr": 1e-3, "train_loss": 10 / iteration, **more}


def write_results(path, rows, iteration=0):
    Results(path, iteration).append(rows)


def detections(*rows):
    """`Detections` of (box, label, score) rows."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    names = [NAMES[label - 1] for label in labels]
    return Detections(torch.tensor(boxes).view(-1, 4), torch.tensor(labels).long(), torch.tensor(scores), names)


def tracked(path, found, boxes=(), labels=()):
    row = (str(path), (1, 1), boxes, labels, [False] * len(labels), [], [])
    return TrackedPicture(DataList.from_images([row], NAMES)[0], found)
