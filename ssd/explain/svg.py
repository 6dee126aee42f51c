"""Parts of figures, as SVG and HTML text. All text and attributes are escaped here."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from PIL import Image

Box = Sequence[float]  # x_min, y_min, x_max, y_max


class Bar(NamedTuple):
    """A number in a table, with a bar of this share, from 0 to 1, of the cell's width."""

    words: str
    share: float


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
    return element("text", escape(str(words)), x=x, y=y, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A line of a CSS class."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def dot(x: float, y: float, r: float, *children: str, **attributes: object) -> str:
    """A dot with the radius r."""
    return element("circle", *children, cx=x, cy=y, r=r, **attributes)


def rectangle(box: Box, *children: str, **attributes: object) -> str:
    """A box, in the units of its figure. One that ends before it begins is empty."""
    x_min, y_min, x_max, y_max = map(float, box)
    size = {"width": max(x_max - x_min, 0.0), "height": max(y_max - y_min, 0.0)}
    return element("rect", *children, x=x_min, y=y_min, **size, **attributes)


def outlines(boxes: Iterable[Box], kind: str) -> str:
    """Boxes, in the units of their figure, drawn with lines of CSS classes."""
    return "".join(rectangle(box, class_=f"box {kind}") for box in boxes)


def tip(words: str) -> str:
    """What a pointer on the parent shows."""
    return element("title", escape(words))


def figure(width: float, height: float, *parts: str, label: str, class_: str | None = None) -> str:
    """A drawing of its own units. label: what it shows, for those who cannot see it."""
    view = {"viewBox": f"0 0 {_value(width)} {_value(height)}"}
    return element("svg", *parts, **view, class_=class_, role="img", aria_label=label)


def data_address(image: Image.Image, format: str = "jpeg", **options: object) -> str:
    """A picture as a data address. options: of Pillow's writer."""
    file = io.BytesIO()
    image.save(file, format, **options)
    return f"data:image/{format};base64,{base64.b64encode(file.getvalue()).decode()}"


def picture(content: Image.Image, label: str) -> str:
    """A picture of its own, as an HTML element. label: what it shows."""
    size = f'width="{content.width}" height="{content.height}"'
    return f'<img src="{data_address(content, quality=85)}" {size} alt="{escape(label)}">'


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of text, numbers and bars, in a box that scrolls where the table is wider."""
    lines = [("th", heads), *(("td", row) for row in rows)]
    made = element("table", *(element("tr", *(_cell(kind, each) for each in cells)) for kind, cells in lines))
    return element("div", made, class_="wide")


def _cell(kind: str, content: object) -> str:
    if isinstance(content, Bar):
        return element(kind, escape(content.words), class_="bar", style=f"--share: {content.share:.1%}")
    return element(kind, escape(str(content)))


def bars(words: str, values: Sequence[float]) -> list[Bar]:
    """A column of a table, whose longest bar is as wide as the column. words: format of a value, as "{:.2f}"."""
    return [Bar(words.format(value), value / max(values)) for value in values]


def beside(*parts: str) -> str:
    """Parts of a figure side by side, one below the other where there is no room."""
    return element("div", *(element("div", part) for part in parts), class_="beside")


def panels(*contents: tuple[str, str], class_: str = "panels") -> str:
    """Drawings side by side, in rows as wide as the page. contents: (SVG or HTML, caption) pairs.

    class_: "panels large" makes two in a row where there is room, "panels four" four and "panels six" six.
    """
    made = [element("div", content, element("small", escape(caption))) for content, caption in contents]
    return element("div", *made, class_=class_)
