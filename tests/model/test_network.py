import math

import pytest
import torch

from ssd import SSD300, SSDConfig, create_prior_boxes

TWO_CLASSES = ("cat", "dog")


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(0)
    return torch.randn(2, 3, 300, 300)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return SSD300().eval()


@torch.no_grad()
def test_outputs_in_both_modes(model, images):
    locs, scores = model(images)
    assert locs.shape == (2, 8732, 4)
    assert scores.shape == (2, 8732, 21)
    for a, b in zip(model.train()(images), (locs, scores), strict=True):
        assert torch.equal(a, b)
    model.eval()


@torch.no_grad()
def test_channels_last_changes_nothing(model, images):
    last = model(images.to(memory_format=torch.channels_last))
    for a, b in zip(last, model(images), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_maps(model, images):
    conv4_3, conv7 = model.base(images)
    assert conv4_3.shape == (2, 512, 38, 38)
    assert conv7.shape == (2, 1024, 19, 19)
    assert [m.shape[1:] for m in model.aux_convs(conv7)] == [(512, 10, 10), (256, 5, 5), (256, 3, 3), (256, 1, 1)]


def test_parameter_names(model):
    names = set(model.state_dict())
    stages = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
    layers = [f"base.conv{s}_{k}" for s, n in stages.items() for k in range(1, n + 1)] + ["base.conv6", "base.conv7"]
    layers += [f"aux_convs.conv{k}_{j}" for k in range(8, 12) for j in (1, 2)]
    maps = ("conv4_3", "conv7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
    layers += [f"pred_convs.{kind}_{name}" for name in maps for kind in ("loc", "cl")]
    assert names == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")} | {"rescale_factors"}
    assert model.rescale_factors.shape == (1, 512, 1, 1)
    assert (model.rescale_factors == 20).all()
    assert dict(model.named_buffers())["priors_cxcy"].shape == (8732, 4)


def test_predictions_are_in_the_order_of_the_priors():
    """The prediction for a prior comes from its own cell and its own channels."""
    model = SSD300(SSDConfig(class_names=TWO_CLASSES))
    shapes = (512, 38), (1024, 19), (512, 10), (256, 5), (256, 3), (256, 1)
    maps = [torch.zeros(1, channels, cells, cells) for channels, cells in shapes]
    maps[1][0, :, 4, 7] = 1.0  # conv7, fifth row, eighth column
    convolution = model.pred_convs.loc_conv7
    torch.nn.init.zeros_(convolution.weight)
    with torch.no_grad():
        convolution.weight[2 * 4 + 1, :, 1, 1] = 1.0  # the second offset of a cell's third prior
        locs, _ = model.pred_convs(maps)
    prior = 4 * 38**2 + (4 * 19 + 7) * 6 + 2
    assert locs[0, prior].tolist() == [0, 1024, 0, 0]
    priors = model.priors_cxcy[prior]
    torch.testing.assert_close(priors[:2], torch.tensor([7.5 / 19, 4.5 / 19]))


def test_initialisation():
    torch.manual_seed(0)
    for name, module in SSD300(SSDConfig(class_names=TWO_CLASSES)).named_modules():
        if not isinstance(module, torch.nn.Conv2d):
            continue
        n_out, n_in, *kernel = module.weight.shape
        fan_in, fan_out = n_in * math.prod(kernel), n_out * math.prod(kernel)
        if name.startswith("base."):
            assert module.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.1), name  # He
        else:
            bound = math.sqrt(6 / (fan_in + fan_out))  # Xavier
            assert 0.99 * bound < module.weight.abs().max().item() <= bound * 1.001, name
        assert (module.bias == 0).all()


def test_float64_is_computed_in_float64():
    model = SSD300(SSDConfig(class_names=TWO_CLASSES)).double()
    x = torch.randn(1, 512, 38, 38, dtype=torch.float64)
    expected = 20 * x / (x.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()
    torch.testing.assert_close(model.l2_normalise(x), expected, rtol=1e-12, atol=0)
    assert {output.dtype for output in model(torch.zeros(1, 3, 300, 300, dtype=torch.float64))} == {torch.float64}


def test_l2_normalisation(model):
    x = torch.randn(1, 512, 38, 38)
    torch.testing.assert_close(model.l2_normalise(x).norm(dim=1), torch.full((1, 38, 38), 20.0))
    zero = torch.zeros(1, 512, 38, 38, requires_grad=True)
    model.l2_normalise(zero).sum().backward()
    assert zero.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_priors_stay_float32(dtype):
    model = SSD300(SSDConfig(class_names=TWO_CLASSES)).to(dtype)
    assert model.rescale_factors.dtype == dtype
    assert torch.equal(model.priors_cxcy, create_prior_boxes(model.config))


@torch.no_grad()
def test_forward_computes_in_its_parameters_type(images):
    model = SSD300(SSDConfig(class_names=TWO_CLASSES)).bfloat16()
    locs, scores = model(images[:1].bfloat16())
    assert locs.dtype == scores.dtype == torch.bfloat16


def test_batch_norm_backbone_trains_on_one_image(images):
    model = SSD300(SSDConfig(class_names=TWO_CLASSES, backbone="vgg16_bn")).train()
    locs, scores = model(images[:1])
    (locs.sum() + scores.sum()).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    assert isinstance(model.aux_convs.conv11_2.norm, torch.nn.Identity)
