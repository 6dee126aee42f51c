"""The numbers of a training run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssd.training.schedule import default_drops, default_iterations, default_rate, default_warmup, learning_rate


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    iterations, batch_size, lr: as in the paper. drops: iterations at which the rate falls to a tenth. warmup: number of
    iterations over which the rate rises. clip_norm: largest norm of the gradient, 0 for no limit. accumulate: number of
    parts that a batch is computed in. freeze: number of first convolutions that are not trained. ema: decay of the
    weights' moving average, 0 for none. workers: processes that load data. save_every, eval_every: iterations between
    checkpoints and between validations, 0 for the last iteration only. patience: number of validations without a better
    mAP after which the run ends, 0 for no limit.
    """

    iterations: int
    batch_size: int
    lr: float
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

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, counted from 0."""
        return learning_rate(iteration, self.lr, self.drops, self.warmup)


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
    iterations = default_iterations(batch_size) if iterations is None else iterations
    return Recipe(
        iterations=iterations,
        batch_size=batch_size,
        lr=default_rate(batch_size) if lr is None else lr,
        drops=default_drops(iterations) if drops is None else tuple(drops),
        warmup=default_warmup(iterations) if warmup is None else warmup,
        eval_every=max(1, iterations // 10) if eval_every is None else eval_every,
        **others,
    )
