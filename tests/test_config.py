import pytest
import torch

from ssd import SSDConfig, create_prior_boxes
from ssd.config import SCALES, network_maps
from ssd.model.network import create_network


@pytest.mark.parametrize("change, message", [
    ({"clip": "some"}, "clip is 'some'"), ({"backbone": "resnet"}, "backbone is 'resnet'"),
    ({"input_size": 512}, r"feature_maps is \(38, .* but input_size 512 gives \(64, 32, 16, 8, 6, 4\)"),
    ({"input_size": 256, "feature_maps": (32, 16, 8, 4, 2, 1, 0), "steps": (1,) * 7, "prior_sizes": (((1, 1),),) * 7},
     "input_size 256 is too small for 7 maps"),
    ({"steps": (1,)}, "one entry for each of six or seven maps"),
    ({"class_names": "cat"}, "class_names is 'cat', must be a list"),
    ({"class_names": None}, "class_names is None, must be a list"), ({"class_names": {"a": 1}}, "must be a list"),
    ({"class_names": ["a", 1]}, "must be a list of names"), ({"class_names": ["background"]}, 'called "background"'),
    ({"class_names": ["a", "b", "", "", "b"]}, "class_names has 'b' twice; each class needs a name of its own"),
])  # fmt: skip
def test_config_refuses_what_it_does_not_know(change, message):
    with pytest.raises(ValueError, match=message):
        SSDConfig(**change)


def test_config_survives_plain_containers():
    config = SSDConfig.caffe(class_names=["a", "b"])
    plain = config.to_dict()
    assert SSDConfig.from_dict(plain) == config
    assert SSDConfig(class_names=["a", "b"]).class_names == ("a", "b")
    assert config.n_classes == 3
    assert config.label_map == {"background": 0, "a": 1, "b": 2}
    assert SSDConfig().n_classes == 21


@pytest.mark.parametrize("size", [300, 512])
def test_configs_of_a_size_are_those_of_the_networks(size):
    assert SSDConfig.of_size(300) == SSDConfig()
    config = SSDConfig.of_size(size, class_names=["a"])
    assert (config.input_size, config.class_names, config.clip) == (size, ("a",), "all")


@pytest.mark.parametrize("size, side", [(300, 269), (300, 300), (300, 332), (512, 272), (512, 512), (512, 530)])
def test_maps_are_those_of_the_network(size, side):
    n_maps = len(SCALES[size])
    cells = network_maps(side, n_maps)
    with pytest.raises(ValueError, match=f"but input_size {side} gives"):
        SSDConfig.of_size(size, input_size=side, feature_maps=(1,) * n_maps)
    config = SSDConfig.of_size(size, class_names=("a",), input_size=side, feature_maps=cells)
    with torch.device("meta"):  # shapes alone
        locs, scores = create_network(config)(torch.zeros(1, 3, side, side))
    assert locs.shape[1:] == (len(create_prior_boxes(config)), 4)
    assert scores.shape[1:] == (len(create_prior_boxes(config)), 2)
