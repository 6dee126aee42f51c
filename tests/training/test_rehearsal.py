"""What runs on a GPU, rehearsed where there is none: on PyTorch's fake CUDA tensors, which have shapes and devices but
no numbers. They refuse to be combined with tensors of the CPU, and to give a number to Python, for which a real GPU
would have to be waited for. They do not notice copies that wait, and backward and the optimiser are left out."""

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from ssd import SSD300, SSDConfig
from ssd.training.batches import Batch
from ssd.training.recipe import Recipe
from ssd.training.step import TrainingStep

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real GPU")


@pytest.fixture(autouse=True)
def fake():
    with FakeTensorMode():
        try:
            torch.nn.Conv2d(3, 3, 1, device="cuda")(torch.ones(1, 3, 4, 4, device="cuda"))
        except RuntimeError:
            pytest.skip("the fake CUDA tensors of this PyTorch need a real GPU")
        yield


def fake_batch(n_images=4, n_objects=7):
    boxes, labels = torch.rand(n_images, n_objects, 4), torch.ones(n_images, n_objects, dtype=torch.int64)
    return Batch(torch.rand(n_images, 3, 300, 300), boxes, labels, labels > 1, boxes[:, :2], [], {})


def give_gradients(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)


@pytest.mark.parametrize("backbone", ["vgg16", "vgg16_bn"])
@pytest.mark.parametrize("n_parts", [1, 2])
def test_a_training_step_asks_the_gpu_for_no_number(monkeypatch, backbone, n_parts):
    with torch.device("cuda"):
        model = SSD300(SSDConfig(backbone=backbone))
    monkeypatch.setattr(model, "to", lambda *_, **__: model)  # fake parameters cannot be exchanged
    monkeypatch.setattr(torch.Tensor, "backward", lambda _: give_gradients(model))  # PyTorch's own parts that need
    monkeypatch.setattr(torch.optim.SGD, "step", lambda _: None)  # a real GPU
    recipe = Recipe(iterations=1, batch_size=4 * n_parts, lr=1e-3, accumulate=n_parts, clip_norm=10)
    figures, norm = TrainingStep(model, recipe, "cuda")([fake_batch()] * n_parts, 1e-3)
    for figure in (*figures, norm):
        assert figure.shape == () and figure.device.type == "cuda"
    with pytest.raises(DataDependentOutputException):  # as every number would in the step
        norm.item()
