"""The figures and pictures of a run in TensorBoard or Weights & Biases (extra `log`)."""

import io
import os
import secrets
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from ssd.data.images import load_image
from ssd.errors import InputError, optional
from ssd.files import replacing
from ssd.training.run.panels import TrackedPicture, confident, draw_panel
from ssd.training.run.results import COLUMNS, RESULTS_NAME, read_results
from ssd.visualize import SHOWN_SIDE, fit_to_side

LOGS = ("auto", "tensorboard", "wandb", "none")
PROJECT = "ssd300"  # of Weights & Biases, unless WANDB_PROJECT names another
ID_NAME = "wandb_id.txt"
LOGGED_EVERY = 10  # iterations between logged figures; results.csv has every iteration
OFFLINE = ("offline", "dryrun", "disabled")  # values of WANDB_MODE


def loggers(
    folder: Path, choice: str, iteration: int, arguments: Mapping[str, Any], class_names: Sequence[str]
) -> "list[TensorBoard | WeightsAndBiases]":
    """The loggers of a run that continues from `iteration`, 0 for a new one.

    choice: one of LOGS; "auto" is TensorBoard if it is installed. arguments: shown beside the figures.
    Each has `scalars`, for a row of results.csv, `panels`, for the pictures of a validation, and `close`.
    Raises InputError if the chosen logger is not installed or does not start.
    """
    if choice == "none":
        return []
    if choice in ("auto", "tensorboard"):
        try:
            return [TensorBoard(folder, iteration, arguments, class_names)]
        except InputError:
            if choice == "tensorboard":
                raise
            return []
    if choice == "wandb":
        return [WeightsAndBiases(folder, iteration, arguments, class_names)]
    raise ValueError(f"choice is {choice!r}, must be one of {', '.join(LOGS)}")


def is_logged(row: Mapping[str, float]) -> bool:
    """Whether a row of results.csv is logged: every tenth one is, and those of a validation."""
    validated = any(isfinite(value) for column, value in row.items() if column.startswith("val_"))
    return validated or row["iteration"] % LOGGED_EVERY == 0


