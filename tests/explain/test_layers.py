"""The layers are the network's: counted by hand for some, and receptive fields against its gradients."""

import pytest
import torch

from ssd import SSD300, SSDConfig
from ssd.explain.layers import network_layers

MAPS = ("conv4_3", "conv7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")


@pytest.fixture(scope="module")
def layers():
    return {layer.name: layer for layer in network_layers(SSDConfig())}


def test_numbers_of_some_layers(layers):
    conv6, first = layers["base.conv6"], layers["base.conv1_1"]
    assert (conv6.kernel, conv6.dilation, conv6.channels, conv6.cells) == (3, 6, 1024, 19)
    assert conv6.parameters == 3 * 3 * 512 * 1024 + 1024
    assert first.operations == 3 * 3 * 3 * 64 * 300 * 300
    assert (first.field.start, first.field.step, first.field.size) == (-1, 1, 3)
    assert layers["base.conv4_3"].field.size == 92
    assert [layers[f"pred_convs.loc_{name}"].cells for name in MAPS] == [38, 19, 10, 5, 3, 1]


@pytest.mark.parametrize("backbone", ["vgg16", "vgg16_bn"])
def test_parameters_are_all_of_the_networks(backbone):
    config = SSDConfig(backbone=backbone)
    with torch.device("meta"):
        whole = sum(p.numel() for p in SSD300(config).parameters())
    assert sum(layer.parameters for layer in network_layers(config)) + 512 == whole  # rescale_factors


@pytest.fixture(scope="module")
def thin():
    """SSD300 with one channel in each map, whose weights are all positive: gradients reach all of a receptive field."""
    with torch.device("meta"):
        model = SSD300(SSDConfig(class_names=())).double().eval()
    model.l2_normalise = lambda x: x  # works inside each cell, and makes a single channel 1
    with torch.no_grad():
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Conv2d):
                n_out = module.out_channels if "pred" in name else 1
                n_in = 3 if "conv1_1" in name else 1
                weight = torch.ones(n_out, n_in, *module.kernel_size).double()
                module.weight = torch.nn.Parameter(weight / weight[0].numel())
                module.bias = torch.nn.Parameter(torch.zeros(n_out).double())
    return model


def columns_of(model, column_of_cell, slope):
    """First and last column of an image on which a prediction of each map depends, at a cell of row and column 0 or -1.

    slope: of the brightness, so that max pooling passes gradients on to its last (1) or first (-1) column and row.
    """
    ramp = slope * torch.arange(300.0).double() * 1e-3 + 1
    image = (ramp + ramp.view(-1, 1)).expand(1, 3, 300, 300).clone().requires_grad_()
    locs, _ = model(image)
    first = 0
    for cells, n_priors in zip(model.config.feature_maps, model.config.priors_per_cell, strict=True):
        n = cells**2 * n_priors
        prior = first if column_of_cell == 0 else first + n - 1
        (gradient,) = torch.autograd.grad(locs[0, prior, 0], image, retain_graph=True)
        touched = gradient.sum(dim=(0, 1, 2)).nonzero().squeeze(1)
        yield touched.min().item(), touched.max().item()
        first += n


@pytest.mark.parametrize("column_of_cell, slope", [(0, 1), (-1, -1)])
def test_receptive_fields_are_where_the_gradients_are(thin, layers, column_of_cell, slope):
    found = list(columns_of(thin, column_of_cell, slope))
    for name, cells, (first, last) in zip(MAPS, thin.config.feature_maps, found, strict=True):
        field = layers[f"pred_convs.loc_{name}"].field
        start = field.start + column_of_cell % cells * field.step
        assert (first, last) == (max(start, 0), min(start + field.size, 300) - 1), name
    assert len(set(found)) >= 4  # not all of them reach from border to border
