"""Running a trained model: what evaluation and `Detector` share.

Both take a `Predictor` or an exported model (`ssd.export.engines`), which has the same attributes and methods.
"""

import copy
import threading

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from ssd.model.network import SSD300
from ssd.model.vgg import NamedConvolutions

MOST_RECORDED = 8  # images in a batch: larger ones keep a GPU busy without
RECORDING = threading.Lock()  # in a process, only one graph can be recorded at a time


def images_at_once():
    """How many images the network takes at a time on a CPU, by its threads. The maps of one image fit into memory that
    the allocator keeps; larger blocks it gets anew each time, page by page. Many threads want more work than that."""
    return max(1, torch.get_num_threads() // 4)


class Predictor:
    """An `SSD300` that only predicts: a copy from `for_inference`, on its device.

    config: the model's. device: where the results lie.
    """

    def __init__(self, model, device="cpu", dtype=torch.float32):
        self.model = for_inference(model, device, dtype)
        self.config = model.config
        self.device = self.model.rescale_factors.device
        self.recordings = {}  # batch size -> `Recording`

    def __call__(self, images):
        """Normalised images (N, 3, 300, 300) of any device and type -> what `SSD300.forward` returns for them."""
        dtype = self.model.rescale_factors.dtype
        images = images.to(self.device, dtype, memory_format=torch.channels_last, non_blocking=True)
        if self.device.type == "cpu":
            results = [self.model(part) for part in images.split(images_at_once())]
            return tuple(torch.cat(part) for part in zip(*results, strict=True))
        n_images = len(images)
        if n_images > MOST_RECORDED:
            return self.model(images)
        with RECORDING:
            if n_images not in self.recordings:  # the last batch of a data set may be the only one of its size
                self.recordings[n_images] = None
                return self.model(images)
            recording = self.recordings[n_images] = self.recordings[n_images] or Recording(self.model, images)
            return recording(images)

    def detect_objects(self, locs, scores, min_score, max_overlap, top_k):
        """What `SSD300.detect_objects` returns."""
        return self.model.detect_objects(locs, scores, min_score, max_overlap, top_k)


class Recording:
    """A network's work on a GPU for inputs of one shape, replayed as one CUDA graph.

    A small batch is computed faster than Python can ask for its operations one by one.
    """

    @torch.inference_mode()
    def __init__(self, model, images):
        self.images = images.clone(memory_format=torch.preserve_format)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(images.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):  # what is set up once, as workspaces are, must not be recorded
                for _ in range(3):
                    model(self.images)
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(self.graph, stream=stream, capture_error_mode="thread_local"):
                self.outputs = model(self.images)

    @torch.inference_mode()
    def __call__(self, images):
        """What the model returns for the images."""
        with torch.cuda.device(images.device):
            self.images.copy_(images)
            self.graph.replay()
            outputs = tuple(output.clone() for output in self.outputs)
            torch.cuda.current_stream().synchronize()  # the next replay, on whatever stream, uses the same tensors
        return outputs


def as_predictor(model, device, dtype):
    """The `Predictor` of an `SSD300`; an exported model, which is one already, as it is."""
    return Predictor(model, device, dtype) if isinstance(model, SSD300) else model


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
        if isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm):
            convolution = name.replace("bn", "conv")
            part.add_module(convolution, fuse_conv_bn_eval(part.get_submodule(convolution), norm))
            delattr(part, name)


@torch.inference_mode()
def forward(predictor, images):
    """A predictor's own predictions for normalised images (N, 3, 300, 300) on any device."""
    return predictor(images)


@torch.inference_mode()
def detections(predictor, predictions, sizes, min_score, max_overlap, top_k):
    """Detections in the pixels of the pictures, from what `forward` returns.

    sizes: N pairs (width, height). Returns three lists with a CPU tensor an image, best first: boxes (n, 4) float32
    corner pixels, labels (n,), scores (n,).
    """
    found = predictor.detect_objects(*predictions, min_score, max_overlap, top_k)
    counts = [len(labels) for labels in found[1]]
    boxes, labels, scores = (list(torch.cat(part).cpu().split(counts)) for part in found)  # one transfer for all images
    return [b * torch.tensor([*size, *size]) for b, size in zip(boxes, sizes, strict=True)], labels, scores
