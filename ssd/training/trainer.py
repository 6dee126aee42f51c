"""The training loop."""

import math
import signal
import sys
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn
from tqdm import tqdm

from ssd.errors import InputError
from ssd.inference.device import autocast
from ssd.model.loss import Figures, MultiBoxLoss
from ssd.training import distributed
from ssd.training.batches import TrainingBatches, on_device, training_loader
from ssd.training.ema import Average
from ssd.training.interrupt import stop_signals
from ssd.training.optimiser import create_optimiser, restore_optimiser, set_learning_rate, train_mode
from ssd.training.progress import Progress
from ssd.training.schedule import learning_rate
from ssd.training.validation import column_figures

READ_EVERY = {"cpu": 1, "cuda": 10}  # iterations between readings of the figures: the GPU works on meanwhile
MOST_SKIPPED = 50  # steps in a row that float16 may leave out: by then its scale has fallen by 2^50
MOST_UNREADABLE = 0.01  # of the data set's pictures
MEMORY_SHORT = "out of memory", "ALLOC_FAILED", "can't allocate memory"  # as CUDA, its libraries, the CPU put it

# What a step tells of its batch. stopped: the run was told to stop. norm: of the gradient, before clipping.
FIGURES = (*Figures._fields, "stopped", "norm")
LOC, CONF, POSITIVES, STOPPED = (FIGURES.index(name) for name in ("loc_sum", "conf_sum", "n_positives", "stopped"))


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    iterations, batch_size, lr: as in the paper. drops: iterations at which the rate falls to a tenth. warmup:
    iterations over which it rises. clip_norm: largest norm of the gradient, 0 for any. accumulate: parts that a batch
    is computed in. freeze: first convolutions that stay as they are. ema: decay of the weights' moving average, 0 for
    none. workers: processes that load data. save_every, eval_every: iterations between checkpoints and validations.
    patience: validations without a better mAP after which the run ends, 0 for any number.
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


@dataclass
class Best:
    """The best validation so far. table: what eval.py would print of it. waited: validations since."""

    mAP: float = -math.inf
    iteration: int = 0
    table: str = ""
    waited: int = 0

    def beaten_by(self, validated, iteration):
        """Take note of a `Validated`; whether it is the best. The first is, also where no object counts for mAP."""
        mAP = validated.figures["val_mAP"]
        if not mAP > self.mAP and self.iteration:
            self.waited += 1
            return False
        self.mAP, self.iteration, self.table = -math.inf if math.isnan(mAP) else mAP, iteration, validated.table
        self.waited = 0
        return True


