"""Running a trained model: what evaluation and `Detector` share."""

import copy

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from ssd.vgg import NamedConvolutions


def for_inference(model, device, dtype):
    """A copy of an `SSD300` that only predicts: evaluation mode, on `device`, weights in `dtype`.

    Batch normalisation is folded into the convolutions, in float32, before anything is rounded. The copy keeps its
    tensors in channels_last order, the one that convolutions are fastest in.
    """
    model = copy.deepcopy(model).eval().requires_grad_(False)
    for part in (model.base, model.aux_convs):
        _fold_batch_norm(part)
    return model.to(device=device, dtype=dtype, memory_format=torch.channels_last)


def _fold_batch_norm(part: NamedConvolutions):
    for name, norm in list(part.named_children()):
        if isinstance(norm, nn.BatchNorm2d):
            convolution = name.replace("bn", "conv")
            part.add_module(convolution, fuse_conv_bn_eval(part.get_submodule(convolution), norm))
            delattr(part, name)


@torch.inference_mode()
def forward(model, images):
    """The raw predictions of a model from `for_inference` for normalised images (N, 3, 300, 300) on any device."""
    weight = model.rescale_factors
    return model(images.to(weight.device, weight.dtype, memory_format=torch.channels_last, non_blocking=True))


@torch.inference_mode()
def detections(model, locs, scores, sizes, min_score, max_overlap, top_k):
    """Detections in the pixels of the pictures, from raw predictions.

    sizes: N pairs (width, height). Returns three lists with a CPU tensor an image, best first: boxes (n, 4) float32
    corner pixels, labels (n,), scores (n,).
    """
    boxes, labels, scores = model.detect_objects(locs, scores, min_score, max_overlap, top_k)
    boxes = [b.cpu() * torch.tensor([*size, *size]) for b, size in zip(boxes, sizes, strict=True)]
    return boxes, [tensor.cpu() for tensor in labels], [tensor.cpu() for tensor in scores]
