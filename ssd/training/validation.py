"""What a run measures on the test list as it goes."""

from dataclasses import dataclass

from ssd.data import PascalVOCDataset
from ssd.detector import Detections
from ssd.errors import InputError
from ssd.evaluation.evaluate import DataSetDetections, detect_dataset, match_dataset
from ssd.evaluation.summary import format_summary, summarize
from ssd.model.loss import Figures
from ssd.training import distributed
from ssd.training.run.panels import tracked_pictures


@dataclass(frozen=True)
class Validated:
    """figures: the val_... columns of results.csv. table: what eval.py prints. pictures: always the same few, as
    (path, true boxes (n, 4) in pixels, true labels (n,), `Detections`)."""

    figures: dict
    table: str
    pictures: list


@dataclass(frozen=True)
class Validation:
    """Evaluates a model in float32, as eval.py does; over several processes, each takes a share of the images."""

    dataset: PascalVOCDataset
    batch_size: int
    workers: int
    device: object

    def __call__(self, model, criterion):
        """`Validated`, the same in every process. criterion: the run's `MultiBoxLoss`."""
        found = self._detect(model, criterion)
        summary = summarize(match_dataset(found, self.dataset.data), found.seconds)
        figures = column_figures("val", dict(zip(Figures._fields, found.sums.tolist(), strict=True)), criterion.alpha)
        mAP = summary["map_voc07"]
        figures["val_mAP"] = float("nan") if mAP is None else mAP
        return Validated(
            figures, format_summary(summary), [self._picture(found, k) for k in tracked_pictures(len(self.dataset))]
        )

    def _detect(self, model, criterion):
        """`DataSetDetections` of all images, each process having done every n-th. A picture that one of them cannot
        read is an InputError in all."""
        rank, n_processes = distributed.rank(), distributed.n_processes()
        share = self.dataset.subset(range(rank, len(self.dataset), n_processes))
        try:
            found = detect_dataset(
                model, share, self.batch_size, self.workers, self.device, criterion=criterion, quiet=rank > 0
            )
        except InputError as error:
            found = error
        shares = distributed.gathered(found)
        for error in shares:
            if isinstance(error, InputError):
                raise error
        whole = DataSetDetections(sums=sum(share.sums for share in shares), seconds=found.seconds)
        for k in range(len(self.dataset)):
            share, place = shares[k % n_processes], k // n_processes
            for name in ("boxes", "labels", "scores"):
                getattr(whole, name).append(getattr(share, name)[place])
        return whole

    def _picture(self, found, k):
        names, listed = self.dataset.config.class_names, self.dataset.data[k]
        labels = found.labels[k]
        detections = Detections(
            found.boxes[k], labels, found.scores[k], [names[label - 1] for label in labels.tolist()]
        )
        return listed.path, listed.boxes, listed.labels, detections


def column_figures(split, sums, alpha):
    """The columns of results.csv for "train" or "val", from a dict of the sums of `MultiBoxLoss.measure`."""
    n = sums["n_positives"]
    loc, conf = (sums[key] / max(n, 1) for key in ("loc_sum", "conf_sum"))
    accuracy, iou = (sums[key] / n if n else float("nan") for key in ("n_correct", "iou_sum"))
    values = {"loss": conf + alpha * loc, "loc": loc, "conf": conf, "accuracy": accuracy, "iou": iou}
    return {f"{split}_{name}": value for name, value in values.items()}
