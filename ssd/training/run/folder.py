"""The folder of a run: checkpoints, results, pictures."""

import contextlib
from pathlib import Path

import torch

from ssd.checkpoint import save_checkpoint
from ssd.errors import InputError
from ssd.files import naming, replacing
from ssd.training.run.curves import CURVES_NAME, plot_results
from ssd.training.run.logs import is_logged, loggers
from ssd.training.run.panels import BATCH_NAME, VALIDATION_NAME, draw_batch, draw_validation, save_picture
from ssd.training.run.results import RESULTS_NAME, Results, read_results, write_arguments

LAST, BEST, NOT_FINITE = "last.pth", "best.pth", "nonfinite_batch.pth"


def create_run(output=None):
    """The folder of a new run, `output` or the next free runs/N. Raises InputError where one holds a run already.

    A results.csv without rows is no run yet: this one was killed before its first checkpoint.
    """
    taken = [int(path.name) for path in Path("runs").glob("*") if path.name.isdecimal()]
    folder = Path("runs") / str(max(taken, default=0) + 1) if output is None else Path(output)
    results = folder / RESULTS_NAME
    if any((folder / name).exists() for name in (LAST, BEST)) or results.exists() and read_results(results)["lr"].size:
        raise InputError(f"{folder} holds a run already; --resume goes on with it, another --output starts a new one")
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=output is not None)
    return folder


def resumed_checkpoint(file, output=None):
    """The checkpoint to go on from: `file`, or without one the last of `output`, or of the newest of runs/.

    Raises InputError where runs/ has none.
    """
    if file or output:
        return Path(file or Path(output) / LAST)
    found = sorted(Path("runs").glob(f"*/{LAST}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError("--resume: no run in runs/ has a last.pth; name a checkpoint, or the run's folder as --output")
    return found[-1]


def run_folder(checkpoint, output):
    """The folder that a run goes on in: its checkpoint's, unless another is given, which must not hold a run and gets a
    copy of its results and its best model."""
    own = checkpoint.parent if checkpoint else None
    if own and (output is None or Path(output).resolve() == own.resolve()):
        return own
    folder = create_run(output)
    for name in (RESULTS_NAME, BEST):
        if own and (own / name).exists():
            with replacing(folder / name) as file:
                file.write((own / name).read_bytes())
    return folder


class RunFolder:
    """What the first process of a run writes; a context manager, which closes the logs.

    path: the folder, which exists. config: the model's. arguments: of the run, plain data; checkpoints keep them.
    iteration: the number of those done. device: what the run computes on. log: see `loggers`.
    """

    def __init__(self, path, config, arguments, iteration=0, device="cpu", log="auto"):
        self.path = Path(path)
        self.config = config
        self.arguments = arguments
        for leftover in self.path.glob("*.tmp"):  # of a run that was killed while it wrote
            leftover.unlink()
        write_arguments(self.path, arguments, device, iteration)
        self.results = Results(self.path / RESULTS_NAME, iteration)
        self.loggers = loggers(self.path, log, iteration, arguments, config.class_names)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        for logger in self.loggers:
            logger.close()

    def append(self, rows):
        """Write rows of results.csv."""
        self.results.append(rows)
        for row in filter(is_logged, rows):
            for logger in self.loggers:
                logger.scalars(row["iteration"], row)

    def save(self, trainer):
        """Write last.pth, from which the run goes on. trainer: a `Trainer`."""
        save_checkpoint(self.path / LAST, trainer.model, trainer.state() | {"arguments": self.arguments})

    def save_best(self, model):
        """Write best.pth."""
        save_checkpoint(self.path / BEST, model)

    def show_batch(self, batch):
        """Draw the samples of a `Batch`."""
        save_picture(self.path / BATCH_NAME, draw_batch(batch.samples(), self.config))

    def show(self, iteration, pictures):
        """Draw what was found in pictures of a validation (see `Validated`), and the curves so far."""
        if pictures:
            sheet = draw_validation(pictures, self.config.class_names, iteration)
            save_picture(self.path / VALIDATION_NAME, sheet)
        for logger in self.loggers:
            logger.panels(iteration, pictures)
        with contextlib.suppress(InputError):  # matplotlib is optional; results.csv has it all
            plot_results(self.path / RESULTS_NAME, self.path / CURVES_NAME)

    def keep_batch(self, batch, iteration):
        """Save a `Batch` that the run stopped at, to be looked into; `torch.load` reads it. Returns the file."""
        path = self.path / NOT_FINITE
        with replacing(path) as file:
            torch.save(vars(batch) | {"iteration": iteration}, file)
        return path
