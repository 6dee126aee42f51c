"""A training step, and the memory it needs, against torchvision's SSD300."""

import multiprocessing
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection.ssd import SSD

from benchmarks.models import create_pair, inputs, random_scenes
from benchmarks.timing import Measured, Memory, Timer
from ssd import SSD300, MultiBoxLoss
from ssd.inference.device import choose_precision, prepare_for_training
from ssd.model.loss import padded
from ssd.training.batches import Batch
from ssd.training.recipe import Recipe
from ssd.training.step import TrainingStep

RATE = 1e-6  # so small that the weights, and with them the speed, hardly change

Tensors = list[Tensor]


def training_step(timer: Timer, precision: str = "auto") -> Measured:
    """Forward, matching, loss, backward and SGD, for 8 pictures on a CPU and 32 on a GPU."""
    device, batch = timer.device, default_batch(timer.device)
    images, boxes, labels = random_batch(batch)
    ours, theirs = create_pair()
    check_loss(ours, theirs, images[:2], boxes[:2], labels[:2])
    runs = {
        "ours": our_step(ours, images, boxes, labels, device, precision),
        "torchvision ssd300_vgg16, SGD": their_step(theirs, images, boxes, labels, device),
    }
    return Measured(f"training step, batch {batch}, ours {precision}", timer.measure(runs), batch)


def default_batch(device: torch.device) -> int:
    return 32 if device.type == "cuda" else 8


def random_batch(n: int) -> tuple[Tensor, Tensors, Tensors]:
    """Normalised images (n, 3, 300, 300), and the boxes (fractions) and labels of each."""
    pictures, pixel_boxes = random_scenes(n)
    ours, _ = create_pair()
    boxes = [torch.from_numpy(b / np.tile(p.size, 2)).float() for b, p in zip(pixel_boxes, pictures, strict=True)]
    labels = [torch.randint(1, ours.config.n_classes, (len(b),)) for b in boxes]
    return inputs(pictures, ours.config), boxes, labels


def our_step(
    model: SSD300, images: Tensor, boxes: Tensors, labels: Tensors, device: torch.device, precision: str
) -> Callable[[], object]:
    """A function that takes one step as train.py does."""
    crowds = torch.zeros(len(images), 1, 4)
    batch = Batch(images, padded(boxes), padded(labels), padded(labels) < 0, crowds, [], {})
    batch = batch.pin_memory() if device.type == "cuda" else batch  # as the loader returns it
    recipe = Recipe(iterations=1, batch_size=len(images), lr=RATE)
    step = TrainingStep(model, recipe, device, choose_precision(precision, device))
    return lambda: step([batch], RATE)


def their_step(
    model: SSD, images: Tensor, boxes: Tensors, labels: Tensors, device: torch.device
) -> Callable[[], object]:
    """A function that takes one step with torchvision's model, as its references do."""
    model.train().to(device)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, weight_decay=5e-4)
    pictures, targets = their_arguments(model, images, boxes, labels, "cpu")

    def step():
        on_device = [{name: tensor.to(device) for name, tensor in target.items()} for target in targets]
        losses = model([picture.to(device) for picture in pictures], on_device)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()

    return step


def their_arguments(
    model: SSD, images: Tensor, boxes: Tensors, labels: Tensors, device: torch.device | str
) -> tuple[Tensors, list[dict[str, Tensor]]]:
    """Pictures from 0 to 1 and targets in pixels, on the device. Their model normalises them itself."""
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (model.transform.image_mean, model.transform.image_std)
    )
    pictures = [(image * std + mean).to(device) for image in images]
    targets = zip(boxes, labels, strict=True)
    return pictures, [{"boxes": (300 * b).to(device), "labels": lb.to(device)} for b, lb in targets]


def check_loss(ours: SSD300, theirs: SSD, images: Tensor, boxes: Tensors, labels: Tensors) -> None:
    """Raises RuntimeError if the losses differ by more than the other matching of shared priors explains."""
    theirs.train()
    with torch.no_grad():
        expected = sum(theirs(*their_arguments(theirs, images, boxes, labels, "cpu")).values()).item()
        found = MultiBoxLoss(ours.priors_cxcy)(*ours(images), boxes, labels).item()
    if abs(found - expected) > 1e-3 * expected:
        raise RuntimeError(f"training step: the losses are {found:g} and {expected:g}")


def peak_memory(timer: Timer) -> Memory:
    """The peak memory of training steps, each contender in a process of its own."""
    device = timer.device
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {side: pool.apply(steps_memory, (side, device)) for side in ("ours", "torchvision")}
    what = "allocated on the GPU" if device.type == "cuda" else "of the process"
    return Memory(f"peak memory of training steps, batch {default_batch(device)}, {what}", peaks)


def steps_memory(side: str, device: torch.device) -> int:
    """The peak memory of two steps in bytes: on a GPU what is allocated there, else that of the whole process."""
    if device.type == "cuda":
        prepare_for_training(device)
    images, boxes, labels = random_batch(default_batch(device))
    ours, theirs = create_pair()
    if side == "ours":
        del theirs
        step = our_step(ours, images, boxes, labels, device, "auto")
    else:
        del ours
        step = their_step(theirs, images, boxes, labels, device)
    for _ in range(2):
        step()
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return _peak_of_process()


def _peak_of_process() -> int:
    """Bytes. On Linux, getrusage would include the process that started this one."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
    except OSError:
        import resource  # not on Windows

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
