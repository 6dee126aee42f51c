"""The layers of the network, to scale."""

from collections.abc import Collection, Sequence
from math import prod

import torch

from ssd.explain import svg
from ssd.explain.layers import Layer, network_layers, prediction_layers
from ssd.explain.page import Section
from ssd.explain.subject import Subject
from ssd.model.network import SSD, SSD300
from ssd.model.vgg import VGGBase, reduce_fc

GAP = 17  # between two maps of the drawing; a pixel of the input is a unit of height
CHANNELS_PER_UNIT = 40
NAMES = 75  # height of the maps' names
MARGIN, INPUT_WIDTH = 24.0, 4.0
FC6, FC7 = (4096, 512, 7, 7), (4096, 4096, 1, 1)  # the classifier's fully connected layers as convolutions


def layers(subject: Subject) -> Section:
    """All layers, drawn and in a table, and how VGG16's classifier became convolutions."""
    network = type(subject.model) if subject.model else SSD300
    found = network_layers(subject.config, network)
    predicting = prediction_layers(found)
    operations = sum(layer.operations for layer in found)
    base = sum(layer.operations for layer in found if layer.name.startswith("base.")) / operations
    first, *_, last = predicting.values()
    making = [layer for layer in found if not layer.name.startswith("pred_convs.")]
    rows = [*making, *(layer._replace(name=f"predictions of {name}") for name, layer in predicting.items())]
    return Section(
        key="network",
        title="What is the network made of?",
        figure=_drawing(subject, making, predicting) + svg.beside(_table(rows, operations)) + _decimation(making),
        text=[
            f"Convolutions and pooling make maps with fewer and fewer cells, from {found[0].cells} x {found[0].cells} "
            f"to {last.cells} x {last.cells}, and, up to conv7, more and more channels. The drawing is to scale: "
            "heights are the sides of the maps, widths the channels. The orange maps predict, each with one 3 x 3 "
            "convolution for offsets and one for scores.",
            f"The network has {sum(layer.parameters for layer in found) / 1e6:.1f} million parameters and does "
            f"{operations / 1e9:.1f} billion multiplications for an image, {base:.0%} of them in the base network. The "
            "maps for large objects cost almost nothing.",
            "The receptive field of a cell is the square of input pixels that it depends on. A prediction from the "
            f"first map sees {first.field.size} x {first.field.size} pixels, and from the last map "
            f"{last.field.size} x {last.field.size}, which is more than the whole input.",
            "The base is VGG16, a classifier. Its fully connected layers fc6 and fc7 became the convolutions conv6 and "
            "conv7. Only some of their weights are kept: every fourth output, and every third row and column of fc6's "
            "7 x 7. VGG16 halves its map once more before fc6. SSD does not, and sets the nine remaining weights 6 "
            "cells apart, so that they look at places as far apart in the picture as before.",
        ],
        formula="field after a layer = field + dilation &middot; (kernel &minus; 1) &middot; step &emsp; step after it "
        "= step &middot; stride",
        sources=[SSD, VGGBase, reduce_fc, network_layers],
    )


def _drawing(subject: Subject, making: Sequence[Layer], predicting: Collection[str]) -> str:
    side = subject.config.input_size
    x = MARGIN + INPUT_WIDTH
    parts = [_map_of(MARGIN, side, INPUT_WIDTH, "input", side, "map")]
    for layer in making:
        name, width = layer.name.rpartition(".")[2], layer.channels / CHANNELS_PER_UNIT
        parts.append(_map_of(x + GAP, layer.cells, width, name, side, "predicts" if name in predicting else "map"))
        x += GAP + width
    label = f"the maps of the network from left to right, to scale; {len(predicting)} of them predict"
    return svg.element("div", svg.figure(x + GAP, side + NAMES, *parts, label=label, class_="drawing"), class_="wide")


def _map_of(x: float, cells: int, width: float, name: str, side: int, kind: str) -> str:
    """One map, as a side view in the middle of a column, with its name below."""
    y, middle = (side - cells) / 2, x + width / 2
    turned = f"rotate(-60 {middle:.1f} {side + 14})"
    words = svg.text(middle + 4, side + 14, name, text_anchor="end", transform=turned)
    return svg.rectangle((x, y, x + width, y + cells), class_=kind) + words


def _table(found: Sequence[Layer], operations: int) -> str:
    most = max(layer.parameters for layer in found)
    dearest = max(layer.operations for layer in found)
    largest, widest = max(layer.field.size for layer in found), max(layer.channels for layer in found)
    heads = ("layer", "kernel", "map", "channels", "parameters", "share of operations", "receptive field")
    rows = [
        (
            layer.name.rpartition(".")[2],
            _kernel(layer),
            svg.Bar(f"{layer.cells} x {layer.cells}", layer.cells / found[0].cells),
            svg.Bar(f"{layer.channels}", layer.channels / widest),
            svg.Bar(f"{layer.parameters:,}", layer.parameters / most),
            svg.Bar(f"{layer.operations / operations:.2%}", layer.operations / dearest),
            svg.Bar(f"{layer.field.size}", layer.field.size / largest),
        )
        for layer in found
    ]
    return svg.table(heads, rows)


def _kernel(layer: Layer) -> str:
    stride = f" stride {layer.stride}" if layer.stride > 1 else ""
    dilation = f" dilation {layer.dilation}" if layer.dilation > 1 else ""
    return f"{layer.kernel} x {layer.kernel}{stride}{dilation}"


def _decimation(making: Sequence[Layer]) -> str:
    """The kernels of fc6 and of conv6 on its map, and the numbers before and after."""
    places = [
        torch.arange(prod(shape[2:])).view(shape[2:]).expand(shape) for shape in (FC6, FC7)
    ]  # they take no memory
    names = [f"classifier.{layer}" for layer in (0, 3)]
    weights = {f"{name}.weight": place for name, place in zip(names, places, strict=True)}
    conv6, _, conv7, _ = reduce_fc(weights | {f"{name}.bias": torch.zeros(FC6[0]) for name in names})
    (layer,) = (layer for layer in making if layer.name == "base.conv6")
    reach = layer.dilation * (layer.kernel - 1) + 1
    lines = range(0, reach, layer.dilation)
    taps = [row * reach + column for row in lines for column in lines]
    heads = ("VGG16", "outputs x inputs x kernel", "weights", "SSD", "outputs x inputs x kernel", "weights")
    pairs = (("fc6", FC6, "conv6", conv6.shape), ("fc7", FC7, "conv7", conv7.shape))
    rows = [(old, *_shape(before), new, *_shape(after)) for old, before, new, after in pairs]
    return svg.panels(
        (_kernel_drawing(FC6[2], conv6[0, 0].flatten().tolist()), "fc6, 7 x 7; the places that are kept"),
        (_kernel_drawing(reach, taps), f"conv6, 3 x 3, {layer.dilation} cells apart"),
        class_="panels four",
    ) + svg.beside(svg.table(heads, rows))


def _shape(shape: Sequence[int]) -> tuple[str, str]:
    return " x ".join(map(str, shape)), f"{prod(shape):,}"


def _kernel_drawing(side: int, kept: Collection[int]) -> str:
    """A square of side x side cells, some of them marked. kept: their numbers, row by row."""
    cells = [
        svg.rectangle((x, y, x + 1, y + 1), class_="predicts" if y * side + x in kept else "cell")
        for y in range(side)
        for x in range(side)
    ]
    return svg.figure(side, side, *cells, label=f"{side} x {side} cells, {len(kept)} of them marked", class_="kernel")
