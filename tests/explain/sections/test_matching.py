"""The priors that the page shows are those that training matches."""

import re

import torch
from torchvision.ops import box_iou

from ssd.explain.sections.matching import best_overlap_counts, match_objects, section
from ssd.model.boxes import cxcy_to_xy
from ssd.model.loss import prior_targets
from tests.helpers import reference


def test_positives_are_those_of_training(subject):
    config = subject.config
    classes = prior_targets([subject.boxes], [subject.labels], subject.priors_cxcy, 0.5, config.variances)[1][0]
    matching = match_objects(subject)
    assert matching.positive.equal(classes > 0)
    assert subject.labels[matching.objects[matching.positive]].equal(classes[classes > 0])


def test_each_object_has_one_prior_by_right(subject):
    matching = match_objects(subject)
    plain = box_iou(subject.boxes, cxcy_to_xy(subject.priors_cxcy)).tolist()
    expected = reference.match(plain, 2.0)
    assert matching.by_right.tolist() == [obj >= 0 for obj in expected]
    assert matching.objects[matching.by_right].tolist() == [obj for obj in expected if obj >= 0]
    assert (matching.overlaps.amax(dim=0)[matching.positive & ~matching.by_right] >= matching.threshold).all()


def test_histogram_counts_every_prior_once(subject):
    counts, best = best_overlap_counts(match_objects(subject)), match_objects(subject).overlaps.amax(dim=0)
    assert sum(counts) == 8732
    assert counts[3] == ((best >= 0.15) & (best < 0.2)).sum().item()


def test_numbers_of_the_first_object(subject):
    matching = match_objects(subject)
    own = matching.overlaps[0][(matching.objects == 0) & matching.by_right].item()
    others = matching.overlaps[0][(matching.objects == 0) & ~matching.by_right]
    row = re.findall("<tr>(.*?)</tr>", section(subject).figure)[1]
    expected = [f"1 {subject.name_of(int(subject.labels[0]))}", f"{own:.2f}", str(len(others))]
    assert re.findall("<td>(.*?)</td>", row)[:3] == expected


def test_without_objects_every_prior_is_background(bare):
    assert torch.equal(match_objects(bare).objects, torch.full((8732,), -1))
