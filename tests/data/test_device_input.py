import numpy as np
import pytest
import torch
from PIL import Image

from ssd import SSDConfig
from ssd.data import preprocess
from ssd.data.device_input import preprocess_on

CPU = torch.device("cpu")
SIZES = [
    (640, 480), (640, 480), (300, 300), (299, 301), (1, 1), (1, 700), (700, 1), (40, 30), (500, 333), (333, 500),
    (640, 480), (354, 834), (2000, 150), (301, 2000),
]  # fmt: skip


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize("config", [SSDConfig(), SSDConfig.caffe()])
def test_the_same_as_on_the_cpu_to_the_last_bit(config):
    images = [Image.fromarray(noise(size, seed)) for seed, size in enumerate(SIZES)]
    expected = torch.stack([preprocess(image, config) for image in images])
    assert torch.equal(preprocess_on(CPU, images, config), expected)
    assert torch.equal(preprocess_on(CPU, images[3:4], config), expected[3:4])


def test_pictures_that_are_not_rgb():
    config, grey = SSDConfig(), Image.fromarray(noise((90, 60))).convert("L")
    assert torch.equal(preprocess_on(CPU, [grey], config)[0], preprocess(grey, config))


def test_arrays(monkeypatch):
    config, array = SSDConfig(), noise((640, 480))
    expected = preprocess(Image.fromarray(array), config)
    frozen = array.copy()
    frozen.flags.writeable = False
    turned = array[:, ::-1][:, ::-1]
    for same in (array, frozen, turned, np.asfortranarray(array)):
        assert torch.equal(preprocess_on(CPU, [same], config)[0], expected)
        assert torch.equal(preprocess(same, config), expected)
    monkeypatch.setattr("ssd.data.device_input.LARGE_PICTURE", 1000)  # left to Pillow
    assert torch.equal(preprocess_on(CPU, [array], config)[0], expected)


@pytest.mark.parametrize("wrong", [
    noise((4, 4)).astype(float), noise((4, 4))[..., 0], np.zeros((3, 4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8),
])  # fmt: skip
def test_arrays_that_are_no_rgb_pictures(wrong):
    for function in (lambda: preprocess(wrong, SSDConfig()), lambda: preprocess_on(CPU, [wrong], SSDConfig())):
        with pytest.raises(ValueError, match="is no RGB picture"):
            function()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_cuda_gives_the_same_to_the_last_bit():
    images = [Image.fromarray(noise(size, seed)) for seed, size in enumerate(SIZES)]
    expected = torch.stack([preprocess(image, SSDConfig()) for image in images])
    assert torch.equal(preprocess_on(torch.device("cuda"), images, SSDConfig()).cpu(), expected)
