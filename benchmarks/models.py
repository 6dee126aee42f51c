"""Two SSD300s that hold the same weights, ours and torchvision's, and the pictures that they are given."""

import numpy as np
import torch
from torchvision.models.detection import ssd300_vgg16

from ssd import SSD300, SSDConfig
from ssd.convert import to_torchvision
from ssd.data import preprocess
from ssd.data.scenes import draw_scene

SIZE = (640, 480)
# torchvision's defaults, which are those of the paper's evaluation
SETTINGS = {"min_score": 0.01, "max_overlap": 0.45, "top_k": 200}


def random_scenes(n):
    """n drawn pictures (PIL RGB, 640 x 480) with boxes, an array (n_objects, 4) of pixels for each."""
    scenes = [draw_scene(np.random.default_rng(k), SIZE) for k in range(n)]
    boxes = [np.array([item.box for item in objects], dtype=float).reshape(-1, 4) for _, objects in scenes]
    return [image for image, _ in scenes], boxes


def create_pair(seed=0):
    """Both models, float32 on the CPU, with VOC's 20 classes, torchvision's priors and random weights."""
    torch.manual_seed(seed)
    ours = SSD300(SSDConfig.torchvision()).eval()
    with torch.no_grad():
        ours.base.conv1_1.weight.div_(100)  # inputs are levels of 0-255 here; scores should not be in the hundreds
    theirs = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=ours.config.n_classes).eval()
    _load(theirs, ours)
    return ours, theirs


def _load(theirs, ours):
    theirs.load_state_dict(to_torchvision(ours.config, ours.state_dict()))


def expect_candidates(ours, theirs, images, n):
    """Give both models a bias of the background with which about n scores of a picture pass the threshold."""
    with torch.inference_mode():
        bias = background_bias(ours(images)[1], n)
    with torch.no_grad():
        for name, module in ours.pred_convs.named_children():
            if name.startswith("cl_"):
                module.bias.view(-1, ours.config.n_classes)[:, 0] += bias
    _load(theirs, ours)


def background_bias(scores, n):
    """What to add to the background's logits so that about n scores of a picture (N, n_priors, n_classes) pass."""
    low, high = -50.0, 50.0
    while high - low > 1e-3:
        bias = (low + high) / 2
        n_passing = count_candidates(with_bias(scores, bias))
        low, high = (bias, high) if n_passing > n else (low, bias)
    return high


def with_bias(scores, bias):
    """A copy of the logits with the background's raised."""
    background = torch.nn.functional.one_hot(torch.tensor(0), scores.shape[2]).to(scores)
    return scores + bias * background


def count_candidates(scores):
    """Mean number of scores of a picture that pass the threshold."""
    return (scores.softmax(dim=2)[..., 1:] > SETTINGS["min_score"]).sum().item() / len(scores)


def inputs(images, config):
    """The network's input (N, 3, 300, 300) for PIL images."""
    return torch.stack([preprocess(image, config) for image in images])
