from math import sqrt

import numpy as np
import pytest

from ssd import SSDConfig


@pytest.mark.parametrize("change, message", [
    ({"clip": "some"}, "clip is 'some'"), ({"backbone": "resnet"}, "backbone is 'resnet'"),
    ({"input_size": 512}, r"feature_maps is \(38, .* but input_size 512 gives \(64, 32, 16, 8, 4, 2, 1\)"),
    ({"input_size": 400}, "input_size is 400, must be 300 or 512"),
    ({"steps": (1,)}, "one entry for each of the 6 maps"),
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
    with pytest.raises(ValueError, match="input_size is 320, must be 300 or 512"):
        SSDConfig.of_size(320)
    config = SSDConfig.of_size(size, class_names=["a"])
    assert (config.input_size, config.class_names, config.clip) == (size, ("a",), "all")


def test_priors_of_ones_own():
    scales = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
    config = SSDConfig().with_priors(scales, (1.5, 2, 4))
    s, extra = 0.1, sqrt(0.1 * 0.2)
    expected = [(s, s), (extra, extra), *((s * sqrt(r), s / sqrt(r)) for r in (1.5, 2, 4, 1 / 1.5, 1 / 2, 1 / 4))]
    assert np.allclose(config.prior_sizes[1], expected)
    assert config.priors_per_cell == (4, 8, 8, 8, 4, 4)  # the first map and the last two have 1.5 alone
    assert config.prior_sizes[0][2] == pytest.approx((0.05 * sqrt(1.5), 0.05 / sqrt(1.5)))
    assert config.prior_sizes[5][1] == (1, 1)
    assert config.scales == pytest.approx(scales)
    assert SSDConfig().with_priors() == SSDConfig()


def test_scales_alone_keep_the_order_of_the_priors():
    caffe = SSDConfig.caffe()
    config = caffe.with_priors([2 * scale / 3 for scale in caffe.scales])
    for k in range(6):
        for j, size in enumerate(caffe.prior_sizes[k]):
            if j != 1:  # the extra square also depends on the next scale
                assert config.prior_sizes[k][j] == pytest.approx([2 / 3 * side for side in size])
    assert (config.steps, config.clip, config.mean) == (caffe.steps, "none", caffe.mean)


def test_the_present_ratios_keep_the_order_of_the_priors():
    for config in (SSDConfig(), SSDConfig.caffe(), SSDConfig.tutorial()):
        assert config.ratios == (2, 3)
        for ratios in ((2, 3), (3, 2)):
            assert config.with_priors(ratios=ratios) == config.with_priors(config.scales)
    assert SSDConfig().with_priors(ratios=(3, 1.5)).ratios == (3, 1.5)


@pytest.mark.parametrize("change, message", [
    ({"scales": (0.1, 0.2)}, "^--scales 0.1 0.2: the 6 maps need 6 numbers"),
    ({"scales": (0.1, 0.3, 0.2, 0.4, 0.5, 0.6)}, "each larger than the one before"),
    ({"scales": (0, 0.1, 0.2, 0.4, 0.5, 0.6)}, "above 0"), ({"scales": (0.1, 0.2, 0.3, 0.4, 0.5, 1.1)}, "up to 1"),
    ({"ratios": ()}, "must be different numbers above 1"), ({"ratios": (2, 2)}, "^--ratios 2 2: must be different"),
    ({"ratios": (0.5,)}, "above 1"),
])  # fmt: skip
def test_priors_that_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        SSDConfig().with_priors(**change)
