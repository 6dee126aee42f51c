"""Which samples make up which batch: a function of the iteration, so that a run can continue from any."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from ssd.data import PascalVOCDataset
from ssd.data.loading import collate, loader
from ssd.errors import InputError
from ssd.model.loss import padded


@dataclass(eq=False)
class TrainingBatches(Sampler):
    """Yields, for each iteration from `start` to `iterations`, the (epoch, index) pairs of its samples.

    Each epoch shuffles the data set, seeded with (seed, epoch). Batches run on across its end, so all are full.
    n_parts: equal parts of this process's share of a batch, yielded one by one.
    part_of_process: (rank, number of processes), which decides the share.
    """

    n_images: int
    batch_size: int
    iterations: int
    start: int = 0
    seed: int = 0
    n_parts: int = 1
    part_of_process: tuple[int, int] = (0, 1)

    def __len__(self) -> int:
        return (self.iterations - self.start) * self.n_parts

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rank, n_processes = self.part_of_process
        size = self.batch_size // (self.n_parts * n_processes)
        own = range(rank * self.n_parts * size, (rank + 1) * self.n_parts * size, size)
        shuffled = None
        for position in range(self.start * self.batch_size, self.iterations * self.batch_size, self.batch_size):
            batch = []
            for epoch, k in (divmod(p, self.n_images) for p in range(position, position + self.batch_size)):
                if shuffled is None or shuffled[0] != epoch:
                    shuffled = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.n_images)
                batch.append((epoch, int(shuffled[1][k])))
            for first in own:
                yield batch[first : first + size]


@dataclass(frozen=True)
class Batch:
    """A batch, or a part of one.

    images: (N, 3, 300, 300). boxes, labels, difficulties, crowds: `padded`, because a few tensors travel faster
    between processes, and to a GPU, than many. paths: of the N pictures.
    faults: path -> sentence, for each picture that could not be used and was replaced by another.
    """

    images: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    difficulties: torch.Tensor
    crowds: torch.Tensor
    paths: list[str]
    faults: dict[str, str]

    def pin_memory(self) -> "Batch":
        """The batch in pinned memory, for faster copies to a GPU. Called by the DataLoader."""
        tensors = (self.images, self.boxes, self.labels, self.crowds)
        images, boxes, labels, crowds = (tensor.pin_memory() for tensor in tensors)
        return replace(self, images=images, boxes=boxes, labels=labels, crowds=crowds)

    def to(self, device: torch.device) -> "Batch":
        """The batch with its images, boxes, labels and crowds on a device."""
        later = device.type == "cuda"  # the CPU would read numbers that are not there yet
        images = self.images.to(device, memory_format=torch.channels_last, non_blocking=later)
        targets = (self.boxes, self.labels, self.crowds)
        boxes, labels, crowds = (tensor.to(device, non_blocking=later) for tensor in targets)
        return replace(self, images=images, boxes=boxes, labels=labels, crowds=crowds)

    def record_stream(self, stream: torch.cuda.Stream) -> None:
        """Keep the batch's memory on a GPU from being reused before the present work of `stream` is done."""
        for tensor in (self.images, self.boxes, self.labels, self.crowds):
            tensor.record_stream(stream)

    def samples(self) -> Iterator[tuple[torch.Tensor, ...]]:
        """Each picture's image, boxes, labels, difficulties and crowds, without the padding."""
        columns = (self.images, self.boxes, self.labels, self.difficulties, self.crowds)
        for image, boxes, labels, difficulties, crowds in zip(*columns, strict=True):
            real = labels > 0
            yield image, boxes[real], labels[real], difficulties[real], crowds[crowds.any(dim=1)]


class _Readable(Dataset):
    """The samples of a data set by (epoch, index), with their paths. The next one replaces one that cannot be read."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitem__(self, key):
        epoch, index = key
        n_images = len(self.dataset)
        faults: dict[str, str] = {}
        for other in range(index, index + n_images):
            key = epoch, other % n_images
            path = self.dataset.data.paths[other % n_images]
            try:
                return self.dataset[key], self.dataset.crowds(key), path, faults
            except InputError as error:
                faults[path] = str(error)
        raise InputError(f"no picture can be read; the first: {next(iter(faults.values()))}")


def _create_batch(entries):
    samples, crowds, paths, faults = zip(*entries, strict=True)
    images, *targets = collate(samples)
    boxes, labels, difficulties = map(padded, targets)
    all_faults = {path: why for part in faults for path, why in part.items()}
    return Batch(images, boxes, labels, difficulties, padded(crowds), list(paths), all_faults)


def training_loader(
    dataset: PascalVOCDataset, batches: TrainingBatches, workers: int = 0, pin_memory: bool = False
) -> DataLoader[Batch]:
    """A DataLoader of the given batches of a data set."""
    return loader(
        _Readable(dataset), workers, _create_batch, batch_sampler=batches, pin_memory=pin_memory,
        generator=torch.Generator(),
    )  # fmt: skip


def on_device(batches: Iterable[list[Batch]], device: torch.device) -> Iterator[list[Batch]]:
    """Batches, each a list of parts, on a device. While a GPU works on one, the next is copied to it."""
    if device.type != "cuda":
        yield from batches
        return
    copying, work, ready = torch.cuda.Stream(device), torch.cuda.current_stream(device), None
    for batch in chain(batches, [None]):
        with torch.cuda.stream(copying):
            following = batch and [part.to(device) for part in batch]
        if ready:
            yield ready
        work.wait_stream(copying)
        for part in following or ():
            part.record_stream(work)
        ready = following
