"""Which samples make up which batch: a function of the iteration, so that a run can go on from any."""

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from ssd.data.loading import collate, loader
from ssd.errors import InputError
from ssd.model.loss import padded


class TrainingBatches(Sampler):
    """Yields, for each iteration from `start` to `iterations`, the (epoch, index) pairs of its samples.

    Every epoch is a shuffle of the data set, drawn from (seed, epoch); batches run on across its end, so all are full.
    n_parts: of each batch, equal ones, each yielded by itself; `part_of_process` is (rank, number of processes): the
    parts are shared out over the processes.
    """

    def __init__(self, n_images, batch_size, iterations, start=0, seed=0, n_parts=1, part_of_process=(0, 1)):
        self.n_images = n_images
        self.batch_size = batch_size
        self.iterations = iterations
        self.start = start
        self.seed = seed
        self.n_parts = n_parts
        self.part_of_process = part_of_process

    def __len__(self):
        return (self.iterations - self.start) * self.n_parts

    def __iter__(self):
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
    """A batch, or a part of one, with where it came from.

    images: (N, 3, 300, 300). boxes, labels, difficulties: `padded`, as few tensors travel faster than many between
    processes, and to a GPU. paths: of the N pictures.
    faults: path -> sentence of the pictures that could not be read, for which others stand in.
    """

    images: torch.Tensor
    boxes: torch.Tensor
    labels: torch.Tensor
    difficulties: torch.Tensor
    paths: list
    faults: dict

    def pin_memory(self):
        """Called by the DataLoader, for faster copies to the GPU."""
        images, boxes, labels = (tensor.pin_memory() for tensor in (self.images, self.boxes, self.labels))
        return replace(self, images=images, boxes=boxes, labels=labels)

    def to(self, device):
        """The batch with its images, boxes and labels on a device."""
        images = self.images.to(device, memory_format=torch.channels_last, non_blocking=True)
        boxes, labels = (tensor.to(device, non_blocking=True) for tensor in (self.boxes, self.labels))
        return replace(self, images=images, boxes=boxes, labels=labels)

    def record_stream(self, stream):
        """Keep the memory of a batch on a GPU from reuse before what `stream` does now is done."""
        for tensor in (self.images, self.boxes, self.labels):
            tensor.record_stream(stream)

    def samples(self):
        """Each picture's image, boxes, labels and difficulties, without what they are padded with."""
        for image, boxes, labels, difficulties in zip(
            self.images, self.boxes, self.labels, self.difficulties, strict=True
        ):
            real = labels > 0
            yield image, boxes[real], labels[real], difficulties[real]


class _Readable(Dataset):
    """The samples of a data set by (epoch, index), with their paths; what cannot be read is replaced by the next."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __getitem__(self, key):
        epoch, index = key
        n_images, faults = len(self.dataset), {}
        for other in range(index, index + n_images):
            path = self.dataset.data.paths[other % n_images]
            try:
                return self.dataset[epoch, other % n_images], path, faults
            except InputError as error:
                faults[path] = str(error)
        raise InputError(f"no picture can be read; the first: {next(iter(faults.values()))}")


def _create_batch(samples):
    samples, paths, faults = zip(*samples, strict=True)
    images, *targets = collate(samples)
    return Batch(
        images, *map(padded, targets), list(paths), {path: why for part in faults for path, why in part.items()}
    )


def training_loader(dataset, batches, workers=0, pin_memory=False):
    """A DataLoader that gives the `Batch` of each entry of `batches`, keys of a `PascalVOCDataset`."""
    return loader(
        _Readable(dataset), workers, _create_batch, batch_sampler=batches, pin_memory=pin_memory,
        generator=torch.Generator(),
    )  # fmt: skip


def on_device(batches, device):
    """Batches, each a list of parts, on a device. To a GPU, the next one is copied while this one is worked on."""
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
