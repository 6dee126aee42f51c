"""The numbers of a training run, the learning rate among them.

The defaults are the paper's, for batches of 32 images. Other batch sizes scale them by the linear rule (Goyal et al.,
2017): the rate grows with the batch and the number of iterations shrinks, so that the same number of images is seen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PAPER_BATCH_SIZE, PAPER_RATE, PAPER_ITERATIONS = 32, 1e-3, 120_000
DROP_FACTOR = 0.1
LONGEST_WARMUP = 1000


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    iterations, batch_size, lr, momentum, weight_decay: as in the paper. alpha, neg_pos_ratio, match_threshold: of the
    loss, see `MultiBoxLoss`. difficult: whether difficult objects are trained on; if not, they are treated as crowds.
    drops: iterations at which the rate falls to a tenth. warmup: number of iterations over which the rate rises.
    clip_norm: largest norm of the gradient, 0 for no limit. accumulate: number of parts that a batch is computed in.
    freeze: number of first convolutions that are not trained. ema: decay of the weights' moving average, 0 for none.
    workers: processes that load data. save_every, eval_every: iterations between checkpoints and between validations, 0
    for the last iteration only. patience: number of validations without a better mAP after which the run ends, 0 for no
    limit.
    """

    iterations: int
    batch_size: int
    lr: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    alpha: float = 1.0
    neg_pos_ratio: int = 3
    match_threshold: float = 0.5
    difficult: bool = True
    drops: tuple[int, ...] = ()
    warmup: int = 0
    clip_norm: float = 0.0
    accumulate: int = 1
    freeze: int = 0
    ema: float = 0.0
    workers: int = 0
    seed: int = 0
    save_every: int = 1000
    eval_every: int = 1000
    patience: int = 0

    @property
    def chooses(self) -> bool:
        """Whether a run has several validations, so that its best model is chosen by them."""
        return 0 < self.eval_every < self.iterations

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, from 0: a function, so there is no state to save."""
        passed = sum(iteration >= drop for drop in self.drops)
        return self.lr * min(1.0, (iteration + 1) / (self.warmup + 1)) * DROP_FACTOR**passed


def paper_recipe(
    batch_size: int,
    iterations: int | None = None,
    lr: float | None = None,
    drops: Sequence[int] | None = None,
    warmup: int | None = None,
    eval_every: int | None = None,
    **others: Any,
) -> Recipe:
    """A `Recipe` in which the paper's numbers, scaled to the batch size, stand in for what is None."""
    if iterations is None:
        iterations = max(1, PAPER_ITERATIONS * PAPER_BATCH_SIZE // batch_size)
    if lr is None:
        lr = PAPER_RATE * batch_size / PAPER_BATCH_SIZE
    if drops is None:
        drops = math.ceil(2 * iterations / 3), math.ceil(5 * iterations / 6)  # 80,000 and 100,000 of 120,000
    if warmup is None:
        warmup = min(LONGEST_WARMUP, iterations // 10)
    if eval_every is None:
        eval_every = max(1, iterations // 10)
    return Recipe(iterations, batch_size, lr, drops=tuple(drops), warmup=warmup, eval_every=eval_every, **others)
