"""Two untrained models that find something in every picture, and a picture."""

import pytest
import torch
from PIL import Image

from ssd import Detector, SSDConfig
from tests.helpers.small_network import SmallSSD


def small_model(*class_names):
    torch.manual_seed(len(class_names))
    return SmallSSD(SSDConfig(class_names=class_names))


@pytest.fixture(scope="session")
def models():
    return {
        "a/best.pth": Detector(small_model("cat", "dog"), "cpu", "fp32"),
        "b/best.pth": Detector(small_model("circle", "dog", "owl"), "cpu", "fp32"),
    }


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "my photo.png"
    Image.linear_gradient("L").resize((320, 200)).save(path)
    return path
