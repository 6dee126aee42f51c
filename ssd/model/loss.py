"""`MultiBoxLoss` (paper, equations 1 to 3)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_iou

from ssd.config import VARIANCES
from ssd.model.boxes import cxcy_to_xy, decode, encode, paired_iou, share_inside
from ssd.model.matching import match

PerImage = Sequence[Tensor] | Tensor  # one tensor per image, or all of them in one, as `padded` returns it

IGNORED = -100  # the class of a prior that counts as nothing; `F.cross_entropy` gives it a loss of 0


class Figures(NamedTuple):
    """The figures of a batch, as float32 scalars. All are sums, so those of several batches can be added.

    loc_sum, conf_sum, n_positives: as `MultiBoxLoss.sums` returns them, with gradients.
    n_correct: number of positive priors whose highest score is that of their object's class.
    iou_sum: the IoUs of the positive priors' decoded boxes with their objects, summed.
    """

    loc_sum: Tensor
    conf_sum: Tensor
    n_positives: Tensor
    n_correct: Tensor
    iou_sum: Tensor

    def pack(self) -> Tensor:
        """The figures as one tensor (5,), to be added up or sent as a whole. The inverse is `Figures(*packed)`."""
        return torch.stack(self)


class PriorLosses(NamedTuple):
    """The losses of all priors of a batch, and which of them count. All are (N, n_priors).

    loc: smooth L1 over the four offsets, which counts for positives. conf: cross-entropy, which counts for positives
    and hard negatives.
    """

    loc: Tensor
    conf: Tensor
    positive: Tensor
    hard_negative: Tensor


class MultiBoxLoss(nn.Module):
    """L = (L_conf + alpha L_loc) / N over a batch, where N is the number of positive priors (at least 1).

    L_loc: smooth L1 over the four offsets, summed over the positive priors.
    L_conf: cross-entropy, summed over the positive priors and, in each image, over the `neg_pos_ratio` times as many
    negatives that have the largest loss (hard negative mining). Priors in ignored regions are no negatives.

    priors_cxcy: (n_priors, 4) centre-size fractions. threshold: IoU from which a prior is positive.
    """

    priors_cxcy: Tensor

    def __init__(
        self,
        priors_cxcy: Tensor,
        threshold: float = 0.5,
        neg_pos_ratio: int = 3,
        alpha: float = 1.0,
        variances: tuple[float, float] = VARIANCES,
    ):
        super().__init__()
        self.register_buffer("priors_cxcy", priors_cxcy, persistent=False)
        self.threshold = threshold
        self.neg_pos_ratio = neg_pos_ratio
        self.alpha = alpha
        self.variances = variances

    def forward(
        self, locs: Tensor, scores: Tensor, boxes: PerImage, labels: PerImage, ignored: PerImage | None = None
    ) -> Tensor:
        """The loss, a scalar. Takes what `sums` takes. Without any objects the loss is 0, and so are its gradients."""
        loc_sum, conf_sum, n_positives = self.sums(locs, scores, boxes, labels, ignored)
        return (conf_sum + self.alpha * loc_sum) / n_positives.clamp(min=1)

    def sums(
        self, locs: Tensor, scores: Tensor, boxes: PerImage, labels: PerImage, ignored: PerImage | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The numerators and the denominator of the loss, for a batch that is spread over processes or steps.

        locs: (N, n_priors, 4) predicted offsets. scores: (N, n_priors, n_classes) logits.
        boxes: N tensors (n_objects, 4), corner fractions. labels: N tensors (n_objects,), from 1. n_objects may be 0.
        ignored: N tensors (n_regions, 4), corner fractions of regions with objects that nobody has boxed one by one,
        such as COCO's crowds. A prior that has half of its area in one of them is never a negative.
        Returns three float32 scalars: the sums of L_loc and L_conf, and the number of positives.
        Raises ValueError if an image does not have one label per box.
        """
        return self._sums(locs, scores, *self._targets(boxes, labels, ignored))

    def per_prior(
        self, locs: Tensor, scores: Tensor, boxes: PerImage, labels: PerImage, ignored: PerImage | None = None
    ) -> PriorLosses:
        """The losses that `sums` adds up, prior by prior. Takes what `sums` takes."""
        return self._per_prior(locs, scores, *self._targets(boxes, labels, ignored))

    def measure(
        self, locs: Tensor, scores: Tensor, boxes: PerImage, labels: PerImage, ignored: PerImage | None = None
    ) -> Figures:
        """The sums of the loss, and how good the positive priors already are. Takes what `sums` takes."""
        true_locs, true_classes = self._targets(boxes, labels, ignored)
        sums = self._sums(locs, scores, true_locs, true_classes)
        return Figures(*sums, *self._agreement(locs, scores, true_locs, true_classes))

    def _targets(self, boxes, labels, ignored):
        return prior_targets(boxes, labels, self.priors_cxcy, self.threshold, self.variances, ignored)

    def _sums(self, locs, scores, true_locs, true_classes):
        losses = self._per_prior(locs, scores, true_locs, true_classes)
        loc_sum = (losses.loc * losses.positive).sum()
        conf_sum = (losses.conf * (losses.positive | losses.hard_negative)).sum()
        return loc_sum, conf_sum, losses.positive.sum().float()

    def _per_prior(self, locs, scores, true_locs, true_classes):
        positive = true_classes > 0  # (N, n_priors)
        loc = F.smooth_l1_loss(locs.float(), true_locs, reduction="none").sum(dim=2)  # (N, n_priors)
        conf = F.cross_entropy(scores.float().transpose(1, 2), true_classes, reduction="none")  # (N, n_priors)
        return PriorLosses(loc, conf, positive, self._hard_negatives(conf.detach(), true_classes))

    def _hard_negatives(self, conf, true_classes):
        """Which negatives count: those with the largest losses (N, n_priors)."""
        negative = true_classes == 0  # not so: positives, and priors to ignore
        hardest = conf.masked_fill(~negative, -1).argsort(dim=1, descending=True)  # (N, n_priors)
        n_hard = self.neg_pos_ratio * (true_classes > 0).sum(dim=1, keepdim=True)  # (N, 1)
        chosen = torch.arange(hardest.shape[1], device=hardest.device) < n_hard
        return torch.zeros_like(negative).scatter(1, hardest, chosen) & negative

    @torch.no_grad()
    def _agreement(self, locs, scores, true_locs, true_classes):
        """`n_correct` and `iou_sum` of the `Figures`."""
        positive = true_classes > 0
        correct = (scores.argmax(dim=2) == true_classes) & positive
        found, true = (decode(offsets.float(), self.priors_cxcy, self.variances) for offsets in (locs, true_locs))
        return correct.sum().float(), torch.where(positive, paired_iou(found, true), 0).sum()


