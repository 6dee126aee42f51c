"""Eight bits for the network in an ONNX file, chosen after training from pictures (post-training quantisation).

The convolutions read their inputs in 256 levels and hold their weights in 255, with a step of its own for each output
channel. Pairs of the nodes QuantizeLinear and DequantizeLinear say so in the file, and runtimes compute in integers
what is between them. What would cost accuracy stays in float: conv1_1, which reads the picture, and what the prediction
convolutions return, with everything after it.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ssd.data.lists import read_image_paths
from ssd.errors import InputError
from ssd.model.network import SSD
from ssd.text import counted

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

FIRST = "base.conv1_1"
INPUT_LEVELS, WEIGHT_LEVELS = 255, 127  # the highest numbers
LARGEST_BIAS = 2**30  # of a 32-bit number, half of what fits
BINS = 4096  # of a histogram
FEWEST_PICTURES = 10


def calibration_pictures(data_folder: str | Path, n: int, seed: int = 0) -> list[str]:
    """The paths of n pictures of the training list, drawn with a seed; all of them if there are fewer.

    Raises InputError where there are fewer than FEWEST_PICTURES, and as `read_image_paths` does.
    """
    paths = read_image_paths(file := Path(data_folder) / "TRAIN_images.json")
    if len(paths) < FEWEST_PICTURES:
        raise InputError(
            f"{file}: lists {counted(len(paths), 'picture')}, but 8 bits need at least {FEWEST_PICTURES}; "
            "add pictures, which need no annotations"
        )
    return [paths[k] for k in np.random.default_rng(seed).permutation(len(paths))[:n]]


class Observed:
    """What a convolution has read: a histogram of the values, which are never negative, and each channel's mean.

    The bins divide the range from 0 to `limit`, which doubles where it must.
    """

    def __init__(self) -> None:
        self.limit = 1.0
        self.counts = torch.zeros(BINS, dtype=torch.float64)
        self.n_maps = 0
        self.sums = torch.zeros(1, dtype=torch.float64)  # of the maps' means, (channels,) after the first map

    def add(self, x: Tensor) -> None:
        """Take in maps (N, channels, height, width)."""
        while x.max() > self.limit:
            self.limit *= 2
            self.counts = torch.cat([self.counts.view(-1, 2).sum(dim=1), torch.zeros(BINS // 2)])
        self.counts = self.counts + torch.histc(x, BINS, 0, self.limit)
        self.sums = self.sums + x.mean(dim=(2, 3), dtype=torch.float64).sum(dim=0)
        self.n_maps += len(x)

    @property
    def means(self) -> np.ndarray:
        """The mean of each channel, (channels,)."""
        return (self.sums / self.n_maps).numpy()

    def step(self) -> float:
        """The step between two levels that rounds the values with the least squared error; it may cut off the top."""
        values = (torch.arange(BINS) + 0.5) * self.limit / BINS  # the middle of each bin
        top = values[self.counts > 0].max()
        steps = top / INPUT_LEVELS * torch.linspace(0.1, 1, 181)[:, None]  # (candidates, 1)
        rounded = (values / steps).round().clamp(max=INPUT_LEVELS) * steps  # (candidates, BINS)
        return steps[((rounded - values).square() @ self.counts.float()).argmin()].item()


def observe(network: SSD, images: Iterable[Tensor]) -> dict[str, Observed]:
    """What each convolution but the first reads, by its name. images: normalised, (3, 300, 300) each."""
    convolutions = {name: part for name, part in network.named_modules() if isinstance(part, nn.Conv2d)}
    seen = {name: Observed() for name in convolutions if name != FIRST}
    hooks = [convolutions[name].register_forward_pre_hook(partial(_add_input, seen[name])) for name in seen]
    with torch.inference_mode():
        for image in images:
            network(image[None])
    for hook in hooks:
        hook.remove()
    return seen


def _add_input(observed, module, inputs):
    observed.add(*inputs)


def quantise(onnx: ModuleType, proto: "ModelProto", seen: Mapping[str, Observed]) -> None:
    """Rewrite the exported network for eight bits, in place.

    seen: what the convolutions read (`observe`). The names of their weights in the file end in ".NAME.weight".
    """
    _Graph(onnx, proto, seen).rewrite()


class _Graph:
    """An ONNX graph while it is rewritten."""

    def __init__(self, onnx: ModuleType, proto: "ModelProto", seen: Mapping[str, Observed]):
        self.onnx, self.graph, self.seen = onnx, proto.graph, seen
        self.constants = {each.name: onnx.numpy_helper.to_array(each) for each in proto.graph.initializer}
        self.steps = self._steps()  # of each tensor that is quantised

    def rewrite(self) -> None:
        nodes: list[NodeProto] = []
        rounded: dict[str, str] = {}  # tensor -> the quantised one that nodes read in its place
        for node in self.graph.node:
            if observed := self._observed(node):
                nodes += self._weights(node, observed)
            node.input[:] = [rounded.get(name, name) for name in node.input]
            nodes.append(node)
            for name in self.steps.keys() & set(node.output):
                rounded[name] = f"{name}_rounded"
                nodes += self._pair(name, rounded[name])
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        used = {name for node in nodes for name in node.input}
        constants = [
            self.onnx.numpy_helper.from_array(self.constants[name], name) for name in self.constants if name in used
        ]
        self.graph.initializer.extend(constants)

    def _observed(self, node: "NodeProto") -> Observed | None:
        """What a node reads if it is a convolution to be quantised."""
        if node.op_type != "Conv":
            return None
        return next((each for name, each in self.seen.items() if node.input[1].endswith(f".{name}.weight")), None)

    def _steps(self) -> dict[str, float]:
        """The step of what each convolution reads. Where that is pooled, of what is pooled too: it is the same."""
        steps = {node.input[0]: observed.step() for node in self.graph.node if (observed := self._observed(node))}
        pools = (node for node in self.graph.node if node.op_type == "MaxPool" and node.output[0] in steps)
        return steps | {node.input[0]: steps[node.output[0]] for node in pools}

    def _weights(self, node: "NodeProto", observed: Observed) -> "list[NodeProto]":
        """Nodes that make a convolution's weights and bias from integers.

        Rounding the weights changes what a channel returns in the mean, and the bias takes that back (Nagel et al.,
        2019, "Data-free quantization through weight equalization and bias correction", section 4.2).
        """
        weight = self.constants[node.input[1]]  # (n_out, n_in, k, k)
        zeros = np.zeros(len(weight), np.float32)
        bias = self.constants[node.input[2]] if len(node.input) == 3 else zeros  # (n_out,), left out if it is zero
        step_in = self.steps[node.input[0]]
        steps = np.abs(weight).max(axis=(1, 2, 3)) / WEIGHT_LEVELS  # (n_out,)
        steps = np.maximum(steps, np.abs(bias) / step_in / LARGEST_BIAS + np.finfo(np.float32).tiny)
        whole = np.round(weight / steps[:, None, None, None])
        lost = (weight - whole * steps[:, None, None, None]).sum(axis=(2, 3)) @ observed.means  # (n_out,)
        whole_bias = np.round((bias + lost) / (steps * step_in))
        names = [f"{node.output[0]}_weight", f"{node.output[0]}_bias"]  # its own: equal constants share a name
        node.input[1:] = names
        return [
            self._from_whole(names[0], whole.astype(np.int8), steps),
            self._from_whole(names[1], whole_bias.astype(np.int32), steps * step_in),
        ]

    def _from_whole(self, name: str, whole: np.ndarray, steps: np.ndarray) -> "NodeProto":
        """A node that makes the tensor `name` from a constant of whole numbers and the steps of its rows."""
        zero = np.zeros(len(steps), whole.dtype)
        inputs = self._constants(name, whole=whole, step=steps.astype(np.float32), zero=zero)
        return self.onnx.helper.make_node("DequantizeLinear", inputs, [name], axis=0)

    def _pair(self, name: str, rounded: str) -> "list[NodeProto]":
        """Nodes that quantise a tensor and make a float tensor, `rounded`, of that."""
        step, zero = self._constants(name, step=np.float32(self.steps[name]), zero=np.uint8(0))
        make, whole = self.onnx.helper.make_node, f"{name}_whole"
        return [
            make("QuantizeLinear", [name, step, zero], [whole]),
            make("DequantizeLinear", [whole, step, zero], [rounded]),
        ]

    def _constants(self, name: str, **values: np.ndarray | np.generic) -> list[str]:
        """Add constants that belong to a tensor. Returns their names."""
        self.constants |= {f"{name}_{kind}": np.asarray(value) for kind, value in values.items()}
        return [f"{name}_{kind}" for kind in values]
