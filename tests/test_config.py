import pytest

from ssd import SSDConfig


@pytest.mark.parametrize("change, message", [
    ({"clip": "some"}, "clip is 'some'"), ({"backbone": "resnet"}, "backbone is 'resnet'"),
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