@torch.no_grad()
def prior_targets(
    boxes: PerImage,
    labels: PerImage,
    priors_cxcy: Tensor,
    threshold: float,
    variances: tuple[float, float],
    ignored: PerImage | None = None,
) -> tuple[Tensor, Tensor]:
    """What each prior should predict: offsets (N, n_priors, 4), 0 for the background, and classes (N, n_priors).

    Priors that count as nothing have the class IGNORED. Arguments as for `MultiBoxLoss` and its `sums`.
    """
    boxes, labels = _padded_objects(boxes, labels)  # (N, n_objects, 4), (N, n_objects)
    priors_xy = cxcy_to_xy(priors_cxcy)
    overlaps = box_iou(boxes.flatten(0, 1), priors_xy).unflatten(0, labels.shape)  # (N, n_objects, n_priors)
    is_padding = labels.unsqueeze(2) == 0
    matched = match(overlaps.masked_fill(is_padding, -1), threshold)  # (N, n_priors)
    positive, obj = matched >= 0, matched.clamp(min=0)  # (N, n_priors)
    true_classes = labels.gather(1, obj) * positive
    if ignored is not None:
        true_classes = true_classes.masked_fill(~positive & _mostly_inside(priors_xy, padded(ignored)), IGNORED)
    true_boxes = boxes.gather(1, obj.unsqueeze(2).expand(-1, -1, 4))
    true_boxes = torch.where(positive.unsqueeze(2), true_boxes, priors_xy)  # the offset of a prior to itself is 0
    return encode(true_boxes, priors_cxcy, variances), true_classes


def _mostly_inside(priors_xy: Tensor, regions: Tensor) -> Tensor:
    """Which priors (n_priors, 4) have half of their area in one region (N, n_regions, 4) of an image: (N, n_priors)."""
    return (share_inside(priors_xy, regions.unsqueeze(2)) >= 0.5).any(dim=1)


def _padded_objects(boxes: PerImage, labels: PerImage) -> tuple[Tensor, Tensor]:
    n_boxes, n_labels = ([len(objects) for objects in per_image] for per_image in (boxes, labels))
    if n_boxes != n_labels:
        raise ValueError(f"{n_boxes} boxes but {n_labels} labels per image")
    return padded(boxes), padded(labels)


def padded(tensors: PerImage) -> Tensor:
    """N tensors (n, ...) as one tensor (N, largest n but at least 1, ...), padded with zeros: no object has label 0.

    What is one tensor already is returned as it is.
    """
    if isinstance(tensors, Tensor):
        return tensors
    one_row = tensors[0].new_zeros(1, *tensors[0].shape[1:])
    return pad_sequence([one_row, *tensors], batch_first=True)[1:]
