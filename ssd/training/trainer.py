"""The training loop."""

import signal
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from tqdm import tqdm

from ssd import distributed
from ssd.data import PascalVOCDataset
from ssd.errors import InputError
from ssd.interrupt import stop_signals
from ssd.model.network import SSD
from ssd.training.batches import Batch, TrainingBatches, on_device, training_loader
from ssd.training.health import Health, finite_weights, not_finite_error, out_of_memory_named
from ssd.training.progress import Progress, evaluation_line
from ssd.training.recipe import Recipe
from ssd.training.run.folder import RunFolder
from ssd.training.step import StepFigures, TrainingStep, read_figures
from ssd.training.validation import Best, Validate, column_figures

READ_EVERY = {"cpu": 1, "cuda": 10}  # iterations between readings of the figures, so that a GPU is rarely waited for


class Trainer:
    """Trains an `SSD` on a `PascalVOCDataset`, on one device or, under `distributed.process_group`, on several.

    dtype: see `TrainingStep`. Raises InputError if the batch cannot be divided among the processes and parts.
    """

    def __init__(
        self,
        model: SSD,
        dataset: PascalVOCDataset,
        recipe: Recipe,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        processes = distributed.n_processes()
        if recipe.batch_size % (processes * recipe.accumulate):
            raise InputError(
                f"--batch-size {recipe.batch_size} is the batch of all processes and must be a multiple of "
                f"{processes} (processes) x {recipe.accumulate} (--accumulate)"
            )
        self.dataset = dataset
        self.recipe = recipe
        self.step = TrainingStep(model, recipe, device, dtype)
        self.health = Health(len(dataset), float16=dtype == torch.float16)
        self.best = Best()

    @property
    def iteration(self) -> int:
        """The number of iterations done."""
        return self.step.iteration

    def state(self) -> dict[str, Any]:
        """What `restore` needs besides the model: plain containers and tensors."""
        skipped = [self.health.skipped, self.health.skipped_in_a_row]
        return self.step.state() | {"skipped": skipped, "best": vars(self.best)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a run's `state`. The model must have been loaded from the same checkpoint."""
        self.step.restore(state)
        self.health.skipped, self.health.skipped_in_a_row = state["skipped"]
        self.best = Best(**state["best"])

    def run(self, folder: RunFolder | None, validate: Validate) -> int:
        """Train from the present iteration to the last, with a progress line.

        folder: where the first process writes; None in the others.
        Returns 0, or the number of the signal that stopped the run. Raises InputError if the loss, the gradient or the
        weights are not finite, if too many pictures cannot be read, and if memory runs out.
        """
        if self._out_of_patience():
            return 0
        recipe, quiet = self.recipe, folder is None
        with (
            stop_signals() as stop,
            out_of_memory_named(recipe, stop),
            Progress(recipe.iterations, self.iteration, recipe.batch_size, len(self.dataset), quiet) as progress,
        ):
            steps: list[StepFigures] = []  # those not read yet
            for parts in progress.timed(on_device(self.batches(), self.step.device)):
                self.health.note_unreadable(parts)
                steps.append(self.step(parts, recipe.rate(self.iteration)))
                if not self._reading_due():
                    continue
                stop.error = self.health.too_many_unreadable(self.step.device)
                stopped = distributed.in_any(bool(stop), self.step.device)
                rows = self._read(steps, folder)
                steps = []
                self._record(rows, self._saving_due() or stopped, folder, validate)
                progress.update(rows)
                if stopped and stop.error:
                    raise InputError(stop.error)
                if stopped:
                    return stop.signal or signal.SIGTERM  # another process may have been the only one to receive it
                if self._out_of_patience():
                    return 0
        return 0

    def whole_batch(self, iteration: int) -> Batch:
        """The batch of an iteration, with the shares of all parts and processes, made again."""
        recipe = self.recipe
        batches = TrainingBatches(len(self.dataset), recipe.batch_size, iteration + 1, iteration, recipe.seed)
        return next(iter(training_loader(self.dataset, batches)))

    def batches(self) -> Iterator[list[Batch]]:
        """The batches from the present iteration on, each as a list of this process's parts."""
        recipe = self.recipe
        batches = TrainingBatches(
            len(self.dataset), recipe.batch_size, recipe.iterations, self.iteration, recipe.seed, recipe.accumulate,
            (distributed.rank(), distributed.n_processes()),
        )  # fmt: skip
        parts = iter(training_loader(self.dataset, batches, recipe.workers, self.step.device.type == "cuda"))
        while batch := list(islice(parts, recipe.accumulate)):
            yield batch

    def _due(self, every):
        """Whether something due every so many iterations, and after the last, is due now. 0: after the last only."""
        return self.iteration == self.recipe.iterations or bool(every) and self.iteration % every == 0

    def _saving_due(self):
        return self._due(self.recipe.eval_every) or self._due(self.recipe.save_every)

    def _reading_due(self):
        return self._saving_due() or self._due(READ_EVERY[self.step.device.type])

    def _out_of_patience(self):
        return bool(self.recipe.patience) and self.best.waited >= self.recipe.patience

    def _read(self, steps: Sequence[StepFigures], folder: RunFolder | None):
        """The rows of results.csv for the latest steps."""
        rows = []
        for iteration, step in enumerate(read_figures(steps), start=self.iteration - len(steps)):
            if wrong := self.health.note_step(step):
                self._refuse(iteration, wrong, folder)
            figures = column_figures("train", step.figures, self.step.criterion.alpha)
            rows.append({"iteration": iteration + 1, "lr": self.recipe.rate(iteration)} | figures)
        return rows

    def _refuse(self, iteration, wrong, folder):
        batch = self.whole_batch(iteration)
        kept = folder.keep_batch(batch, iteration + 1) if folder else None
        raise not_finite_error(iteration + 1, self.recipe.rate(iteration), wrong, batch, kept)

    def _record(self, rows, saves, folder, validate):
        """Validate if it is due, write the rows of results.csv, and save checkpoints."""
        if saves and not finite_weights(self.step.model):
            self._refuse(self.iteration - 1, ["weights"], folder)
        validated, error = self._validated(validate)
        is_best = validated and self.best.beaten_by(validated)
        if validated:
            rows[-1] |= validated.figures
            self.best = self.best.after(validated, self.iteration)
        if folder:
            folder.append(rows)
            if validated:
                tqdm.write(evaluation_line(rows[-1], self.best))
                folder.show(self.iteration, validated.pictures)
            if is_best:
                folder.save_best(self.step.result, self.recipe.chooses)
            if saves:
                folder.save(self.step.model, self.state())
        if error:
            raise error

    def _validated(self, validate):
        """A `Validated` or None, and the error of a bad picture or None.

        The error must not cost the iterations since the last checkpoint, so it waits until the next one is saved.
        """
        if not self._due(self.recipe.eval_every):
            return None, None
        try:
            return validate(self.step.result, self.step.criterion), None
        except InputError as error:
            return None, error
