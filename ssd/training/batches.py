"""Which samples make up which batch: a function of the iteration, so that a run can go on from any."""

import numpy as np
from torch.utils.data import DataLoader, Sampler

from ssd.data import collate


class TrainingBatches(Sampler):
    """Yields, for each iteration from `start` to `iterations`, the (epoch, index) pairs of its samples.

    Every epoch is a shuffle of the data set, drawn from (seed, epoch); batches run on across its end, so all are full.
    """

    def __init__(self, n_images, batch_size, iterations, start=0, seed=0):
        self.n_images = n_images
        self.batch_size = batch_size
        self.iterations = iterations
        self.start = start
        self.seed = seed

    def __len__(self):
        return self.iterations - self.start

    def __iter__(self):
        shuffled = None
        for position in range(self.start * self.batch_size, self.iterations * self.batch_size, self.batch_size):
            batch = []
            for epoch, k in (divmod(p, self.n_images) for p in range(position, position + self.batch_size)):
                if shuffled is None or shuffled[0] != epoch:
                    shuffled = epoch, np.random.default_rng((self.seed, epoch)).permutation(self.n_images)
                batch.append((epoch, int(shuffled[1][k])))
            yield batch


def training_loader(dataset, batch_size, iterations, start=0, seed=0, workers=0, pin_memory=False):
    """A DataLoader over `TrainingBatches` of a data set."""
    batches = TrainingBatches(len(dataset), batch_size, iterations, start, seed)
    return DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=collate, pin_memory=pin_memory)
