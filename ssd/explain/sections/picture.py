"""What the network gets of a picture."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ssd.data.images import normalise, preprocess, resized
from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.subject import Subject

PLANES = ("red", "green", "blue")


def network_input(subject: Subject) -> Section:
    """The picture, the resized square, and the three normalised planes."""
    width, height = subject.image.size
    side = subject.config.input_size
    low, high = subject.input.min().item(), subject.input.max().item()
    stretch = f"Here this makes everything {_ratio(width, height)}." if width != height else ""
    return Section(
        key="input",
        title="What does the network see?",
        figure=_figure(subject, low, high),
        text=[
            f"The picture has {width} x {height} pixels. The network takes {side} x {side}, so the whole picture is "
            f"resized to that square, whatever its shape. Nothing is cut off. {stretch}",
            "Each colour then becomes a plane of numbers. Its levels from 0 to 255 become 0 to 1. The mean of that "
            "colour in the pictures that the base network was trained on is subtracted, and the result is divided by "
            f"std, as that network expects. Here the numbers run from {low:.2f}, drawn black, to {high:.2f}, drawn "
            "white.",
        ],
        formula="x = (level / 255 &minus; mean) / std<br>"
        f"mean = {_triple(subject.config.mean)}, std = {_triple(subject.config.std)} for red, green, blue",
        sources=[preprocess, resized, normalise],
    )


def _figure(subject: Subject, low: float, high: float) -> str:
    photo = svg.figure(*subject.frame, svg.photo(), label="the picture")
    square = resized(subject.image, subject.config.input_size)
    planes = [
        (svg.image(_grey(plane, low, high), name), name) for plane, name in zip(subject.input, PLANES, strict=True)
    ]
    return svg.panels((photo, "the picture"), (svg.image(square, "resized"), "resized"), *planes)


def _grey(plane: Tensor, low: float, high: float) -> Image.Image:
    """A plane (300, 300) as a grey picture, black at `low` and white at `high`."""
    levels = (plane - low) / max(high - low, torch.finfo().tiny) * 255
    return Image.fromarray(levels.round().byte().numpy())


def _ratio(width: int, height: int) -> str:
    factor = max(width, height) / min(width, height)
    return f"{factor:.2f} times {'narrower' if width > height else 'wider'} in relation to its height"


def _triple(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.3f}' for value in values)})"
