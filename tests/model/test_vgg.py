import pytest
import torch
from torchvision.models import vgg16, vgg16_bn

from ssd import SSDConfig
from ssd.model.vgg import Convolution, VGGBase, pretrained_input
from tests.helpers.networks import randomise_batch_norm


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(0)
    return torch.randn(2, 3, 300, 300)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_convolution(batch_norm):
    convolution = Convolution(3, 5, 3, stride=2, padding=1, batch_norm=batch_norm).eval()
    randomise_batch_norm(convolution)
    x = torch.randn(2, 3, 9, 9)
    plain = torch.nn.Conv2d(3, 5, 3, stride=2, padding=1)
    plain.load_state_dict({name: convolution.state_dict()[name] for name in ("weight", "bias")})
    expected = convolution.norm(plain(x)).relu()
    torch.testing.assert_close(convolution(x), expected)
    convolution.fold_norm()
    assert set(convolution.state_dict()) == {"weight", "bias"}
    torch.testing.assert_close(convolution(x), expected)


@pytest.mark.parametrize("classifier, batch_norm, with_counts", [
    (vgg16, False, False), (vgg16_bn, True, False), (vgg16_bn, True, True),
])  # fmt: skip
@torch.no_grad()
def test_pretrained_weights(classifier, batch_norm, with_counts, images):
    """with_counts: with the `num_batches_tracked` that torchvision's published file lacks."""
    torch.manual_seed(0)
    reference = classifier(weights=None).eval()
    randomise_batch_norm(reference)
    base = VGGBase(batch_norm).eval()
    state = reference.state_dict()
    base.load_pretrained({k: v for k, v in state.items() if with_counts or not k.endswith("num_batches_tracked")})
    # conv4_3 must be the classifier's own activation, on a size at which ceil mode does not matter
    x = images[:, :, :288, :288]
    n_layers = list(reference.features).index([m for m in reference.features if isinstance(m, torch.nn.MaxPool2d)][3])
    torch.testing.assert_close(base(x)[0], reference.features[:n_layers](x), rtol=1e-4, atol=1e-4)
    fc6, fc7 = (reference.classifier[k].weight for k in (0, 3))
    assert base.conv6.weight[5, 7, 1, 2] == fc6.view(4096, 512, 7, 7)[20, 7, 3, 6]
    assert base.conv7.weight[5, 7, 0, 0] == fc7[20, 28]
    assert base.conv6.bias[5] == reference.classifier[0].bias[20]
    assert base.conv7.bias[5] == reference.classifier[3].bias[20]


def reducedfc(seed=0):
    """A `vgg16_reducedfc`: one Sequential with fc6 and fc7 as convolutions."""
    torch.manual_seed(seed)
    layers = []
    for ours in VGGBase().children():  # conv1_1 to conv7, in order
        shape = {"padding": ours.padding, "dilation": ours.dilation}
        layers += [torch.nn.Conv2d(ours.in_channels, ours.out_channels, ours.kernel_size, **shape), torch.nn.ReLU()]
    for place in (4, 9, 16, 23, 30):
        layers.insert(place, torch.nn.MaxPool2d(2, ceil_mode=place == 16))
    layers[30] = torch.nn.MaxPool2d(3, 1, 1)
    return torch.nn.Sequential(*layers)


@torch.no_grad()
def test_reduced_pretrained_weights(images):
    """An independent network of the same weights gives the same maps."""
    network = reducedfc()
    state = network.state_dict()
    assert "33.bias" in state and len(state) == 30
    base = VGGBase()
    base.load_pretrained(state)
    expected = network[:23](images[:1])
    torch.testing.assert_close(base(images[:1]), (expected, network[23:](expected)), rtol=1e-4, atol=1e-5)


def test_input_of_pretrained_weights():
    torchvision = {"features.0.weight": 0, "classifier.0.weight": 0}
    assert pretrained_input(torchvision) == {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    reduced = SSDConfig(**pretrained_input(dict.fromkeys(reducedfc().state_dict(), 0)))
    assert [round(255 * mean, 9) for mean in reduced.mean] == [123, 117, 104]  # of 0-255
    assert [round(255 * std, 9) for std in reduced.std] == [1, 1, 1]
    for other in (VGGBase().state_dict(), torch.zeros(3), {}):
        with pytest.raises(ValueError, match="not the weights"):
            pretrained_input(other)


def test_pretrained_features_alone():
    """torchvision has a file of VGG16 in which the classifier is not a number."""
    state = reducedfc().state_dict()
    state["33.bias"] = torch.full_like(state["33.bias"], float("nan"))
    with pytest.raises(ValueError, match="conv7.bias is not finite"):
        VGGBase().load_pretrained(state)


def test_pretrained_weights_of_another_network():
    with pytest.raises(ValueError, match="torchvision's vgg16 or of vgg16_reducedfc"):
        VGGBase().load_pretrained(reducedfc().state_dict() | {"35.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="not the weights of torchvision's vgg16_bn"):
        VGGBase(batch_norm=True).load_pretrained(reducedfc().state_dict())
    with pytest.raises(ValueError, match="not the weights of torchvision's vgg16_bn"):
        VGGBase(batch_norm=True).load_pretrained(VGGBase().state_dict())
