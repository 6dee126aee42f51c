"""Sets a run up, from its start or from where it is resumed, and says in words what it is and what came of it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssd import distributed
from ssd.checkpoint import load_checkpoint, load_training_state
from ssd.config import SSDConfig
from ssd.data import PascalVOCDataset, read_data_list
from ssd.data.lists import validation_split
from ssd.errors import InputError
from ssd.inference.device import choose_precision
from ssd.model.network import SSD
from ssd.text import counted
from ssd.training.recipe import Recipe
from ssd.training.run.folder import BEST, LAST, RunFolder, check_run_folder, run_folder
from ssd.training.trainer import Trainer
from ssd.training.validation import Best, Validation
from ssd.training.weights import NetworkOptions, initial_model

LISTS = {"train": "its training images", "val": "the validation list", "test": "the test list"}
ADVICE = {  # where the model was chosen by the list that it is measured on
    "train": "",
    "val": "; eval.py measures the model on the test list",
    "test": "; create_data_lists.py --val-fraction makes another list to choose by",
}


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train. origin: what it starts from, in words. folder: where the first process writes; None
    in the others."""

    trainer: Trainer
    validation: Validation
    origin: str
    folder: RunFolder | None

    def train(self) -> int:
        """Train. Returns 0, or the number of the signal that stopped the run."""
        trainer, folder = self.trainer, self.folder
        if folder and not trainer.iteration:
            folder.show_batch(trainer.whole_batch(0))
        if folder and not (folder.path / LAST).exists():  # the run can then be resumed whenever it is killed
            folder.save(trainer.step.model, trainer.state())
        return trainer.run(folder, self.validation)


@contextmanager
def prepare_run(
    data: str | Path,
    recipe: Recipe,
    device: torch.device,
    *,
    output: str | Path | None = None,
    checkpoint: Path | None = None,
    weights: str = "imagenet",
    network: NetworkOptions | None = None,
    augmentation: str = "paper",
    overfit: int | None = None,
    precision: str = "auto",
    log: str = "auto",
    arguments: Mapping[str, Any] | None = None,
) -> Iterator[PreparedRun]:
    """Set up a `PreparedRun`. Closes its folder at the end of the block.

    data: folder of the data lists. output: folder of the run, by default the next free runs/N.
    checkpoint: to resume from, None for a new run from `weights` and `network` (see `initial_model`).
    augmentation: one of AUGMENTATIONS. overfit: see `create_data_sets`. precision: one of PRECISIONS. log: one of LOGS.
    arguments: what checkpoints and args.json keep, besides the data and what the weights may decide.
    Raises InputError if these do not fit together.
    """
    if distributed.rank() == 0:
        check_run_folder(checkpoint, output)
    model, origin = _starting_model(checkpoint, data, weights, network, recipe.seed)
    train_set, validation_set = create_data_sets(
        data, model.config, augmentation, recipe.seed, overfit, recipe.difficult
    )
    validated_on = {"split": validation_set.split, "digest": validation_set.data.digest}
    trainer = Trainer(model, train_set, recipe, device, choose_precision(precision, device))
    if checkpoint:
        _restore(trainer, checkpoint, validated_on)
    validation = Validation(validation_set, min(recipe.batch_size, 32), recipe.workers, device)
    if distributed.rank() > 0:
        yield PreparedRun(trainer, validation, origin, None)
        return
    # The absolute path, so that the run can be resumed from any folder; and what the weights may decide.
    decided = {"backbone": model.config.backbone, "size": model.config.input_size}
    kept = {**(arguments or {}), "data": str(Path(data).absolute()), **decided}
    path = run_folder(checkpoint, output)
    with RunFolder(path, model.config, kept, validated_on, trainer.iteration, device, log) as folder:
        yield PreparedRun(trainer, validation, origin, folder)


