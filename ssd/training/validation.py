"""What a run measures as it goes, on the validation list or, without one, on the test list."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from ssd import distributed
from ssd.data import PascalVOCDataset
from ssd.detector import Detections
from ssd.evaluation.evaluate import detect_dataset, match_dataset, own_share, put_together
from ssd.evaluation.summary import format_summary, summarize
from ssd.model.loss import Figures, MultiBoxLoss
from ssd.model.network import SSD
from ssd.training.run.panels import TrackedPicture, tracked_pictures


@dataclass(frozen=True)
class Validated:
    """A validation's results. mAP: NaN if no object counts for it. figures: the val_... columns of results.csv, mAP
    included. table: what eval.py prints. pictures: a few of the list, the same ones each time."""

    mAP: float
    figures: dict[str, float]
    table: str
    pictures: list[TrackedPicture]


Validate = Callable[[SSD, MultiBoxLoss], Validated]


@dataclass(frozen=True)
class Best:
    """The best validation so far. table: what eval.py would print. waited: number of validations since."""

    mAP: float = -math.inf
    iteration: int = 0
    table: str = ""
    waited: int = 0

    def beaten_by(self, validated: Validated) -> bool:
        """Whether a validation is better. The first one always is, even if no object counts for mAP."""
        return not self.iteration or validated.mAP > self.mAP

    def after(self, validated: Validated, iteration: int) -> "Best":
        """The best one once the validation at `iteration` is taken into account."""
        if not self.beaten_by(validated):
            return replace(self, waited=self.waited + 1)
        return Best(-math.inf if math.isnan(validated.mAP) else validated.mAP, iteration, validated.table)


@dataclass(frozen=True)
class Validation:
    """Evaluates a model in float32, as eval.py does. Each of several processes takes a share of the images."""

    dataset: PascalVOCDataset
    batch_size: int
    workers: int
    device: torch.device

    def __call__(self, model: SSD, criterion: MultiBoxLoss) -> Validated:
        """The results, the same in every process. criterion: the run's `MultiBoxLoss`.

        Raises InputError, in every process, if one of them cannot read a picture.
        """
        dataset = own_share(self.dataset)
        with distributed.failing_together():
            own = detect_dataset(model, dataset, self.batch_size, self.workers, self.device, criterion=criterion)
        found = put_together(distributed.gathered(own))
        summary = summarize(match_dataset(found, self.dataset.data), found.seconds)
        mAP = summary["map_voc07"]
        mAP = math.nan if mAP is None else mAP
        figures = column_figures("val", Figures(*found.sums), criterion.alpha) | {"val_mAP": mAP}
        pictures = [self._picture(found, k) for k in tracked_pictures(len(self.dataset))]
        return Validated(mAP, figures, format_summary(summary), pictures)

    def _picture(self, found, k):
        labels = found.labels[k]
        names = [self.dataset.config.class_names[label - 1] for label in labels.tolist()]
        return TrackedPicture(self.dataset.data[k], Detections(found.boxes[k], labels, found.scores[k], names))


def column_figures(split: str, figures: Figures, alpha: float) -> dict[str, float]:
    """The columns of results.csv for "train" or "val", from figures on the CPU. alpha: of the loss."""
    loc_sum, conf_sum, n, n_correct, iou_sum = (figure.item() for figure in figures)
    loc, conf = loc_sum / max(n, 1), conf_sum / max(n, 1)
    accuracy, iou = (n_correct / n, iou_sum / n) if n else (math.nan, math.nan)
    values = {"loss": conf + alpha * loc, "loc": loc, "conf": conf, "accuracy": accuracy, "iou": iou}
    return {f"{split}_{name}": value for name, value in values.items()}
