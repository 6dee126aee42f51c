import pytest

from ssd import SSD300, SSDConfig
from ssd.training.optimiser import create_optimiser, set_learning_rate, train_mode


@pytest.mark.parametrize("backbone", ["vgg16", "vgg16_bn"])
def test_parameter_groups(backbone):
    model = SSD300(SSDConfig(class_names=("a",), backbone=backbone))
    optimiser = create_optimiser(model, momentum=0.8, weight_decay=1e-3)
    set_learning_rate(optimiser, 0.1)
    by_parameter = {id(p): group for group in optimiser.param_groups for p in group["params"]}
    assert len(by_parameter) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        group = by_parameter[id(parameter)]
        assert group["lr"] == (0.2 if name.endswith("bias") else 0.1)
        decays = not name.endswith("bias") and ".norm." not in name
        assert group["weight_decay"] == (1e-3 if decays else 0)
        assert group["momentum"] == 0.8


def test_convolutions_that_freeze():
    model = SSD300(SSDConfig(class_names=("a",), backbone="vgg16_bn"))
    train_mode(model, 3)
    still = {name.split(".")[1] for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert still == {"conv1_1", "conv1_2", "conv2_1"}
    assert not model.base.conv2_1.norm.training
    assert model.base.conv2_2.norm.training
