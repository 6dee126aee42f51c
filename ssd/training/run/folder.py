"""The folder of a run: checkpoints, results, pictures."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ssd.checkpoint import load_training_state, save_checkpoint
from ssd.config import SSDConfig
from ssd.errors import InputError
from ssd.files import create_next, naming, oldest_first, replacing
from ssd.model.network import SSD
from ssd.training.batches import Batch
from ssd.training.run.curves import CURVES_NAME, plot_results
from ssd.training.run.logs import is_logged, loggers
from ssd.training.run.panels import (
    BATCH_NAME,
    VALIDATION_NAME,
    TrackedPicture,
    draw_batch,
    draw_validation,
    write_jpeg,
)
from ssd.training.run.provenance import write_arguments
from ssd.training.run.results import RESULTS_NAME, Results, read_results

LAST, BEST, NOT_FINITE = "last.pth", "best.pth", "nonfinite_batch.pth"


def create_run(output: str | Path | None = None) -> Path:
    """Create the folder of a new run, `output` or the next free runs/N. Raises InputError if it holds a run already.

    A results.csv without rows is not a run yet: its run was killed before the first checkpoint.
    """
    if output is None:
        return create_next("runs")
    folder = Path(output)
    _check_free(folder)
    with naming(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def _check_free(folder):
    results = folder / RESULTS_NAME
    if any((folder / name).exists() for name in (LAST, BEST)) or results.exists() and read_results(results)["lr"].size:
        raise InputError(f"{folder} holds a run already; --resume continues it, another --output starts a new one")


def resumed_checkpoint(file: str | Path | None, output: str | Path | None = None) -> Path:
    """The checkpoint to continue from: `file`, or else the last one in `output`, or else in the newest of runs/.

    file: may be the folder of a run too, for the last one in it. Raises InputError if runs/ has none.
    """
    if file:
        return Path(file) / LAST if Path(file).is_dir() else Path(file)
    if output:
        return Path(output) / LAST
    found = oldest_first("runs", f"*/{LAST}")
    if not found:
        raise InputError("--resume: no run in runs/ has a last.pth; name a checkpoint, or the run's folder as --output")
    return found[-1]


def kept_arguments(checkpoint: Path) -> dict[str, Any]:
    """The arguments of the run that a checkpoint is from: the defaults when it continues."""
    older = {"size": 300, "scales": None, "ratios": None}  # of runs from before there were these
    return older | load_training_state(checkpoint).get("arguments", {})


def check_start(checkpoint: Path, kept: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
    """Raise InputError if the arguments of a run that continues name another start than the arguments it kept."""
    for name in ("weights", "backbone", "size", "scales", "ratios", "freeze"):
        if name in kept and arguments[name] != kept[name]:
            raise InputError(
                f"--{name} {_words(arguments[name])}: {checkpoint} continues with {_words(kept[name])}; "
                f"--weights {checkpoint} without --resume starts a new run from it"
            )


def _words(value: Any) -> str:
    return " ".join(f"{number:g}" for number in value) if isinstance(value, list) else str(value)


def check_run_folder(checkpoint: Path | None, output: str | Path | None) -> None:
    """Raise InputError if `run_folder` would, because `output` holds another run. Takes no time."""
    if output is not None and not _is_own(checkpoint, output):
        _check_free(Path(output))


def _is_own(checkpoint: Path | None, output: str | Path) -> bool:
    return checkpoint is not None and Path(output).resolve() == checkpoint.parent.resolve()


def run_folder(checkpoint: Path | None, output: str | Path | None) -> Path:
    """The folder to write to: that of the checkpoint to continue from, if any, unless `output` names another.

    That one must not hold a run. It gets a copy of the results and the best model so far.
    """
    if checkpoint is None:
        return create_run(output)
    own = checkpoint.parent
    if output is None or _is_own(checkpoint, output):
        return own
    folder = create_run(output)
    for name in (RESULTS_NAME, BEST):
        if (own / name).exists():
            with replacing(folder / name) as file:
                file.write((own / name).read_bytes())
    return folder


class RunFolder:
    """What the first process of a run writes. A context manager, which closes the logs.

    path: an existing folder. config: the model's. arguments: the run's, plain data, which checkpoints keep.
    validated_on: the data list of the validations, as `chosen_list` returns it.
    iteration: number of those done. device: what the run computes on. log: see `loggers`.
    """

    def __init__(
        self,
        path: str | Path,
        config: SSDConfig,
        arguments: dict[str, Any],
        validated_on: dict[str, str],
        iteration: int = 0,
        device: torch.device | str = "cpu",
        log: str = "auto",
    ):
        self.path = Path(path)
        self.validated_on = validated_on
        self.config = config
        self.arguments = arguments
        for leftover in self.path.glob("*.tmp"):  # from a run that was killed while writing
            leftover.unlink()
        write_arguments(self.path, arguments, device, iteration)
        self.results = Results(self.path / RESULTS_NAME, iteration)
        self.loggers = loggers(self.path, log, iteration, arguments, config.class_names)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, *exception: object) -> None:
        for logger in self.loggers:
            logger.close()

    def append(self, rows: Sequence[dict[str, float]]) -> None:
        """Write rows of results.csv."""
        self.results.append(rows)
        for row in filter(is_logged, rows):
            for logger in self.loggers:
                logger.scalars(int(row["iteration"]), row)

    def save(self, model: SSD, state: dict[str, Any]) -> None:
        """Write last.pth, from which the run can continue. state: of the `Trainer`."""
        kept = {"arguments": self.arguments, "validated_on": self.validated_on}
        save_checkpoint(self.path / LAST, model, state | kept)

    def save_best(self, model: SSD, is_chosen: bool = True) -> None:
        """Write best.pth. is_chosen: it is the best of several validations, not the only one."""
        save_checkpoint(self.path / BEST, model, chosen_on=self.validated_on if is_chosen else None)

    def show_batch(self, batch: Batch) -> None:
        """Draw the samples of a batch."""
        write_jpeg(draw_batch(batch.samples(), self.config), self.path / BATCH_NAME)

    def show(self, iteration: int, pictures: Sequence[TrackedPicture]) -> None:
        """Draw the pictures of a validation, and the curves so far."""
        if pictures:
            sheet = draw_validation(pictures, self.config.class_names, iteration)
            write_jpeg(sheet, self.path / VALIDATION_NAME)
        for logger in self.loggers:
            logger.panels(iteration, pictures)
        with contextlib.suppress(InputError):  # matplotlib is optional; results.csv holds all the figures
            plot_results(self.path / RESULTS_NAME, self.path / CURVES_NAME)

    def keep_batch(self, batch: Batch, iteration: int) -> Path:
        """Save a batch that ended the run, for inspection with `torch.load`. Returns the file."""
        path = self.path / NOT_FINITE
        with replacing(path) as file:
            torch.save(vars(batch) | {"iteration": iteration}, file)
        return path
