"""The losses that the page shows are those of training."""

import pytest
import torch

from ssd import MultiBoxLoss
from ssd.explain.sections.loss import batch, prior_losses, section
from ssd.model.boxes import encode
from tests.helpers import reference


def test_parts_add_up_to_the_loss(subject):
    losses = prior_losses(subject)
    loss = MultiBoxLoss(subject.priors_cxcy)(*batch(subject)).item()
    n = losses.positive.sum().item()
    assert losses.hard_negative.sum().item() == 3 * n
    counted = losses.conf[losses.positive | losses.hard_negative].sum() + losses.loc[losses.positive].sum()
    assert counted.item() / n == pytest.approx(loss, rel=1e-5)
    assert f"<b>{loss:.3f}</b>" in section(subject).formula


def test_loss_of_one_prior(subject):
    losses = prior_losses(subject)
    boxes = subject.boxes[:1]
    ious = [reference.iou(boxes[0].tolist(), reference.to_corners(prior)) for prior in subject.priors_cxcy.tolist()]
    best = ious.index(max(ious))
    label = int(subject.labels[0])
    assert losses.positive[best]
    assert losses.conf[best].item() == pytest.approx(-subject.scores[best].log_softmax(dim=0)[label].item(), rel=1e-5)
    distance = (subject.locs[best] - encode(boxes[0], subject.priors_cxcy[best])).abs()
    expected = torch.where(distance < 1, distance.square() / 2, distance - 0.5).sum().item()
    assert losses.loc[best].item() == pytest.approx(expected, rel=1e-5)
