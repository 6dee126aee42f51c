"""Predictors: which classes they detect."""

import torch

from ssd import SSDConfig, create_prior_boxes, detect_objects, load_checkpoint
from ssd.inference.predictor import as_predictor


def test_classes_that_are_left_out_of_a_predictor(checkpoint):
    model = load_checkpoint(checkpoint)
    names, images = model.config.class_names, torch.randn(2, 3, 300, 300)
    predictor = as_predictor(model, class_names=("circle", "", "star", ""))
    found = {}
    for each in (as_predictor(model), predictor, as_predictor(predictor, class_names=names)):
        _, labels, _ = each.detect_objects(*each(images), 0.01, 0.45, 200)
        found[each.config.class_names] = set(torch.cat(labels).tolist())
    assert found == {names: {1, 2, 3, 4}, ("circle", "", "star", ""): {1, 3}}
    assert model.config.class_names == names
    assert predictor.config.class_names == ("circle", "", "star", "")


def test_labels_without_a_class_are_never_detected():
    torch.manual_seed(0)
    locs, scores, priors = torch.randn(1, 50, 4), torch.randn(1, 50, 4), create_prior_boxes(SSDConfig())[:50]
    scores[0, :, 2] += 5  # nearly every prior's best
    everything = detect_objects(locs, scores, priors, 0.0, 0.45, 1000)
    assert 2 in everything[1][0]
    boxes, labels, found = detect_objects(locs, scores, priors, 0.0, 0.45, 1000, unused=(2,))
    kept = everything[1][0] != 2  # what else is found stays as it is: scores, boxes and order
    for a, b in zip((boxes, labels, found), everything, strict=True):
        assert torch.equal(a[0], b[0][kept])
