import math

import pytest
import torch
import torch.nn.functional as F

from ssd import SSD300, SSD512, SSDConfig, create_prior_boxes
from ssd.model.network import create_network

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


def paper_ssd512(state, images, n_classes):
    """SSD512 as the paper's section 3 and the authors' script have it, layer by layer, on our parameters."""

    def conv(name, x, **shape):
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **shape)

    x = images
    for stage, length in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)):
        for k in range(1, length + 1):
            x = conv(f"base.conv{stage}_{k}", x, padding=1).relu()
        if stage == 4:
            conv4_3 = x
        x = F.max_pool2d(x, 2, 2, ceil_mode=True) if stage < 5 else F.max_pool2d(x, 3, 1, padding=1)
    x = conv("base.conv7", conv("base.conv6", x, padding=6, dilation=6).relu()).relu()
    maps = {"conv4_3": F.normalize(conv4_3, dim=1) * state["rescale_factors"], "conv7": x}
    for block in (8, 9, 10, 11):
        x = maps[f"conv{block}_2"] = conv(f"aux_convs.conv{block}_2", conv(f"aux_convs.conv{block}_1", x).relu(),
                                          stride=2, padding=1).relu()  # fmt: skip
    assert state["aux_convs.conv12_2.weight"].shape == (256, 128, 4, 4)
    maps["conv12_2"] = conv("aux_convs.conv12_2", conv("aux_convs.conv12_1", x).relu(), padding=1).relu()
    outputs = []
    for kind, n_values in (("loc", 4), ("cl", n_classes)):
        predicted = [conv(f"pred_convs.{kind}_{name}", x, padding=1) for name, x in maps.items()]
        by_prior = [p.unflatten(1, (-1, n_values)).permute(0, 3, 4, 1, 2).flatten(1, 3) for p in predicted]
        outputs.append(torch.cat(by_prior, dim=1))
    return outputs


@torch.no_grad()
def test_ssd512_is_the_papers(images):
    """On 272 pixels, because that is quicker: a network of convolutions takes any size above 256."""
    torch.manual_seed(1)
    model = SSD512(SSDConfig.of_size(512, class_names=TWO_CLASSES)).eval()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.normal_(std=0.1)  # biases that count
    expected = paper_ssd512(model.state_dict(), images[:1, :, :272, :272], 3)
    for ours, theirs in zip(model(images[:1, :, :272, :272]), expected, strict=True):
        assert ((ours - theirs).norm() / theirs.norm()).item() < 1e-5


def test_names_and_outputs_of_ssd512(model):
    with torch.device("meta"):  # shapes alone
        larger = SSD512()
        conv4_3, conv7 = larger.base(torch.zeros(1, 3, 512, 512))
        maps = conv4_3, conv7, *larger.aux_convs(conv7)
        locs, scores = larger(torch.zeros(1, 3, 512, 512))
    sides, channels = (64, 32, 16, 8, 4, 2, 1), (512, 1024, 512, 256, 256, 256, 256)
    assert [x.shape[1:] for x in maps] == [(c, n, n) for c, n in zip(channels, sides, strict=True)]
    assert locs.shape[1:] == (24564, 4) and scores.shape[1:] == (24564, 21)
    layers = ("aux_convs.conv12_1", "aux_convs.conv12_2", "pred_convs.loc_conv12_2", "pred_convs.cl_conv12_2")
    more = {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert set(larger.state_dict()) == set(model.state_dict()) | more


def test_the_config_says_which_network(model):
    with torch.device("meta"):
        assert type(create_network(SSDConfig())) is SSD300
        assert type(create_network(SSDConfig.caffe512())) is SSD512
        with pytest.raises(ValueError, match="a network with 7 maps"):
            SSD300(SSDConfig.of_size(512))


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
    assert plain_layers(model) == ["conv11_2.norm"]
    with torch.device("meta"):
        assert plain_layers(SSD512(SSDConfig.of_size(512, backbone="vgg16_bn"))) == ["conv12_2.norm"]


def plain_layers(model):
    """The places where an auxiliary convolution has no batch normalisation."""
    return [name for name, module in model.aux_convs.named_modules() if isinstance(module, torch.nn.Identity)]
