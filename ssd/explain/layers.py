"""The layers of a network, from watching it run: sizes, parameters, operations and receptive fields."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ssd.config import SSDConfig
from ssd.model.network import SSD, create_network


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

    def of_cell(self, j: int) -> tuple[int, int]:
        """First column, and the one after the last, that a cell in column j depends on; perhaps beyond the border."""
        start = self.start + j * self.step
        return start, start + self.size


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


def network_layers(config: SSDConfig, network: Callable[[SSDConfig], SSD] = create_network) -> list[Layer]:
    """The layers of the network of a config, in the order in which they run. It takes no memory and no time."""
    with torch.device("meta"), torch.no_grad():
        model = network(config).eval()
        image = torch.empty(1, 3, config.input_size, config.input_size)
        watch = _Watch(model, image)
        with watch:
            model(image)
    return watch.layers


def prediction_layers(layers: Sequence[Layer]) -> dict[str, Layer]:
    """For each map that predicts, in order, its two prediction convolutions taken as one layer."""
    by_name = {layer.name.partition(".")[2]: layer for layer in layers}
    maps = [name.removeprefix("loc_") for name in by_name if name.startswith("loc_")]
    return {name: _together(by_name[f"loc_{name}"], by_name[f"cl_{name}"]) for name in maps}


def _together(a: Layer, b: Layer) -> Layer:
    return a._replace(
        channels=a.channels + b.channels,
        parameters=a.parameters + b.parameters,
        operations=a.operations + b.operations,
    )


class _Watch(TorchFunctionMode):
    """Notes each convolution and pooling that runs, and follows the receptive fields from tensor to tensor."""

    def __init__(self, model: nn.Module, image: Tensor):
        super().__init__()
        self.layers: list[Layer] = []
        convolutions = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.Conv2d)]
        self.names = {m.weight: name for name, m in convolutions}
        self.parameters = {m.weight: sum(p.numel() for p in m.parameters()) for _, m in convolutions}
        self.fields = {image: Field(0, 1, 1)}

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        source = args[0] if args and isinstance(args[0], Tensor) else None
        if source is None or source not in self.fields or not isinstance(result, Tensor):
            return result
        field = self.fields[source]
        if func is torch.conv2d:
            _, weight, _, stride, padding, dilation, _ = args
            window = weight.shape[2], stride[0], padding[0], dilation[0]
            field = self._add(self.names[weight], window, result, field, self.parameters[weight], weight[0].numel())
        elif func is F.max_pool2d:
            window = args[1], kwargs["stride"] or args[1], kwargs["padding"], kwargs["dilation"]
            field = self._add("pool", window, result, field, 0, 0)
        self.fields[result] = field
        return result

    def _add(
        self, name: str, window: tuple[int, int, int, int], made: Tensor, field: Field, parameters: int, fan_in: int
    ) -> Field:
        _, channels, cells, _ = made.shape
        own = field.after(*window)
        self.layers.append(Layer(name, *window, channels, cells, parameters, fan_in * made.numel(), own))
        return own
