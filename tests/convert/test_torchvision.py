"""Our weights as torchvision's and back."""

from dataclasses import replace

import pytest
import torch
from torchvision.models.detection.image_list import ImageList

from ssd import SSD300, SSDConfig, create_prior_boxes, detect_objects
from ssd.config import sizes_per_map
from ssd.convert import building_lines, read_weights, to_torchvision, without_batch_norm
from ssd.convert.torchvision import from_torchvision, torchvision_order
from ssd.errors import InputError
from ssd.model.boxes import cxcy_to_xy
from tests.helpers.foreign_models import randomise
from tests.helpers.networks import randomise_batch_norm
from tests.helpers.weights import assert_close, normalise, predictions, run_lines


@torch.no_grad()
def test_a_model_detects_no_label_without_a_class(ours, images):
    locs, scores = ours(normalise(images, ours.config))
    scores[:, ::2, 2] += 5
    _, labels, _ = ours.detect_objects(locs, scores, 0.0, 0.45, 10_000)
    assert {label for image in labels for label in image.tolist()} == {1, 3}


@pytest.fixture(scope="module")
def ours():
    torch.manual_seed(0)
    model = randomise(SSD300(SSDConfig(class_names=("cat", "", "dog"))))
    for name, parameter in model.pred_convs.named_parameters():
        parameter.data.mul_(0.1 if name.startswith("cl") else 0.01)  # torchvision clamps offsets that are out of reason
    return model


CONVENTIONS = {
    "default": SSDConfig, "tutorial": SSDConfig.tutorial, "caffe": SSDConfig.caffe,
    "clipped caffe": lambda **changes: SSDConfig.caffe(clip="all", **changes),
}  # fmt: skip


@pytest.mark.parametrize("convention", CONVENTIONS)
@torch.no_grad()
def test_to_torchvision_and_back(convention, ours, images, tmp_path):
    """The printed lines build the model that has the same priors and detections; the file comes back bit for bit."""
    ours.config = CONVENTIONS[convention](class_names=("cat", "", "dog"))
    ours.priors_cxcy.copy_(create_prior_boxes(ours.config))
    ours.base.conv1_1.weight.div_(ours.base.conv1_1.weight.std() / ours.config.std[0])  # activations alike in all
    path = tmp_path / "it's.pth"
    torch.save(to_torchvision(ours.config, ours.state_dict()), path)

    _, config, state = read_weights(path)
    assert config == ours.config
    assert all(torch.equal(state[name], tensor) for name, tensor in ours.state_dict().items())
    assert state.keys() == ours.state_dict().keys()

    model, names = run_lines(building_lines(ours.config, path))
    assert names == ["__background__", "cat", "N/A", "dog"]
    maps = [torch.zeros(1, 1, cells, cells) for cells in config.feature_maps]
    anchors = model.anchor_generator(ImageList(torch.zeros(1, 3, 300, 300), [(300, 300)]), maps)[0]
    sizes = tuple(tuple(cell[k] for k in torchvision_order(cell)) for cell in config.prior_sizes)
    priors = create_prior_boxes(replace(config, prior_sizes=sizes))
    torch.testing.assert_close(anchors, cxcy_to_xy(priors) * 300, rtol=0, atol=1e-3)

    model.score_thresh, model.nms_thresh, model.detections_per_img = 0.3, 0.45, 200
    found = model(list(images))
    locs, scores = ours(normalise(images, ours.config))
    expected = detect_objects(locs, scores, ours.priors_cxcy, 0.3, 0.45, 200)  # torchvision knows no unused labels
    assert all(len(image["scores"]) > 20 for image in found)
    for image, boxes, labels, image_scores in zip(found, *expected, strict=True):
        torch.testing.assert_close(image["scores"], image_scores, rtol=1e-3, atol=1e-5)
        assert torch.equal(image["labels"], labels)
        torch.testing.assert_close(image["boxes"], boxes * 300, rtol=0, atol=0.01)


def test_torchvision_to_ours_and_back(theirs):
    state = theirs.state_dict()
    config, ours = from_torchvision(state)
    again = to_torchvision(config, ours)
    assert again.keys() == state.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    lines = building_lines(config, "x.pth")
    assert "scales=[0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]" in lines  # those of torchvision
    assert "steps=[8.0, 16.0, 32.0, 64.0, 100.0, 300.0]" in lines
    assert "Clipped" not in lines
    assert "_wh_pairs" not in lines


def test_torchvision_order():
    order = (2, 1 / 3, 1, 1 / 2, "extra", 3)
    sizes = sizes_per_map((0.2,) * 6, (0.3,) * 6, order)[1]
    expected = [1, "extra", 2, 1 / 2, 3, 1 / 3]
    assert [order[k] for k in torchvision_order(sizes)] == expected


def test_what_torchvision_has_no_network_for(tmp_path, capsys):
    with pytest.raises(InputError, match="no batch normalisation; without_batch_norm folds it"):
        to_torchvision(SSDConfig(backbone="vgg16_bn"), {})
    with pytest.raises(InputError, match="torchvision has no SSD512"):
        to_torchvision(SSDConfig.of_size(512), {})
    with pytest.raises(InputError, match="variances"):
        to_torchvision(SSDConfig(variances=(0.1, 0.1)), {})


@torch.no_grad()
def test_batch_norm_is_folded(images, tmp_path):
    torch.manual_seed(0)
    model = SSD300(SSDConfig(class_names=("cat", "dog"), backbone="vgg16_bn"))
    randomise_batch_norm(model)
    for name, parameter in model.pred_convs.named_parameters():
        parameter.data.mul_(0.1 if name.startswith("cl") else 0.01)  # scores apart, offsets as torchvision allows them
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    config, state = without_batch_norm(model.config, model.state_dict())
    assert config == replace(model.config, backbone="vgg16")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    torch.save(to_torchvision(config, state), tmp_path / "theirs.pth")

    expected = model.eval()(normalise(images, config))
    assert_close(predictions(config, state, images), expected)
    _, again, back = read_weights(tmp_path / "theirs.pth")
    assert again == config
    assert all(torch.equal(back[name], tensor) for name, tensor in state.items())

    theirs, _ = run_lines(building_lines(config, tmp_path / "theirs.pth"))
    theirs.score_thresh, theirs.nms_thresh, theirs.detections_per_img = 0.3, 0.45, 50
    found = theirs(list(images))
    assert all(len(image["scores"]) == 50 for image in found)
    detected = zip(found, *model.detect_objects(*expected, 0.3, 0.45, 50), strict=True)
    for image, boxes, labels, scores in detected:
        torch.testing.assert_close(image["scores"], scores, rtol=1e-3, atol=1e-5)
        assert torch.equal(image["labels"], labels)
        torch.testing.assert_close(image["boxes"], boxes * 300, rtol=0, atol=0.02)
