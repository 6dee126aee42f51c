"""What the network gets of a picture."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ssd.data.images import normalise, preprocess, resized
from ssd.explain import svg
from ssd.explain.page import Section
from ssd.explain.subject import Subject


def network_input(subject: Subject) -> Section:
    """The picture, the resized square, and the three normalised planes."""
    (width, height), side = subject.image.size, subject.config.input_size
    low, high = subject.input.min().item(), subject.input.max().item()
    planes = zip(subject.input, ("red", "green", "blue"), strict=True)
    stretch, factor = "narrower" if width > height else "wider", max(width, height) / min(width, height)
    here = f"Here this makes everything {factor:.2f} times {stretch} in relation to its height."
    return Section(
        figure=svg.panels(
            (subject.drawing(label="the picture"), "the picture"),
            (svg.picture(resized(subject.image, side), "resized"), "resized"),
            *((svg.picture(_grey(plane, low, high), name), name) for plane, name in planes),
        ),
        text=f"""
        The picture has {width} x {height} pixels. The network takes {side} x {side}, so the whole picture is resized to
        that square, whatever its shape. Nothing is cut off. {here if width != height else ""}

        Each colour then becomes a plane of numbers: levels from 0 to 255 become 0 to 1, the mean of that colour in the
        pictures that the base network learned from is subtracted, and the result is divided by their standard deviation
        (std). Here the numbers run from {low:.2f}, drawn black, to {high:.2f}, drawn white.""",
        formula="x = (level / 255 &minus; mean) / std<br>"
        f"mean = {_triple(subject.config.mean)}, std = {_triple(subject.config.std)} for red, green, blue",
        sources=[preprocess, resized, normalise],
    )


def _grey(plane: Tensor, low: float, high: float) -> Image.Image:
    """A plane (300, 300) as a grey picture, black at `low` and white at `high`."""
    levels = (plane - low) / max(high - low, torch.finfo().tiny) * 255
    return Image.fromarray(levels.round().byte().numpy())


def _triple(values: Sequence[float]) -> str:
    return f"({', '.join(f'{value:.3f}' for value in values)})"
