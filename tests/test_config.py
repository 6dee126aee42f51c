from ast import literal_eval

import pytest
import torch

from ssd import SSD300, SSDConfig


@pytest.mark.parametrize("change, message", [
    ({"clip": "some"}, "clip is 'some'"), ({"backbone": "resnet"}, "backbone is 'resnet'"),
    ({"input_size": 512}, r"feature_maps is \(38, .* but input_size 512 gives \(64, 32, 16, 8, 6, 4\)"),
    ({"steps": (1,)}, "six maps"), ({"class_names": "cat"}, "class_names is 'cat', must be a list"),
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


@pytest.mark.parametrize("side", [269, 300, 332])
def test_maps_are_those_of_the_network(side):
    with pytest.raises(ValueError, match="but input_size") as refused:
        SSDConfig(input_size=side, feature_maps=(1,) * 6)
    cells = literal_eval(str(refused.value).partition("gives ")[2])
    model = SSD300(SSDConfig(class_names=("a",), input_size=side, feature_maps=cells, steps=[1 / n for n in cells]))
    with torch.no_grad():
        locs, _ = model(torch.zeros(1, 3, side, side))
    assert locs.shape[1] == len(model.priors_cxcy)
