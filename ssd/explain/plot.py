"""Diagrams with two axes that start at 0, as SVG text."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ssd.explain import svg

WIDTH, HEIGHT = 480, 300  # of a diagram, in its units
LEFT, RIGHT, TOP, BOTTOM = 48, 10, 28, 42  # margins around the axes
QUARTERS = {k / 4: f"{k / 4:g}" for k in range(5)}  # ticks of an axis from 0 to 1


class Plot(NamedTuple):
    """The axes of a diagram. x_max, y_max: the values at their ends, above 0."""

    x_max: float
    y_max: float

    def x(self, value: float) -> float:
        """Where a value of the horizontal axis lies."""
        return LEFT + value / self.x_max * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value of the vertical axis lies."""
        return HEIGHT - BOTTOM - value / self.y_max * (HEIGHT - TOP - BOTTOM)

    def bar(self, start: float, end: float, low: float, high: float, colour: str, *children: str) -> str:
        """A bar from `start` to `end`, and from `low` up to `high`. colour: the name of one in the page's CSS."""
        box = self.x(start), self.y(high), self.x(end), self.y(low)
        return svg.rectangle(box, *children, fill=f"var(--{colour})")

    def curve(self, points: Iterable[tuple[float, float]], colour: str) -> str:
        """A line through points (x, y)."""
        look = {"fill": "none", "stroke": f"var(--{colour})", "stroke_width": 2}
        return svg.element("polyline", points=self._places(points), **look)

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> str:
        """The area between a line through points (x, y) and the horizontal axis, in a light colour."""
        around = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
        return svg.element("polygon", points=self._places(around), fill=f"var(--{colour})", fill_opacity=0.2)

    def _places(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)

    def figure(
        self, *parts: str, label: str, x: str, y: str, x_ticks: Mapping[float, str], y_ticks: Mapping[float, str]
    ) -> str:
        """The diagram. label: what it shows. x, y: what the axes count. x_ticks, y_ticks: the texts at some values."""
        bottom = HEIGHT - BOTTOM
        axes = [
            svg.line(LEFT, bottom, WIDTH - RIGHT, bottom, "axis"),
            svg.line(LEFT, TOP, LEFT, bottom, "axis"),
            svg.text(WIDTH - RIGHT, HEIGHT - 4, x, text_anchor="end"),
            svg.text(0, 14, y),
            *(svg.text(self.x(at), bottom + 17, tick, text_anchor="middle") for at, tick in x_ticks.items()),
            *(svg.text(LEFT - 6, self.y(at) + 4, tick, text_anchor="end") for at, tick in y_ticks.items()),
        ]
        return svg.figure(WIDTH, HEIGHT, *parts, *axes, label=label)
