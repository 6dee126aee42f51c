"""`MultiBoxLoss` (paper, equations 1 to 3)."""

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.ops import box_iou

from ssd.config import VARIANCES
from ssd.model.boxes import cxcy_to_xy, decode, encode, paired_iou
from ssd.model.matching import match

MEASURED = ("loc_sum", "conf_sum", "positives", "right", "iou_sum")


class MultiBoxLoss(nn.Module):
    """L = (L_conf + alpha L_loc) / N over a batch, N its positive priors (at least 1).

    L_loc: smooth L1 over the four offsets of every positive prior, summed.
    L_conf: cross-entropy of every positive prior and, in each image, of the `neg_pos_ratio` times as many negatives
    whose loss is largest (hard negative mining), summed.

    priors_cxcy: (n_priors, 4) centre-size fractions. threshold: IoU from which a prior is positive.
    """

    def __init__(self, priors_cxcy, threshold=0.5, neg_pos_ratio=3, alpha=1.0, variances=VARIANCES):
        super().__init__()
        self.register_buffer("priors_cxcy", priors_cxcy, persistent=False)
        self.threshold = threshold
        self.neg_pos_ratio = neg_pos_ratio
        self.alpha = alpha
        self.variances = variances

    def forward(self, locs, scores, boxes, labels):
        """The loss, a scalar. Arguments as for `sums`. A batch without objects has the loss 0, with gradients 0."""
        return self.quotient(*self.sums(locs, scores, boxes, labels))

    def quotient(self, loc_sum, conf_sum, n_positives):
        """The loss from its `sums`."""
        return (conf_sum + self.alpha * loc_sum) / n_positives.clamp(min=1)

    def sums(self, locs, scores, boxes, labels):
        """The numerators and the denominator of the loss, for batches that are spread over processes or steps.

        locs: (N, n_priors, 4) predicted offsets. scores: (N, n_priors, n_classes) logits.
        boxes: N tensors (n_objects, 4), corner fractions; labels: N tensors (n_objects,), from 1. n_objects may be 0.
        Or each as one tensor, as `padded` makes it.
        Returns three float32 scalars: L_loc's sum, L_conf's sum, the number of positives.
        """
        return self._terms(locs, scores, *self.targets(boxes, labels))

    def measure(self, locs, scores, boxes, labels):
        """What a log tells of a batch, to be summed over batches: a tensor of the five `MEASURED`, float32.

        The first three are `sums`, with gradients. The others say how good the positive priors are already: the number
        whose best score is their class, and the sum of the IoUs of their decoded boxes with their objects.
        """
        true_locs, true_classes = self.targets(boxes, labels)
        terms = self._terms(locs, scores, true_locs, true_classes)
        return torch.stack([*terms, *self._agreement(locs, scores, true_locs, true_classes)])

    def _terms(self, locs, scores, true_locs, true_classes):
        positive = true_classes > 0  # (N, n_priors)
        loc_loss = F.smooth_l1_loss(locs.float(), true_locs, reduction="none").sum(dim=2)
        conf_loss = F.cross_entropy(scores.float().transpose(1, 2), true_classes, reduction="none")  # (N, n_priors)
        loc_sum = (loc_loss * positive).sum()
        conf_sum = (conf_loss * positive).sum() + self._hard_negatives(conf_loss, positive).sum()
        return loc_sum, conf_sum, positive.sum().float()

    @torch.no_grad()
    def _agreement(self, locs, scores, true_locs, true_classes):
        positive = true_classes > 0
        right = (scores.argmax(dim=2) == true_classes) & positive
        found, true = (decode(offsets.float(), self.priors_cxcy, self.variances) for offsets in (locs, true_locs))
        return right.sum().float(), torch.where(positive, paired_iou(found, true), 0).sum()

    @torch.no_grad()
    def targets(self, boxes, labels):
        """What each prior should predict: offsets (N, n_priors, 4), 0 for the background, and classes (N, n_priors)."""
        boxes, labels = self._pad(boxes, labels)  # (N, n_objects, 4), (N, n_objects)
        priors_xy = cxcy_to_xy(self.priors_cxcy)
        overlaps = box_iou(boxes.flatten(0, 1), priors_xy).unflatten(0, labels.shape)  # (N, n_objects, n_priors)
        matched = match(overlaps.masked_fill(labels.unsqueeze(2) == 0, -1), self.threshold)
        positive, obj = matched >= 0, matched.clamp(min=0)  # (N, n_priors)
        true_classes = labels.gather(1, obj) * positive
        true_boxes = boxes.gather(1, obj.unsqueeze(2).expand(-1, -1, 4))
        true_boxes = torch.where(positive.unsqueeze(2), true_boxes, priors_xy)  # the offset of a prior to itself is 0
        return encode(true_boxes, self.priors_cxcy, self.variances), true_classes

    @staticmethod
    def _pad(boxes, labels):
        if torch.is_tensor(boxes):
            return boxes, labels
        if len(boxes) != len(labels) or any(len(b) != len(lb) for b, lb in zip(boxes, labels, strict=True)):
            raise ValueError(f"{[len(b) for b in boxes]} boxes but {[len(lb) for lb in labels]} labels an image")
        return padded(boxes), padded(labels)

    def _hard_negatives(self, conf_loss, positive):
        """The largest losses of the negatives (N, n_priors), hardest first, 0 from the last that counts."""
        hardest = conf_loss.masked_fill(positive, 0).sort(dim=1, descending=True).values
        n_hard = self.neg_pos_ratio * positive.sum(dim=1, keepdim=True)  # (N, 1)
        return hardest * (torch.arange(hardest.shape[1], device=hardest.device) < n_hard)


def padded(tensors):
    """N tensors (n, ...) as one (N, largest n but at least 1, ...), filled up with zeros: the label of no object."""
    return nn.utils.rnn.pad_sequence([tensors[0].new_zeros(1, *tensors[0].shape[1:]), *tensors], batch_first=True)[1:]