def _starting_model(checkpoint, data, weights, network, seed) -> tuple[SSD, str]:
    """A model, and what it is in words."""
    if checkpoint:
        return load_checkpoint(checkpoint), str(checkpoint)
    with distributed.first_process_first():
        return initial_model(read_data_list(data, "train").class_names, weights, network, seed)


def create_data_sets(
    folder: str | Path,
    config: SSDConfig,
    augmentation: str = "paper",
    seed: int = 0,
    overfit: int | None = None,
    difficult: bool = True,
) -> tuple[PascalVOCDataset, PascalVOCDataset]:
    """What to train on, and what to evaluate on and choose the best model by: the validation list, else the test list.

    overfit: both are this many training images with objects, without augmentation; None for the usual two.
    difficult: whether difficult objects are objects; if not, they are crowds, which makes no difference to mAP.
    """
    train_set = PascalVOCDataset(folder, "train", config, overfit is None, augmentation, seed)
    if overfit is None:
        validation_set = PascalVOCDataset(folder, validation_split(folder), config)
    else:
        with_objects = [k for k, image in enumerate(train_set.data) if not image.difficulties.all()]
        train_set = validation_set = train_set.subset(with_objects[:overfit])
    if not difficult:
        for each in (train_set, validation_set):
            each.data = each.data.without_difficult()
    if not len(train_set):
        raise InputError(f"{folder}: no image to train on")
    return train_set, validation_set


def _restore(trainer, checkpoint, validated_on):
    state = load_training_state(checkpoint)
    trainer.restore(state)
    if trainer.iteration > trainer.recipe.iterations:
        raise InputError(
            f"{checkpoint}: the run has done {trainer.iteration} iterations, more than --iterations "
            f"{trainer.recipe.iterations}"
        )
    goes_on = trainer.iteration < trainer.recipe.iterations
    has_other_list = state.get("validated_on", validated_on) != validated_on  # whose mAP cannot be compared
    if goes_on and has_other_list or not (checkpoint.parent / BEST).exists():  # the next validation makes it
        trainer.best = Best()


def describe_start(run: PreparedRun, path: Path) -> str:
    """What the run in the folder `path` is, in lines of text, with the numbers that were not given."""
    trainer, recipe, processes = run.trainer, run.trainer.recipe, distributed.n_processes()
    config = trainer.step.model.config
    network = f"SSD{config.input_size} with {config.backbone}"
    device, precision = trainer.step.device, str(trainer.step.dtype).removeprefix("torch.")
    where = f"{processes} processes, the first on {device}" if processes > 1 else str(device)
    iteration = f", iteration {trainer.iteration}" if trainer.iteration else ""
    drops = " and ".join(map(str, recipe.drops)) or "none"
    return (
        f"{path}: {counted(len(trainer.dataset), 'image')}, {network} on {where} in {precision}\n"
        f"starts from {run.origin}{iteration}\n"
        f"{counted(recipe.iterations, 'iteration')} of {counted(recipe.batch_size, 'image')}, rate {recipe.lr:g}, "
        f"drops at {drops}, warm-up {recipe.warmup}"
    )


def describe_end(trainer: Trainer, folder: RunFolder) -> str:
    """The outcome of a run, in lines of text."""
    best, path = trainer.best, folder.path
    if not best.iteration:
        return f"{path}: the run was complete already, and its {BEST} is gone"
    early = (
        f"no better mAP since iteration {best.iteration}: ended early, at iteration {trainer.iteration}\n"
        if trainer.iteration < trainer.recipe.iterations
        else ""
    )
    split = folder.validated_on["split"]
    title, remark = f"evaluated on {LISTS[split]}, at iteration {best.iteration}:", ""
    if trainer.recipe.chooses:
        title = f"best of the evaluations on {LISTS[split]}, at iteration {best.iteration}:"
        remark = f"chosen by this list, so the figures are optimistic{ADVICE[split]}\n"
    return f"{early}{title}\n{best.table}\n{remark}trained model: {path / BEST}"
