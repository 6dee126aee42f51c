"""Predictors: which classes they detect, and the network made ready for inference."""

import pytest
import torch

from ssd import SSD300, SSDConfig, load_checkpoint
from ssd.inference.predictor import as_predictor, for_inference
from tests.helpers.networks import randomise_batch_norm
from tests.helpers.small_network import SmallSSD


def test_classes_that_are_left_out_of_a_predictor(checkpoint):
    model = load_checkpoint(checkpoint)
    names, images = model.config.class_names, torch.randn(2, 3, 300, 300)
    predictor = as_predictor(model, class_names=("circle", "", "star", ""))
    found = {}
    for each in (as_predictor(model), predictor, as_predictor(predictor, class_names=names)):
        _, labels, _ = each.detect_objects(*each(images), 0.01, 0.45, 200)
        found[each.config.class_names] = set(torch.cat(labels).tolist())
    assert found == {names: {1, 2, 3, 4}, ("circle", "", "star", ""): {1, 3}}
    assert model.config.class_names == names
    assert predictor.config.class_names == ("circle", "", "star", "")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_inference_in_another_type(dtype):
    model = SSD300(SSDConfig(class_names=("cat", "dog")))
    copy = for_inference(model, "cpu", dtype)
    assert {parameter.dtype for parameter in copy.parameters()} == {dtype}
    assert copy.priors_cxcy.dtype == model.rescale_factors.dtype == torch.float32


@pytest.mark.parametrize("synchronised", [False, True])  # as it is over several GPUs
@torch.no_grad()
def test_batch_norm_folds_away(synchronised):
    torch.manual_seed(0)
    images = torch.randn(2, 3, 300, 300)
    model = SSD300(SSDConfig(class_names=("cat", "dog"), backbone="vgg16_bn")).eval()
    randomise_batch_norm(model)
    expected = model(images)
    if synchronised:
        model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(model)
    folded = for_inference(model, "cpu", torch.float32)
    norms = [sum("norm." in name for name in network.state_dict()) for network in (folded, model)]
    assert norms == [0, 5 * 22]  # the model itself keeps its own
    for a, b in zip(folded(images), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_copies_to_the_cpu_are_waited_for(monkeypatch):
    """Otherwise the CPU may read the numbers of a GPU before they are there."""
    copies, to = [], torch.Tensor.to

    def noted(tensor, *args, **kwargs):
        copies.append(kwargs.get("non_blocking", False))
        return to(tensor, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "to", noted)
    predictor = as_predictor(SmallSSD(SSDConfig(class_names=("a",))), "cpu")
    predictor(torch.zeros(1, 3, 300, 300))
    assert copies
    assert not any(copies)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_images_that_a_gpu_still_computes():
    predictor = as_predictor(SmallSSD(SSDConfig(class_names=("a",))), "cpu")
    images, slow = torch.rand(8, 3, 300, 300), torch.rand(8192, 8192, device="cuda")
    late = (slow @ slow @ slow).mean() * 0 + images.cuda()
    for a, b in zip(predictor(late), predictor(images), strict=True):
        assert torch.equal(a, b)