class TensorBoard:
    """Event files in the run's folder. What the run wrote after `iteration` before disappears from view."""

    def __init__(self, folder: Path, iteration: int, arguments: Mapping[str, Any], class_names: Sequence[str]):
        summaries = optional("tensorboard.compat.proto.summary_pb2", "log", "--log tensorboard")
        writers = optional("torch.utils.tensorboard", "log", "--log tensorboard", package="tensorboard")
        self._summary = summaries.Summary
        self._writer = writers.SummaryWriter(folder, purge_step=iteration + 1)
        self._class_names = class_names
        self._writer.add_text("arguments", _table(arguments), iteration)

    def scalars(self, iteration: int, row: Mapping[str, float]) -> None:
        for tag, value in _tagged(row).items():
            self._writer.add_scalar(tag, value, iteration)
        self._writer.flush()  # a checkpoint must not know more than the log

    def panels(self, iteration: int, pictures: Sequence[TrackedPicture]) -> None:
        values = [self._picture(tag, draw_panel(p, self._class_names)) for tag, p in _named(pictures)]
        self._writer.file_writer.add_summary(self._summary(value=values), iteration)
        self._writer.flush()

    def _picture(self, tag, picture):
        """A JPEG. The writer's own `add_image` makes a PNG several times that size."""
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=85)
        image = self._summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=file.getvalue()
        )
        return self._summary.Value(tag=tag, image=image)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, kept in the run's folder and identified by the id that is saved there.

    WANDB_MODE decides whether it goes online. Online, only what the server does not know yet is logged. Offline, a
    resumed run cannot continue the log of before: each log begins with the figures of results.csv, so the newest is
    complete and takes the place of the others when it is synchronised.
    """

    def __init__(self, folder: Path, iteration: int, arguments: Mapping[str, Any], class_names: Sequence[str]):
        self._run, self._image = _start_run(folder, arguments)
        self._class_names = class_names
        self._known = self._run.step  # the server has the iterations before this one
        missing = [row for row in _rows_until(folder / RESULTS_NAME, iteration) if is_logged(row)]
        missing = [row for row in missing if row["iteration"] >= self._known]
        for row in tqdm(missing, desc="earlier figures", unit="it", dynamic_ncols=True, disable=not missing):
            self.scalars(int(row["iteration"]), row)

    def scalars(self, iteration: int, row: Mapping[str, float]) -> None:
        self._log(iteration, _tagged(row))

    def panels(self, iteration: int, pictures: Sequence[TrackedPicture]) -> None:
        self._log(iteration, {tag: self._picture(picture) for tag, picture in _named(pictures)})

    def close(self) -> None:
        self._run.finish()

    def _log(self, iteration, values):
        if iteration >= self._known and values:
            self._run.log(values, step=iteration)

    def _picture(self, picture):
        """The picture, and its boxes apart from it: the page shows and hides them by class and score."""
        listed, found = picture.listed, confident(picture.found)
        image, scale = fit_to_side(load_image(listed.path), SHOWN_SIDE)
        truth = _boxes(listed.boxes, listed.labels, scale, self._class_names)
        predictions = _boxes(found.boxes, found.labels, scale, self._class_names, found.scores)
        names = dict(enumerate(self._class_names, start=1))
        return self._image(
            image,
            caption=Path(listed.path).name,
            file_type="jpg",
            boxes={
                "ground_truth": {"box_data": truth, "class_labels": names},
                "predictions": {"box_data": predictions, "class_labels": names},
            },
        )


def _start_run(folder, arguments):
    """A run of Weights & Biases, and its class for pictures."""
    optional("wandb.sdk", "log", "--log wandb")  # because any folder called wandb can be imported
    import wandb

    try:
        run = wandb.init(
            dir=folder,
            name=folder.resolve().name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=_saved_id(folder / ID_NAME),
            resume=None if wandb.setup().settings.mode in OFFLINE else "allow",
            config=arguments,
            allow_val_change=True,
        )
    except wandb.Error as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"Weights & Biases does not start ({reason}); wandb login and a network fix it, or WANDB_MODE=offline"
        ) from None
    return run, wandb.Image


def _boxes(boxes, labels, scale, class_names, scores=None):
    """Boxes (n, 4) in pixels, labels (n,) and optional scores (n,) in the form that Weights & Biases expects."""
    data = []
    for k, (box, label) in enumerate(zip((torch.as_tensor(boxes).view(-1, 4) * scale).tolist(), labels, strict=True)):
        position = dict(zip(("minX", "minY", "maxX", "maxY"), box, strict=True))
        entry = {"position": position, "domain": "pixel", "class_id": int(label), "box_caption": class_names[label - 1]}
        if scores is not None:
            entry["scores"] = {"score": float(scores[k])}
            entry["box_caption"] += f" {scores[k]:.2f}"
        data.append(entry)
    return data


def _tagged(row):
    """The figures that a row has, under names that pages group by: train_loss becomes train/loss."""
    return {
        column.replace("_", "/", 1): float(row[column])
        for column in COLUMNS[1:]
        if column in row and isfinite(row[column])
    }


def _named(pictures):
    """(tag, picture) pairs. The number keeps pictures of the same name apart."""
    return [(f"validation/{k} {Path(picture.listed.path).stem}", picture) for k, picture in enumerate(pictures)]


def _table(arguments):
    """The arguments as a table in Markdown."""
    return "\n".join(["| argument | value |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in arguments.items())])


def _rows_until(path, iteration):
    """The rows of a results.csv up to an iteration; none for a new run."""
    if iteration == 0 or not path.exists():
        return []
    columns = read_results(path)
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [row for row in rows if row["iteration"] <= iteration]


def _saved_id(path):
    """The id of this folder's run at Weights & Biases, chosen when it is first needed."""
    if not path.exists():
        with replacing(path) as file:
            file.write(secrets.token_hex(4).encode())
    return path.read_text().strip()
