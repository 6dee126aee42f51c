"""The layers of the network, to scale."""

from collections.abc import Collection, Sequence
from math import prod

import torch

from ssd.explain import svg
from ssd.explain.layers import Layer, network_layers, prediction_layers
from ssd.explain.page import Section
from ssd.explain.subject import Subject
from ssd.model.network import SSD
from ssd.model.vgg import VGGBase, reduce_fc

FC6, FC7 = (4096, 512, 7, 7), (4096, 4096, 1, 1)  # the classifier's fully connected layers as convolutions


def layers(subject: Subject) -> Section:
    """All layers, drawn and in a table, and how VGG16's classifier became convolutions."""
    found = network_layers(subject.config)
    predicting = prediction_layers(found)
    making = [layer for layer in found if not layer.name.startswith("pred_convs.")]
    rows = [*making, *(layer._replace(name=f"predictions of {name}") for name, layer in predicting.items())]
    operations = sum(layer.operations for layer in found)
    base = sum(layer.operations for layer in found if layer.name.startswith("base."))
    first, *_, last = predicting.values()
    return Section(
        figure=_drawing(subject.config.input_size, making, predicting) + _table(rows) + _decimation(making),
        text=f"""
        Convolutions and pooling make maps with fewer and fewer cells, from {found[0].cells} x {found[0].cells} to
        {last.cells} x {last.cells}, and, up to conv7, more and more channels. The drawing is to scale: heights are the
        sides of the maps, widths the channels. The orange maps predict, each with one 3 x 3 convolution for offsets and
        one for scores.

        The network has {sum(layer.parameters for layer in found) / 1e6:.1f} million parameters and does
        {operations / 1e9:.1f} billion multiplications for an image, {base / operations:.0%} of them in the base
        network. The maps for large objects cost almost nothing.

        The receptive field of a cell is the square of input pixels that it depends on. A prediction from the first map
        sees {first.field.size} x {first.field.size} pixels, and from the last map {last.field.size} x
        {last.field.size}, which is more than the whole input.

        The base is VGG16, a classifier. Its fully connected layers fc6 and fc7 became the convolutions conv6 and conv7.
        Only some of their weights are kept: every fourth output, the inputs of fc7 that are left, and every third row
        and column of fc6's 7 x 7. VGG16 halves its map once more before fc6. SSD does not, and sets the nine remaining
        weights 6 cells apart, so that they look at places as far apart in the picture as before.""",
        formula="field after a layer = field + dilation &middot; (kernel &minus; 1) &middot; step &emsp; step after it "
        "= step &middot; stride",
        sources=[SSD, VGGBase, reduce_fc, network_layers],
    )


def _drawing(side: int, making: Sequence[Layer], predicting: Collection[str]) -> str:
    """The maps as side views from left to right, a row as high as the input, with their names below.

    A unit is a pixel of the input in height, and 40 channels in width; the input itself is 4 wide.
    """
    x, parts = 24.0, []
    maps = [("input", side, 4.0)]
    maps += [(layer.name.rpartition(".")[2], layer.cells, layer.channels / 40) for layer in making]
    for name, cells, width in maps:
        top, middle = (side - cells) / 2, x + width / 2
        kind = "predicts" if name in predicting else "map"
        turned = f"rotate(-60 {middle:.1f} {side + 14})"
        parts.append(svg.rectangle((x, top, x + width, top + cells), class_=kind))
        parts.append(svg.text(middle + 4, side + 14, name, text_anchor="end", transform=turned))
        x += width + 17
    label = f"the maps of the network from left to right, to scale; {len(predicting)} of them predict"
    return svg.element("div", svg.figure(x, side + 75, *parts, label=label, class_="drawing"), class_="wide")


def _table(found: Sequence[Layer]) -> str:
    operations = sum(layer.operations for layer in found)
    columns = {
        "layer": [layer.name.rpartition(".")[2] for layer in found],
        "kernel": [_kernel(layer) for layer in found],
        "map": svg.bars("{0} x {0}", [layer.cells for layer in found]),
        "channels": svg.bars("{}", [layer.channels for layer in found]),
        "parameters": svg.bars("{:,}", [layer.parameters for layer in found]),
        "share of operations": svg.bars("{:.2%}", [layer.operations / operations for layer in found]),
        "receptive field": svg.bars("{}", [layer.field.size for layer in found]),
    }
    return svg.table(list(columns), zip(*columns.values(), strict=True))


def _kernel(layer: Layer) -> str:
    stride = f" stride {layer.stride}" if layer.stride > 1 else ""
    dilation = f" dilation {layer.dilation}" if layer.dilation > 1 else ""
    return f"{layer.kernel} x {layer.kernel}{stride}{dilation}"


def _decimation(making: Sequence[Layer]) -> str:
    """The kernels of fc6 and of conv6 on its map, and the numbers before and after."""
    weights = {
        "classifier.0.weight": torch.arange(49).view(FC6[2:]).expand(FC6),  # places in the kernel; takes no memory
        "classifier.3.weight": torch.zeros(()).expand(FC7),
        "classifier.0.bias": torch.zeros(FC6[0]),
        "classifier.3.bias": torch.zeros(FC7[0]),
    }
    conv6, _, conv7, _ = reduce_fc(weights)
    (layer,) = (layer for layer in making if layer.name == "base.conv6")
    lines = range(0, layer.dilation * layer.kernel, layer.dilation)
    reach = lines[-1] + 1
    taps = [row * reach + column for row in lines for column in lines]
    heads = ("VGG16", "outputs x inputs x kernel", "weights", "SSD", "outputs x inputs x kernel", "weights")
    rows = [("fc6", *_shape(FC6), "conv6", *_shape(conv6.shape)), ("fc7", *_shape(FC7), "conv7", *_shape(conv7.shape))]
    return svg.panels(
        (_kernel_drawing(FC6[2], conv6[0, 0].flatten().tolist()), "fc6, 7 x 7; the places that are kept"),
        (_kernel_drawing(reach, taps), f"conv6, 3 x 3, {layer.dilation} cells apart"),
        class_="panels four",
    ) + svg.table(heads, rows)


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
