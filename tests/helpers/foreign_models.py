"""SSD300s as other projects define them: their modules under their names, with one forward pass written out.

They are what files of other people's weights are made of in the tests. Nothing here comes from `ssd`.
"""

import sys
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import nn

CHANNELS = (512, 1024, 512, 256, 256, 256)
PRIORS = (4, 6, 6, 6, 4, 4)


def vgg_layers():
    """VGG16 to conv7 as one list of layers, of which ReLUs and poolings have places too."""
    layers, n_in = [], 3
    for n_out in (64, 64, "M", 128, 128, "M", 256, 256, 256, "C", 512, 512, 512, "M", 512, 512, 512):
        if isinstance(n_out, str):
            layers.append(nn.MaxPool2d(2, 2, ceil_mode=n_out == "C"))
        else:
            layers += [nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU()]
            n_in = n_out
    layers += [nn.MaxPool2d(3, 1, 1), nn.Conv2d(512, 1024, 3, padding=6, dilation=6), nn.ReLU()]
    return nn.ModuleList([*layers, nn.Conv2d(1024, 1024, 1), nn.ReLU()])


def extra_layers():
    """conv8_1 to conv11_2."""
    sizes = (
        (1024, 256, {}), (256, 512, {"stride": 2, "padding": 1}),
        (512, 128, {}), (128, 256, {"stride": 2, "padding": 1}),
        (256, 128, {}), (128, 256, {}), (256, 128, {}), (128, 256, {}),
    )  # fmt: skip
    kernels = (1, 3) * 4
    return nn.ModuleList([nn.Conv2d(a, b, kernel, **options) for (a, b, options), kernel in zip(sizes, kernels)])  # noqa: B905


def heads(n_values):
    """A prediction convolution for each map."""
    return nn.ModuleList([nn.Conv2d(c, n * n_values, 3, padding=1) for c, n in zip(CHANNELS, PRIORS, strict=True)])


def randomise(model):
    """Numbers in every tensor that a mistake would show in."""
    for name, tensor in model.named_parameters():
        if tensor.dim() == 4 and "rescale" not in name:
            nn.init.kaiming_normal_(tensor)
        elif "rescale" in name or "l2" in name.lower() or "scale_weight" in name:
            nn.init.uniform_(tensor, 15, 25)
        else:
            nn.init.normal_(tensor, std=0.3)
    return model.eval()


@torch.no_grad()
def predict(vgg, extras, scale, loc, cl, x, n_classes):
    """Raw predictions (N, 8732, 4) and (N, 8732, n_classes) for images (N, 3, 300, 300)."""
    maps = []
    for place, layer in enumerate(vgg):
        x = layer(x)
        if place == 22:  # ReLU of conv4_3
            maps.append(F.normalize(x) * scale.view(1, 512, 1, 1))
    maps.append(x)
    for k, layer in enumerate(extras):
        x = layer(x).relu()
        if k % 2:
            maps.append(x)

    def flat(head, n_values):
        outputs = [layer(m).permute(0, 2, 3, 1).reshape(len(m), -1, n_values) for layer, m in zip(head, maps)]  # noqa: B905
        return torch.cat(outputs, 1)

    return flat(loc, 4), flat(cl, n_classes)


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((512,), 20.0))


class Amdegroot(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes
        self.vgg, self.extras = vgg_layers(), extra_layers()
        self.L2Norm = Scale()
        self.loc, self.conf = heads(4), heads(n_classes)

    def forward(self, x):
        return predict(self.vgg, self.extras, self.L2Norm.weight, self.loc, self.conf, x, self.n_classes)


class Lufficc(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes
        self.backbone, self.box_head = nn.Module(), nn.Module()
        self.backbone.vgg, self.backbone.extras = vgg_layers(), extra_layers()
        self.backbone.l2_norm = Scale()
        self.box_head.predictor = nn.Module()
        self.box_head.predictor.cls_headers, self.box_head.predictor.reg_headers = heads(n_classes), heads(4)

    def forward(self, x):
        backbone, heads = self.backbone, self.box_head.predictor
        parts = backbone.vgg, backbone.extras, backbone.l2_norm.weight, heads.reg_headers, heads.cls_headers
        return predict(*parts, x, self.n_classes)


class TutorialPart(nn.Module):
    """A part of the tutorial's network: layers by name."""

    def __init__(self, names, layers):
        super().__init__()
        for name, layer in zip(names, layers, strict=True):
            self.add_module(name, layer)


class Tutorial(nn.Module):
    """The tutorial's `model.SSD300`; its priors are a plain tensor among the attributes."""

    def __init__(self, n_classes):
        super().__init__()
        self.n_classes = n_classes
        stages = [f"conv{s}_{k}" for s, n in enumerate((2, 2, 3, 3, 3), 1) for k in range(1, n + 1)]
        convolutions = [layer for layer in vgg_layers() if isinstance(layer, nn.Conv2d)]
        self.base = TutorialPart([*stages, "conv6", "conv7"], convolutions)
        self.aux_convs = TutorialPart([f"conv{b}_{k}" for b in (8, 9, 10, 11) for k in (1, 2)], extra_layers())
        maps = ("conv4_3", "conv7", "conv8_2", "conv9_2", "conv10_2", "conv11_2")
        names = [f"{kind}_{name}" for kind in ("loc", "cl") for name in maps]
        self.pred_convs = TutorialPart(names, [*heads(4), *heads(n_classes)])
        self.rescale_factors = nn.Parameter(torch.full((1, 512, 1, 1), 20.0))
        self.priors_cxcy = torch.rand(8732, 4)

    def forward(self, x):
        base = iter(self.base.children())
        vgg = [next(base) if isinstance(layer, nn.Conv2d) else layer for layer in vgg_layers()]
        predictors = list(self.pred_convs.children())
        extras = self.aux_convs.children()
        return predict(vgg, extras, self.rescale_factors, predictors[:6], predictors[6:], x, self.n_classes)


def save_tutorial(path, model, **options):
    """The tutorial's checkpoint: model and optimiser pickled whole, their classes in a module called "model"."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    optimizer.state[model.rescale_factors]["momentum_buffer"] = torch.ones(1, 512, 1, 1)
    for name, cls in (("SSD300", Tutorial), ("VGGBase", TutorialPart)):
        cls.__module__, cls.__name__, cls.__qualname__ = "model", name, name
    sys.modules["model"] = module = ModuleType("model")
    module.SSD300, module.VGGBase = Tutorial, TutorialPart
    try:
        torch.save({"epoch": 186, "model": model, "optimizer": optimizer}, path, **options)
    finally:
        del sys.modules["model"]