class Trainer:
    """Trains an `SSD300` on a `PascalVOCDataset`, on one device or, under `distributed.process_group`, on several.

    dtype: what matrix products are computed in; weights stay float32, float16 has its loss scaled.

    A step backpropagates the sums of the loss and divides the gradients once, by the positives of the whole batch:
    over how many processes and parts it was spread makes no difference.
    """

    def __init__(self, model, dataset, recipe, device="cpu", dtype=torch.float32):
        processes = distributed.n_processes()
        if recipe.batch_size % (processes * recipe.accumulate):
            raise InputError(
                f"--batch-size {recipe.batch_size} is the batch of all processes and must be a multiple of "
                f"{processes} (processes) x {recipe.accumulate} (--accumulate)"
            )
        self.device = torch.device(device)
        self.model = model.to(self.device, memory_format=torch.channels_last)
        self.dataset = dataset
        self.recipe = recipe
        self.dtype = dtype
        train_mode(self.model, recipe.freeze)
        self.network = distributed.parallel(self.model)
        self.criterion = MultiBoxLoss(model.priors_cxcy, variances=model.config.variances)
        self.optimiser = create_optimiser(self.model)
        # The gradient is of a sum, thousands of times that of a mean: the usual first scale would overflow.
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=256.0, enabled=dtype == torch.float16)
        self.average = Average(self.model, recipe.ema) if recipe.ema else None
        self.iteration = 0
        self.skipped = self.skipped_in_a_row = 0
        self.best = Best()
        self.unreadable = set()

    @property
    def result(self):
        """The model that the run is about: its moving average where there is one."""
        return self.average.model if self.average else self.model

    def state(self):
        """What `restore` needs to go on from here, beside the model: plain containers and tensors."""
        return {
            "iteration": self.iteration,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "skipped": [self.skipped, self.skipped_in_a_row],
            "average": self.average and self.average.model.state_dict(),
            "best": vars(self.best),
        }

    def restore(self, state):
        """Go on where a run's `state` was taken; the model must have been loaded from the same checkpoint."""
        self.iteration = state["iteration"]
        restore_optimiser(self.optimiser, state["optimiser"])
        if state["scaler"]:  # empty where the run was not in float16 so far
            self.scaler.load_state_dict(state["scaler"])
        self.skipped, self.skipped_in_a_row = state["skipped"]
        if self.average:
            self.average.model.load_state_dict(state["average"] or self.model.state_dict())
        self.best = Best(**state["best"])

    def run(self, folder, validate):
        """Train from the present iteration to the last, with a progress line.

        folder: the `RunFolder` of the first process, None in the others.
        validate: called with the model and the criterion, gives a `Validated`.
        Returns 0, or the number of the signal that ended the run early. Raises InputError where the loss or the
        gradient is not finite, where too many pictures cannot be read, and where memory is short.
        """
        recipe = self.recipe
        unread = []  # what a step returned, with its rate
        if self._out_of_patience():
            return 0
        with (
            stop_signals() as stop,
            _memory_named(recipe),
            Progress(recipe.iterations, self.iteration, recipe.batch_size, quiet=folder is None) as progress,
        ):
            for parts in progress.timed(on_device(self._batches(), self.device)):
                stop.error = self._note_unreadable(parts)
                rate = learning_rate(self.iteration, recipe.lr, recipe.drops, recipe.warmup)
                unread.append((rate, self.step(parts, rate, stop)))
                saves = self._due(recipe.eval_every) or self._due(recipe.save_every)
                if not saves and self.iteration % READ_EVERY[self.device.type]:
                    continue
                rows, stopped = self._read(unread, folder)
                unread = []
                self._record(rows, saves or stopped, folder, validate)
                progress.update(rows)
                if stopped and stop.error:
                    raise InputError(stop.error)
                if stopped:
                    return stop.signal or signal.SIGTERM  # which may have reached another process only
                if self._out_of_patience():
                    return 0
        return 0

    def step(self, parts, rate, stop=None):
        """One step of SGD on a batch, a list of one `Batch` or more. Returns its `FIGURES`, a tensor on the device."""
        set_learning_rate(self.optimiser, rate)
        self.optimiser.zero_grad(set_to_none=True)
        sums = sum(self._backward(part, last=part is parts[-1]) for part in parts)  # (5,)
        stopped = torch.full_like(sums[:1], bool(stop))
        sums = distributed.total(torch.cat([sums, stopped]))
        self.scaler.unscale_(self.optimiser)
        norm = self._divide_gradients(sums[POSITIVES])
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.model, self.iteration)
        self.iteration += 1
        return torch.cat([sums, norm.reshape(1)])

    def _backward(self, part, last):
        """Add the gradients of one part of a batch. Returns what `MultiBoxLoss.measure` does."""
        part = part.to(self.device)
        with nullcontext() if last else distributed.without_averaging(self.network):
            with autocast(self.device, self.dtype):
                locs, scores = self.network(part.images)
            sums = self.criterion.measure(locs, scores, part.boxes, part.labels).pack()
            self.scaler.scale(sums[CONF] + self.criterion.alpha * sums[LOC]).backward()
        return sums.detach()

    def _divide_gradients(self, n_positives):
        """Make the gradient of the sum, averaged over the processes, that of the loss; clip it. Returns its norm."""
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters]
        torch._foreach_mul_(gradients, distributed.n_processes() / n_positives.clamp(min=1))
        return nn.utils.clip_grad_norm_(parameters, self.recipe.clip_norm or math.inf)

    def whole_batch(self, iteration):
        """The `Batch` of an iteration, of all parts and processes, made anew."""
        recipe = self.recipe
        batches = TrainingBatches(len(self.dataset), recipe.batch_size, iteration + 1, iteration, recipe.seed)
        return next(iter(training_loader(self.dataset, batches)))

    def _batches(self):
        """The batches from the present iteration on, each a list of its parts that are this process's."""
        recipe = self.recipe
        batches = TrainingBatches(
            len(self.dataset), recipe.batch_size, recipe.iterations, self.iteration, recipe.seed, recipe.accumulate,
            (distributed.rank(), distributed.n_processes()),
        )  # fmt: skip
        parts = iter(training_loader(self.dataset, batches, recipe.workers, self.device.type == "cuda"))
        while batch := list(islice(parts, recipe.accumulate)):
            yield batch

    def _due(self, every):
        """Whether what happens every so many iterations, and after the last, happens now. 0: after the last only."""
        return self.iteration == self.recipe.iterations or bool(every) and self.iteration % every == 0

    def _out_of_patience(self):
        return bool(self.recipe.patience) and self.best.waited >= self.recipe.patience

    def _record(self, rows, saves, folder, validate):
        """Validate where it is due, write the rows of results.csv, and the checkpoints."""
        if saves:
            self._check_weights(rows[-1]["lr"], folder)
        validated, error = None, None
        try:
            if self._due(self.recipe.eval_every):
                validated = validate(self.result, self.criterion)
                rows[-1] |= validated.figures
        except InputError as bad_picture:  # of the test list: it must not cost the iterations since the last save
            error = bad_picture
        best = validated and self.best.beaten_by(validated, self.iteration)
        if folder:
            folder.append(rows)
            if validated:
                folder.show(self.iteration, validated.pictures)
            if best:
                folder.save_best(self.result)
            if saves:
                folder.save(self)
        if error:
            raise error

    def _read(self, unread, folder):
        """The rows of results.csv from figures that the device has, and whether the run was told to stop."""
        rows, first = [], self.iteration - len(unread)
        values = torch.stack([figures for _, figures in unread]).tolist()
        for iteration, (rate, _), row in zip(range(first, self.iteration), unread, values, strict=True):
            figures = dict(zip(FIGURES, row, strict=True))
            self._check(iteration, rate, figures, folder)
            rows.append(
                {"iteration": iteration + 1, "lr": rate} | column_figures("train", figures, self.criterion.alpha)
            )
        return rows, any(row[STOPPED] for row in values)

    def _check(self, iteration, rate, figures, folder):
        """Raises InputError where a figure is not finite, but for gradients that float16's scale will get right."""
        names = {"loc_sum": "localisation loss", "conf_sum": "confidence loss", "norm": "gradient"}
        wrong = [name for key, name in names.items() if not math.isfinite(figures[key])]
        if wrong == ["gradient"] and self.scaler.is_enabled():
            self.skipped += 1
            self.skipped_in_a_row += 1
            if self.skipped_in_a_row <= MOST_SKIPPED:
                return
        elif not wrong:
            self.skipped_in_a_row = 0
            return
        self._refuse(iteration, rate, wrong, folder)

    def _check_weights(self, rate, folder):
        """Raises InputError where the last step made weights that are not finite, out of a gradient that was."""
        if not all(tensor.isfinite().all() for tensor in self.model.state_dict().values()):
            self._refuse(self.iteration - 1, rate, ["weights"], folder)

    def _refuse(self, iteration, rate, wrong, folder):
        batch = self.whole_batch(iteration)
        kept = f" The batch is kept in {folder.keep_batch(batch, iteration + 1)}." if folder else ""
        raise InputError(
            f"iteration {iteration + 1}: not finite at rate {rate:.2g}: {' and '.join(wrong)}; a lower --lr, a longer "
            f"--warmup or --clip-norm 10 may help.{kept} Its pictures: {', '.join(batch.paths)}"
        )

    def _note_unreadable(self, parts):
        """Name the pictures that cannot be read, each once. Returns a sentence where they are too many, or None."""
        for path, sentence in ((path, why) for part in parts for path, why in part.faults.items()):
            if path not in self.unreadable:
                self.unreadable.add(path)
                tqdm.write(f"warning: another picture stands in for one that is bad: {sentence}", sys.stderr)
        if len(self.unreadable) > MOST_UNREADABLE * len(self.dataset):
            return (
                f"{len(self.unreadable)} of {len(self.dataset)} pictures could not be read, more than "
                f"{MOST_UNREADABLE:.0%}; mend or remove them (create_data_lists.py leaves them out) and --resume"
            )
        return None


@contextmanager
def _memory_named(recipe):
    """Raises InputError where memory is short, with what to do about it."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if "DataLoader worker" in str(error):  # shared memory is short in containers, and the system kills for lack
            raise InputError(
                f"a process that loads pictures died, mostly for lack of memory ({str(error).splitlines()[0]}); "
                f"--resume with a smaller --workers than {recipe.workers}, 0 needs none"
            ) from None
        if not any(words in str(error) for words in MEMORY_SHORT):
            raise
        raise InputError(
            f"out of memory with --batch-size {recipe.batch_size} in {recipe.accumulate} part(s); --accumulate "
            f"{2 * recipe.accumulate} computes the same batches in smaller parts, a smaller --batch-size needs less too"
        ) from None
