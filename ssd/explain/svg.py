"""Parts of figures, as SVG text. All text and attributes are escaped here."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

from ssd.visualize import class_colour

Box = Sequence[float]  # x_min, y_min, x_max, y_max


class Bar(NamedTuple):
    """A number in a table, with a bar of this share, from 0 to 1, of the cell's width."""

    words: str
    share: float


class Swatch(NamedTuple):
    """A cell of a table that shows the colour of a CSS class."""

    kind: str


def element(name: str, *children: str, **attributes: object) -> str:
    """An SVG or HTML element. children: SVG or HTML. A trailing "_" of an attribute's name is dropped, another is "-".

    Attributes that are None are left out; floats are rounded to two decimals.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{''.join(children)}</{name}>"


def _value(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def text(x: float, y: float, words: object, **attributes: object) -> str:
    """A line of text that starts at (x, y), its baseline; text_anchor="middle" or "end" changes that."""
    return element("text", escape(str(words)), x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: object) -> str:
    """A line."""
    return element("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def rectangle(box: Box, *children: str, **attributes: object) -> str:
    """A box, in the units of its figure. One that ends before it begins is empty."""
    x_min, y_min, x_max, y_max = map(float, box)
    size = {"width": max(x_max - x_min, 0.0), "height": max(y_max - y_min, 0.0)}
    return element("rect", *children, x=x_min, y=y_min, **size, **attributes)


def figure(width: float, height: float, *parts: str, label: str, **attributes: object) -> str:
    """A drawing of its own units. label: what it shows, for those who cannot see it."""
    attributes = {"viewBox": f"0 0 {_value(float(width))} {_value(float(height))}", **attributes}
    return element("svg", *parts, role="img", aria_label=label, **attributes)


def photo_definition(shown: Image.Image) -> str:
    """The hidden SVG that holds a picture once, for `photo` to use; a unit is a pixel."""
    held = element("image", id="photo", href=jpeg(shown), width=shown.width, height=shown.height)
    return element("svg", element("defs", held), width=0, height=0, class_="hidden", aria_hidden="true")


def photo(**attributes: object) -> str:
    """The picture of `photo_definition`, in its units."""
    return element("use", href="#photo", **attributes)


def jpeg(image: Image.Image, quality: int = 85) -> str:
    """A picture as a data address."""
    file = io.BytesIO()
    image.save(file, format="jpeg", quality=quality)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def colour(label: int) -> str:
    """The colour of a class, for `fill` and `stroke`."""
    return "#{:02x}{:02x}{:02x}".format(*class_colour(label))


def note(frame: tuple[int, int], x: float, y: float, words: str) -> str:
    """Text on the picture at a point, moved so that it stays in the frame."""
    width, height = frame
    anchor = "end" if x > width / 2 else "start"
    x, y = min(max(x, 4.0), width - 4.0), min(max(y - 8.0, 16.0), height - 8.0)
    return text(x, y, words, text_anchor=anchor, class_="on-photo")


def beside(*parts: str) -> str:
    """Parts of a figure side by side, one below the other where there is no room."""
    return element("div", *(element("div", part, class_="wide") for part in parts), class_="beside")


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of text, numbers and bars."""
    lines = [("th", heads), *(("td", row) for row in rows)]
    return element("table", *(element("tr", *(_cell(kind, cell) for cell in cells)) for kind, cells in lines))


def _cell(kind: str, content: object) -> str:
    if isinstance(content, Bar):
        return element(kind, escape(content.words), class_="bar", style=f"--share: {content.share:.1%}")
    if isinstance(content, Swatch):
        return element(kind, element("i", class_=f"swatch {content.kind}"))
    return element(kind, escape(str(content)))


def panels(*contents: tuple[str, str], class_: str = "panels") -> str:
    """Drawings side by side, in rows as wide as the page. contents: (SVG or HTML, caption) pairs.

    class_: "panels large" makes two in a row where there is room, "panels four" four and "panels six" six.
    """
    made = [element("div", content, element("small", escape(caption))) for content, caption in contents]
    return element("div", *made, class_=class_)


def image(content: Image.Image, label: str) -> str:
    """A picture of its own, as an HTML element. label: what it shows."""
    return f'<img src="{jpeg(content)}" width="{content.width}" height="{content.height}" alt="{escape(label)}">'
