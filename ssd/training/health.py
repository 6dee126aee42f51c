"""Watches over a run: numbers that are not finite, pictures that cannot be read, memory that runs out."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from ssd import distributed
from ssd.errors import InputError
from ssd.interrupt import Stop
from ssd.training.batches import Batch
from ssd.training.recipe import Recipe
from ssd.training.step import StepFigures

MOST_SKIPPED = 50  # steps in a row that float16 may skip: by then its scale has fallen by a factor of 2^50
MOST_UNREADABLE = 0.01  # of the data set's pictures
OUT_OF_MEMORY = "out of memory", "ALLOC_FAILED", "can't allocate memory"  # in the words of CUDA, its libraries, the CPU


@dataclass
class Health:
    """What has gone wrong in a run so far, and whether it is too much.

    n_images: of the data set. float16: gradients may overflow, in which case the step is skipped.
    skipped, skipped_in_a_row: number of such steps. unreadable: paths of pictures, of which the first `n_shared` that
    were found are known to all processes.
    """

    n_images: int
    float16: bool
    skipped: int = 0
    skipped_in_a_row: int = 0
    unreadable: set[str] = field(default_factory=set)
    n_shared: int = 0

    def note_step(self, step: StepFigures) -> list[str]:
        """Count the step if float16 skipped it. Returns the names of figures that are not finite and end the run."""
        loc_sum, conf_sum, *_ = step.figures
        values = {"localisation loss": loc_sum, "confidence loss": conf_sum, "gradient": step.norm}
        wrong = [name for name, value in values.items() if not value.isfinite()]
        if not wrong:
            self.skipped_in_a_row = 0
        elif wrong == ["gradient"] and self.float16:
            self.skipped += 1
            self.skipped_in_a_row += 1
            return wrong if self.skipped_in_a_row > MOST_SKIPPED else []
        return wrong

    def note_unreadable(self, parts: Sequence[Batch]) -> None:
        """Warn of each picture that cannot be read, once."""
        for path, sentence in (fault for part in parts for fault in part.faults.items()):
            if path not in self.unreadable:
                self.unreadable.add(path)
                tqdm.write(f"warning: another picture replaces one that cannot be used: {sentence}", sys.stderr)

    def too_many_unreadable(self, device: torch.device) -> str | None:
        """A sentence if too many pictures, of those of all processes, cannot be read, else None."""
        if distributed.in_any(len(self.unreadable) > self.n_shared, device):
            self.unreadable = set().union(*distributed.gathered(self.unreadable))
            self.n_shared = len(self.unreadable)
        if len(self.unreadable) <= MOST_UNREADABLE * self.n_images:
            return None
        return (
            f"{len(self.unreadable)} of {self.n_images} pictures could not be read, more than {MOST_UNREADABLE:.0%}; "
            "fix or remove them (create_data_lists.py leaves them out) and --resume"
        )


def finite_weights(model: nn.Module) -> bool:
    """Whether all weights are finite. A gradient that is may still have made weights that are not."""
    return all(bool(tensor.isfinite().all()) for tensor in model.state_dict().values())


def not_finite_error(iteration: int, rate: float, wrong: Sequence[str], batch: Batch, kept: Path | None) -> InputError:
    """The error that ends a run. iteration: from 1. wrong: what is not finite. kept: file that holds the batch."""
    where = f" The batch is kept in {kept}." if kept else ""
    return InputError(
        f"iteration {iteration}: not finite at rate {rate:.2g}: {' and '.join(wrong)}; a lower --lr, a longer --warmup "
        f"or --clip-norm 10 may help.{where} Its pictures: {', '.join(batch.paths)}"
    )


@contextmanager
def out_of_memory_named(recipe: Recipe, stop: Stop) -> Iterator[None]:
    """Raises InputError, with what to do about it, if memory runs out in the block. stop: of the run."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        text = str(error)
        if "DataLoader worker" in text and stop.signal:
            raise InputError(
                "a process that loads pictures ended before the run could stop in good order; "
                "--resume continues from the last checkpoint"
            ) from None
        if "DataLoader worker" in text:  # containers have little shared memory, and the system kills for lack of any
            raise InputError(
                f"a process that loads pictures died, usually for lack of memory ({text.splitlines()[0]}); "
                f"--resume with fewer --workers than {recipe.workers}; 0 needs no other processes"
            ) from None
        if not any(words in text for words in OUT_OF_MEMORY):
            raise
        raise InputError(
            f"out of memory with --batch-size {recipe.batch_size} in {recipe.accumulate} part(s); --accumulate "
            f"{2 * recipe.accumulate} computes the same batches in smaller parts, a smaller --batch-size also helps"
        ) from None
