"""The figures and pictures of a run, told to TensorBoard or to Weights & Biases (extra `log`)."""

import io
import os
import secrets
from math import isfinite
from pathlib import Path

import torch
from tqdm import tqdm

from ssd.errors import InputError
from ssd.files import replacing
from ssd.training.run.panels import confident, draw_panel, fitted_picture
from ssd.training.run.results import COLUMNS, RESULTS_NAME, read_results

LOGS = ("auto", "tensorboard", "wandb", "none")
PROJECT = "ssd300"  # of Weights & Biases, unless WANDB_PROJECT names another
ID_NAME = "wandb_id.txt"
LOGGED_EVERY = 10  # iterations between the figures that are worth telling; results.csv has every iteration
OFFLINE = ("offline", "dryrun", "disabled")  # of WANDB_MODE


def loggers(folder, choice, iteration, arguments, class_names):
    """The loggers of a run that goes on from `iteration`, 0 for a new one: a list, empty where none is wanted.

    choice: one of LOGS; "auto" is TensorBoard where it is installed. arguments: dict, shown beside the figures.
    Each has `scalars(iteration, row)`, row being one of results.csv (see `ssd.training.run.results`);
    `panels(iteration, items)`, see `ssd.training.run.panels.draw_panel`; and `close()`.
    Raises InputError where what is wanted is not installed or does not start.
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


def is_logged(row):
    """Whether a row of results.csv is one to tell: every tenth, and those of a validation."""
    validated = any(isfinite(value) for column, value in row.items() if column.startswith("val_"))
    return validated or row["iteration"] % LOGGED_EVERY == 0


class TensorBoard:
    """Event files in the run's folder. What the run wrote after `iteration` before disappears from view."""

    def __init__(self, folder, iteration, arguments, class_names):
        try:
            from tensorboard.compat.proto.summary_pb2 import Summary
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise InputError('--log tensorboard needs tensorboard: pip install -e ".[log]"') from None
        self._summary = Summary
        self._writer = SummaryWriter(folder, purge_step=iteration + 1)
        self._class_names = class_names
        self._writer.add_text("arguments", _table(arguments), iteration)

    def scalars(self, iteration, row):
        for tag, value in _tagged(row).items():
            self._writer.add_scalar(tag, value, iteration)
        self._writer.flush()  # what comes before a checkpoint must not be lost after it

    def panels(self, iteration, items):
        values = [self._picture(tag, draw_panel(item, self._class_names)) for tag, item in _named(items)]
        self._writer.file_writer.add_summary(self._summary(value=values), iteration)
        self._writer.flush()

    def _picture(self, tag, picture):
        """JPEG, where the writer's own `add_image` makes PNG, of several times the size."""
        file = io.BytesIO()
        picture.save(file, "jpeg", quality=85)
        image = self._summary.Image(
            height=picture.height, width=picture.width, colorspace=3, encoded_image_string=file.getvalue()
        )
        return self._summary.Value(tag=tag, image=image)

    def close(self):
        self._writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases, kept in the run's folder and known by the id that is saved there.

    It is WANDB_MODE that decides whether it goes online. Where it does, a run that goes on is told only what the
    server does not know. Offline, one cannot continue another: each begins with the figures of results.csv, so
    that the newest is complete, and takes the place of the others when it is synchronised.
    """

    def __init__(self, folder, iteration, arguments, class_names):
        folder = Path(folder)
        self._run, self._image = _start_run(folder, arguments)
        self._class_names = class_names
        self._known = self._run.step  # the server has the iterations below
        missing = [row for row in _rows_until(folder / RESULTS_NAME, iteration) if is_logged(row)]
        missing = [row for row in missing if row["iteration"] >= self._known]
        for row in tqdm(missing, desc="earlier figures", unit="it", dynamic_ncols=True, disable=not missing):
            self.scalars(int(row["iteration"]), row)

    def scalars(self, iteration, row):
        self._log(iteration, _tagged(row))

    def panels(self, iteration, items):
        self._log(iteration, {tag: self._picture(item) for tag, item in _named(items)})

    def close(self):
        self._run.finish()

    def _log(self, iteration, values):
        if iteration >= self._known and values:
            self._run.log(values, step=iteration)

    def _picture(self, item):
        """The picture with its boxes apart, which the page shows and hides by class and score."""
        path, true_boxes, true_labels, found = item
        picture, scale = fitted_picture(path)
        found = confident(found)
        truth = _boxes(true_boxes, true_labels, scale, self._class_names)
        predictions = _boxes(found.boxes, found.labels, scale, self._class_names, found.scores)
        names = dict(enumerate(self._class_names, start=1))
        return self._image(
            picture,
            caption=Path(path).name,
            file_type="jpg",
            boxes={
                "ground_truth": {"box_data": truth, "class_labels": names},
                "predictions": {"box_data": predictions, "class_labels": names},
            },
        )


def _start_run(folder, arguments):
    """A run of Weights & Biases, and its class of pictures."""
    try:
        from wandb import Error, Image, init, setup  # by name: any folder called wandb can be imported
    except ImportError:
        raise InputError('--log wandb needs wandb: pip install -e ".[log]"') from None
    try:
        run = init(
            dir=folder,
            name=folder.resolve().name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=_saved_id(folder / ID_NAME),
            resume=None if setup().settings.mode in OFFLINE else "allow",
            config=arguments,
            allow_val_change=True,
        )
    except Error as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"Weights & Biases does not start ({reason}); wandb login and a network mend it, or WANDB_MODE=offline"
        ) from None
    return run, Image


def _boxes(boxes, labels, scale, class_names, scores=None):
    """Boxes (n, 4) in pixels, labels (n,) and perhaps scores (n,) as Weights & Biases has them."""
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
    """The figures of a row that there are, by names that pages group: train_loss is train/loss."""
    return {
        column.replace("_", "/", 1): float(row[column])
        for column in COLUMNS[1:]
        if column in row and isfinite(row[column])
    }


def _named(items):
    """(tag, item) pairs; the number keeps pictures of the same name apart."""
    return [(f"validation/{k} {Path(item[0]).stem}", item) for k, item in enumerate(items)]


def _table(arguments):
    """Markdown."""
    return "\n".join(["| argument | value |", "| --- | --- |", *(f"| {k} | {v} |" for k, v in arguments.items())])


def _rows_until(path, iteration):
    """The rows of a results.csv up to an iteration, none for a new run."""
    if iteration == 0 or not path.exists():
        return []
    columns = read_results(path)
    rows = (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))
    return [row for row in rows if row["iteration"] <= iteration]


def _saved_id(path):
    """The id that Weights & Biases knows the run of this folder by, chosen when it is first asked for."""
    if not path.exists():
        with replacing(path) as file:
            file.write(secrets.token_hex(4).encode())
    return path.read_text().strip()
