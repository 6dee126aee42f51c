import numpy as np
import pytest
import torch

from ssd import SSD300, SSD512, SSDConfig, save_checkpoint
from ssd.convert.reading import read_weights
from ssd.errors import InputError
from ssd.training.weights import NetworkOptions, initial_model, reshaped_maps, transfer
from tests.helpers.caffemodel import caffemodel
from tests.helpers.foreign_models import randomise, vgg_layers
from tests.helpers.weights import assert_close, normalise


def test_transfer():
    torch.manual_seed(0)
    old = SSD300(SSDConfig.caffe(class_names=("boat", "cat", "dog")))
    torch.manual_seed(1)
    new, names, layers = transfer(old.config, old.state_dict(), SSDConfig.caffe(class_names=("dog", "bird", "cat")))
    assert names == ["bird"] and not layers
    assert new.config == SSDConfig.caffe(class_names=("dog", "bird", "cat"))
    assert torch.equal(new.priors_cxcy, old.priors_cxcy)
    torch.manual_seed(1)
    fresh = SSD300(new.config).state_dict()
    expected_rows = {0: 0, 1: 3, 3: 2}  # new label -> old label; 2 is the bird
    for name, tensor in new.state_dict().items():
        before = old.state_dict()[name]
        if not name.startswith("pred_convs.cl_"):
            assert torch.equal(tensor, before), name
            continue
        for channel in range(len(tensor)):
            prior, label = divmod(channel, 4)
            row = expected_rows.get(label)
            assert torch.equal(tensor[channel], fresh[name][channel] if row is None else before[4 * prior + row])


def test_other_priors_restart_their_layers(tmp_path):
    """With ratios 2 and 4, the three maps that have only 2 keep their layers."""
    torch.manual_seed(0)
    old = SSD300(SSDConfig(class_names=("cat",)))
    save_checkpoint(tmp_path / "old.pth", old)
    new, words = initial_model(["cat"], str(tmp_path / "old.pth"), NetworkOptions(ratios=(2, 4)), seed=1)
    assert "conv7" in words and "conv4_3" not in words
    layers = "loc_conv7, cl_conv7, loc_conv8_2, cl_conv8_2, loc_conv9_2, cl_conv9_2"
    assert words.endswith(f"old.pth, except for the layers {layers}, which start at random")
    for name, tensor in old.state_dict().items():
        restarted = any(f"_{layer}.weight" in name for layer in ("conv7", "conv8_2", "conv9_2"))
        restarted &= name.startswith("pred_convs")
        assert torch.equal(tensor, new.state_dict()[name]) != restarted, name
    scales = (0.05, 0.15, 0.3, 0.5, 0.7, 0.9)
    new, words = initial_model(["cat"], str(tmp_path / "old.pth"), NetworkOptions(scales=scales), seed=1)
    assert words == f"the detector {tmp_path / 'old.pth'}"
    assert new.config.scales == pytest.approx(scales)
    assert all(torch.equal(tensor, new.state_dict()[name]) for name, tensor in old.state_dict().items())


def test_maps_whose_priors_have_other_shapes():
    ours, caffe, large = SSDConfig(), SSDConfig.caffe(), SSDConfig.of_size(512)
    assert reshaped_maps(ours, SSDConfig.tutorial()) == []
    assert reshaped_maps(ours, caffe) == ["conv7", "conv8_2", "conv9_2"]  # 3 and 1/2 change places
    assert reshaped_maps(caffe, caffe.with_priors((0.03, 0.1, 0.3, 0.5, 0.7, 0.8))) == []
    assert reshaped_maps(ours, large) == ["conv10_2", "conv12_2"]
    assert reshaped_maps(large, ours) == ["conv10_2"]
    assert reshaped_maps(caffe, caffe.resized(512)) == ["conv10_2", "conv12_2"]


def test_a_detector_of_another_size(tmp_path):
    torch.manual_seed(0)
    old = SSD300(SSDConfig.caffe(class_names=("cat",)))
    save_checkpoint(tmp_path / "old.pth", old)
    new, words = initial_model(["cat"], str(tmp_path / "old.pth"), NetworkOptions(size=512))
    assert type(new) is SSD512 and new.config.mean == old.config.mean and new.config.clip == "none"
    new_layers = "conv12_1, conv12_2, loc_conv10_2, cl_conv10_2, loc_conv12_2, cl_conv12_2"
    assert words.endswith(f"except for the layers {new_layers}, which start at random")
    assert torch.equal(new.aux_convs.conv11_2.weight, old.aux_convs.conv11_2.weight)
    for options, message in (
        (NetworkOptions(backbone="vgg16_bn"), "old.pth: its backbone is vgg16; leave out --backbone vgg16_bn"),
        (NetworkOptions(scales=[0.5] * 6), "old.pth: --scales 0.5 0.5 0.5 0.5 0.5 0.5: the 6 maps need 6 numbers"),
    ):
        with pytest.raises(InputError, match=message):
            initial_model(["cat"], str(tmp_path / "old.pth"), options)


@torch.no_grad()
def test_the_vgg16_that_the_paper_starts_from(tmp_path):
    """A `.caffemodel` of fc6 and fc7 as convolutions, whose input is BGR from 0 to 255 minus the mean."""
    torch.manual_seed(0)
    layers = randomise(vgg_layers())
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    stages = [f"conv{stage}_{k}" for stage, n in enumerate((2, 2, 3, 3, 3), start=1) for k in range(1, n + 1)]
    blobs = {
        name: [layer.weight.numpy(), layer.bias.numpy()]
        for name, layer in zip([*stages, "fc6", "fc7"], convolutions, strict=True)
    }
    path = tmp_path / "VGG_ILSVRC_16_layers_fc_reduced.caffemodel"
    path.write_bytes(caffemodel({**blobs, "fc8": [np.ones((5, 1024, 1, 1))]}))

    images = torch.rand(2, 3, 40, 48)  # RGB
    x = images.flip(1) * 255 - torch.tensor([104, 117, 123]).view(3, 1, 1)
    maps = [x := layer(x) for layer in layers]
    model, words = initial_model(["cat"], str(path))
    assert words == f"VGG16's weights {path}"
    ours = model.base.eval()(normalise(images, model.config))
    assert_close(ours, (maps[22], maps[-1]))

    with pytest.raises(InputError, match="VGG16 without a detector; train.py --weights .*reduced.caffemodel starts"):
        read_weights(path)
