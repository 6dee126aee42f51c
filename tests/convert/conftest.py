"""Models and pictures for the tests of conversion."""

import pytest
import torch
from torchvision.models.detection import ssd300_vgg16

from tests.helpers.foreign_models import randomise

N_CLASSES = 4


@pytest.fixture(scope="module")
def images():
    """A batch of one smooth picture, 0-1 RGB."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(1, 3, 20, 20, generator=generator)
    return torch.nn.functional.interpolate(coarse, size=(300, 300), mode="bilinear").clamp(0, 1)


@pytest.fixture(scope="module")
def foreign():
    """A model of each project that stores plain tensors or a pickle, made when it is asked for."""
    made = {}

    def model(cls):
        if cls not in made:
            torch.manual_seed(len(made))
            made[cls] = randomise(cls(N_CLASSES))
        return made[cls]

    return model


@pytest.fixture(scope="module")
def theirs():
    """torchvision's own SSD300 with few classes, whose scores are spread out."""
    torch.manual_seed(0)
    model = randomise(ssd300_vgg16(weights=None, weights_backbone=None, num_classes=N_CLASSES))
    for module in model.head.classification_head.module_list:
        module.weight.data.mul_(0.1)
    return model
