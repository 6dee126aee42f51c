"""How well priors fit, and the priors that the report suggests."""

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from ssd import SSDConfig, create_prior_boxes
from ssd.commands import train
from ssd.data.prior_fit import (
    best_prior_ious,
    box_fractions,
    fit_priors,
    share_below,
    suggestion,
    training_arguments,
)
from ssd.model.boxes import cxcy_to_xy
from tests.helpers.voc_folders import data_list


def squares(*sides, seed=0, ratio=1.0):
    """Boxes (n, 4) of these sides, width / height = ratio, at random places."""
    size = torch.tensor(sides)[:, None] * torch.tensor([ratio**0.5, ratio**-0.5])
    low = torch.rand(len(sides), 2, generator=torch.Generator().manual_seed(seed)) * (1 - size)
    return torch.cat([low, low + size], dim=1)


@pytest.mark.parametrize("config", [
    SSDConfig(), SSDConfig.caffe(), SSDConfig.caffe512(), SSDConfig.of_size(512), SSDConfig.torchvision(),
])  # fmt: skip
def test_best_prior_ious_against_all_priors(config):
    rng = np.random.default_rng(0)
    corners = rng.random((300, 2, 2))
    boxes = torch.from_numpy(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)).float()
    expected = box_iou(boxes, cxcy_to_xy(create_prior_boxes(config))).amax(dim=1)
    torch.testing.assert_close(best_prior_ious(boxes, config), expected, rtol=0, atol=1e-5)
    assert best_prior_ious(boxes[:0], config).shape == (0,)


@pytest.mark.parametrize("size", [300, 512])
def test_small_objects_get_small_priors(size):
    usual = SSDConfig.of_size(size)
    boxes = squares(*np.geomspace(0.03, 0.06, 60).tolist(), *np.geomspace(0.2, 0.6, 60).tolist())
    fitted = fit_priors(boxes, usual)
    assert share_below(boxes, usual) > 0.3
    assert share_below(boxes, fitted) < share_below(boxes, usual) / 2
    assert fitted.scales[0] < usual.scales[0]
    assert all(new <= 2 * old + 1e-3 for new, old in zip(fitted.scales, usual.scales, strict=True))
    assert fit_priors(boxes, usual) == fitted


def test_long_objects_get_long_priors():
    boxes = squares(*np.geomspace(0.1, 0.3, 90).tolist(), ratio=5.0)
    fitted = fit_priors(boxes, SSDConfig())
    assert max(ratio for ratio in fitted.order if ratio != "extra") == pytest.approx(5)
    assert share_below(boxes, fitted) < share_below(boxes, SSDConfig()) / 2


def test_priors_that_fit_stay():
    boxes = squares(0.1, 0.2, 0.4)
    assert fit_priors(boxes, SSDConfig()) == SSDConfig()
    assert fit_priors(boxes[:0], SSDConfig()) == SSDConfig()


@pytest.mark.parametrize("config", [
    SSDConfig(), SSDConfig.of_size(512), SSDConfig().with_priors((0.04, 0.1, 0.2, 0.3, 0.4, 0.5)),
    SSDConfig.of_size(512).with_priors((0.01, 0.04, 0.1, 0.2, 0.3, 0.4, 0.5), (1.5, 4)),
])  # fmt: skip
def test_the_words_make_the_config(config):
    args = train.arguments().parse_args(training_arguments(config).split())
    made = SSDConfig.of_size(args.size or 300).with_priors(args.scales, args.ratios)
    assert np.allclose([pair for sizes in made.prior_sizes for pair in sizes],
                       [pair for sizes in config.prior_sizes for pair in sizes])  # fmt: skip
    assert made.input_size == config.input_size


def test_suggestion():
    entry = {"size": [300, 300], "labels": [1] * 40, "difficulties": [0] * 40,
             "boxes": [[20 + 5 * k, 20, 30 + 5 * k, 30] for k in range(40)]}  # fmt: skip
    _, header, usual, fitted, large, fitted_large, *words = suggestion(data_list(["a"], [entry], ("cat",))).splitlines()
    assert header.split("  ")[0] == "priors"
    assert usual.split() == ["SSD300", "100.0", "%", "0.11"] and large.startswith("SSD512")
    assert float(fitted.split()[1]) < 50 and float(fitted_large.split()[1]) < 50
    assert words[0].startswith("SSD300 with the fitted priors: train.py --scales 0.0")
    assert words[1].startswith("SSD512 with the fitted priors: train.py --size 512 --scales 0.0")
    assert suggestion(data_list(["a"], [entry | {"boxes": [[0, 0, 30, 30]] * 40}], ("cat",))).endswith("are needed.")


def test_box_fractions():
    entries = [
        {"size": [10, 20], "boxes": [[1, 2, 5, 10]], "labels": [1], "difficulties": [0]},
        {"size": [1, 1], "boxes": [], "labels": [], "difficulties": []},
    ]
    boxes = box_fractions(data_list(["a", "b"], entries, ("cat",)))
    torch.testing.assert_close(boxes, torch.tensor([[0.1, 0.1, 0.5, 0.5]]))
    assert box_fractions(data_list([], [], ("cat",))).shape == (0, 4)
