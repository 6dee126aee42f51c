"""torchvision's SSD300 is the independent implementation: the same weights must give the same numbers."""

import pytest
import torch
from torchvision.models.detection import ssd300_vgg16
from torchvision.ops import box_iou

from ssd import SSD300, MultiBoxLoss, SSDConfig
from ssd.model.boxes import cxcy_to_xy

N_CLASSES = 7
SETTINGS = {"score_thresh": 0.4, "nms_thresh": 0.45, "detections_per_img": 150, "topk_candidates": 400}


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    model = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=N_CLASSES, **SETTINGS).eval()
    for module in model.modules():  # the initial biases are 0, which would hide a wrong bias
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.bias, std=0.1)
    for module in model.head.classification_head.module_list:
        module.weight.data.mul_(0.3)  # or thousands of scores round to 1, and their order is anyone's
    torch.nn.init.uniform_(model.backbone.scale_weight, 15, 25)
    return model


@pytest.fixture(scope="module")
def ours(theirs):
    """torchvision's convolutions, in the order of the network, are ours in the same order."""
    model = SSD300(SSDConfig.torchvision(class_names=[f"class_{k}" for k in range(1, N_CLASSES)])).eval()

    def convolutions(part):
        return [module for module in part.modules() if isinstance(module, torch.nn.Conv2d)]

    sources = convolutions(theirs.backbone.features) + convolutions(theirs.backbone.extra)
    targets = convolutions(model.base) + convolutions(model.aux_convs)
    for name, head in (("loc", theirs.head.regression_head), ("cl", theirs.head.classification_head)):
        sources += convolutions(head)
        targets += [module for key, module in model.pred_convs.named_children() if key.startswith(name)]
    for source, target in zip(sources, targets, strict=True):
        target.load_state_dict(source.state_dict())
    with torch.no_grad():
        model.rescale_factors.copy_(theirs.backbone.scale_weight.view(1, 512, 1, 1))
    return model


@pytest.fixture(scope="module")
def pictures():
    torch.manual_seed(1)
    smooth = torch.nn.functional.interpolate(torch.rand(2, 3, 20, 20), size=(300, 300), mode="bilinear")
    return smooth.clamp(0, 1)  # 0-1 RGB


@pytest.fixture(scope="module")
def raw(theirs, ours, pictures):
    """Both models' raw predictions and torchvision's priors in pixels."""
    images, _ = theirs.transform(list(pictures))
    mean, std = torch.tensor(ours.config.mean).view(3, 1, 1), torch.tensor(ours.config.std).view(3, 1, 1)
    with torch.no_grad():
        features = list(theirs.backbone(images.tensors).values())
        head = theirs.head(features)
        locs, scores = ours((pictures - mean) / std)
    return {
        "theirs": (head["bbox_regression"], head["cls_logits"]),
        "ours": (locs, scores),
        "anchors": theirs.anchor_generator(images, features),
    }


def relative_error(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_raw_outputs(raw):
    for ours, theirs in zip(raw["ours"], raw["theirs"], strict=True):
        assert relative_error(ours, theirs) < 1e-4


def test_priors(ours, raw):
    torch.testing.assert_close(cxcy_to_xy(ours.priors_cxcy) * 300, raw["anchors"][0], rtol=0, atol=1e-4)


def test_loss(theirs, ours, raw):
    boxes = [torch.tensor([[10.0, 20, 120, 200], [150, 30, 290, 280]]), torch.tensor([[100.0, 100, 160, 140]])]
    labels = [torch.tensor([3, 1]), torch.tensor([6])]
    matched = [theirs.proposal_matcher(box_iou(b, anchors)) for b, anchors in zip(boxes, raw["anchors"], strict=True)]
    locs, scores = raw["theirs"]
    targets = [{"boxes": b, "labels": lb} for b, lb in zip(boxes, labels, strict=True)]
    outputs = {"bbox_regression": locs, "cls_logits": scores}
    expected = sum(theirs.compute_loss(targets, outputs, raw["anchors"], matched).values())
    loss = MultiBoxLoss(ours.priors_cxcy)(*raw["ours"], [b / 300 for b in boxes], labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_detections(theirs, ours, pictures):
    """From pictures to detections: theirs normalises, resizes (to the same size), predicts, decodes and prunes."""
    with torch.no_grad():
        expected = theirs(list(pictures))
        mean, std = torch.tensor(ours.config.mean).view(3, 1, 1), torch.tensor(ours.config.std).view(3, 1, 1)
        predictions = ours((pictures - mean) / std)
    found = ours.detect_objects(
        *predictions, SETTINGS["score_thresh"], SETTINGS["nms_thresh"], SETTINGS["detections_per_img"]
    )
    assert all(len(image["scores"]) > 20 for image in expected)  # or the comparison says little
    for image, boxes, labels, scores in zip(expected, *found, strict=True):
        torch.testing.assert_close(scores, image["scores"], rtol=1e-4, atol=1e-6)
        assert torch.equal(labels, image["labels"])
        torch.testing.assert_close(boxes * 300, image["boxes"], rtol=0, atol=0.02)
