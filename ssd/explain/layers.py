"""The layers of a network, from watching it run: sizes, parameters, operations and receptive fields."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ssd.config import SSDConfig
from ssd.model.network import create_network


class Field(NamedTuple):
    """Receptive fields: a map's cell in column j depends on the input's columns start + j * step to there + size.

    Rows are the same. In pixels of the input; beyond its border there are only zeros.
    """

    start: int
    step: int
    size: int

    def after(self, kernel: int, stride: int, padding: int, dilation: int) -> "Field":
        """The fields of the map that a convolution or a pooling makes of this one."""
        return Field(
            start=self.start - padding * self.step,
            step=self.step * stride,
            size=self.size + dilation * (kernel - 1) * self.step,
        )


class Layer(NamedTuple):
    """A convolution or a pooling. name: "base.conv4_3", "pool". channels and cells: of the map that it makes.

    parameters: with those of its batch normalisation. operations: multiplications with a weight, for one image.
    """

    name: str
    kernel: int
    stride: int
    padding: int
    dilation: int
    channels: int
    cells: int
    parameters: int
    operations: int
    field: Field


def network_layers(config: SSDConfig) -> list[Layer]:
    """The layers of the network of a config, in the order in which they run. It takes no memory and no time."""
    with torch.device("meta"), torch.no_grad():
        model = create_network(config).eval()
        image = torch.empty(1, 3, config.input_size, config.input_size)
        with (watch := _Watch(model, image)):
            model(image)
    return watch.layers


def prediction_layers(layers: Sequence[Layer]) -> dict[str, Layer]:
    """For each map that predicts, in order, its two prediction convolutions taken as one layer."""
    by_name = {layer.name.partition(".")[2]: layer for layer in layers}
    maps = [name.removeprefix("loc_") for name in by_name if name.startswith("loc_")]
    pairs = [(by_name[f"loc_{name}"], by_name[f"cl_{name}"]) for name in maps]
    return {
        name: a._replace(
            channels=a.channels + b.channels,
            parameters=a.parameters + b.parameters,
            operations=a.operations + b.operations,
        )
        for name, (a, b) in zip(maps, pairs, strict=True)
    }


class _Watch(TorchFunctionMode):
    """Notes each convolution and pooling that runs, and follows the receptive fields from tensor to tensor."""

    def __init__(self, model: nn.Module, image: Tensor):
        super().__init__()
        self.layers: list[Layer] = []
        self.convolutions = {m.weight: (name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}
        self.fields = {image: Field(0, 1, 1)}

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor) or not isinstance(args[0], Tensor) or args[0] not in self.fields:
            return result
        before = self.fields[args[0]]
        if func is torch.conv2d:
            name, conv = self.convolutions[args[1]]
            window = conv.kernel_size[0], conv.stride[0], int(conv.padding[0]), conv.dilation[0]
            parameters, fan_in = sum(p.numel() for p in conv.parameters()), conv.weight[0].numel()
        elif func is F.max_pool2d:
            window = args[1], kwargs["stride"] or args[1], kwargs["padding"], kwargs["dilation"]
            name, parameters, fan_in = "pool", 0, 0
        else:
            self.fields[result] = before
            return result
        field = self.fields[result] = before.after(*window)
        _, channels, cells, _ = result.shape
        self.layers.append(Layer(name, *window, channels, cells, parameters, fan_in * result.numel(), field))
        return result
