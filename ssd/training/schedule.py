"""The learning rate as a function of the iteration, so there is no state to save.

The defaults are the paper's, for batches of 32 images. Other batch sizes scale them by the linear rule (Goyal et al.,
2017): the rate grows with the batch and the number of iterations shrinks, so that the same number of images is seen.
"""

import math
from collections.abc import Sequence

PAPER_BATCH_SIZE, PAPER_RATE, PAPER_ITERATIONS = 32, 1e-3, 120_000
DROP_FACTOR = 0.1
LONGEST_WARMUP = 1000


def learning_rate(iteration: int, base: float, drops: Sequence[int], warmup: int = 0) -> float:
    """The rate of an iteration, from 0: rising linearly for `warmup` iterations, then `base`, a tenth of it after each
    of the `drops`."""
    passed = sum(iteration >= drop for drop in drops)
    return base * min(1.0, (iteration + 1) / (warmup + 1)) * DROP_FACTOR**passed


def default_rate(batch_size: int) -> float:
    """The paper's rate, scaled to the batch size."""
    return PAPER_RATE * batch_size / PAPER_BATCH_SIZE


def default_iterations(batch_size: int) -> int:
    """The number of iterations that show the paper's 3,840,000 images."""
    return max(1, PAPER_ITERATIONS * PAPER_BATCH_SIZE // batch_size)


def default_drops(iterations: int) -> tuple[int, int]:
    """The iterations at which the rate drops: 80,000 and 100,000 of the paper's 120,000."""
    return math.ceil(2 * iterations / 3), math.ceil(5 * iterations / 6)


def default_warmup(iterations: int) -> int:
    """A tenth of the run, 1,000 iterations at most."""
    return min(LONGEST_WARMUP, iterations // 10)
