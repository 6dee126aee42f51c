"""The page: sections in, one HTML file out that needs no other file and no network."""

import inspect
import json
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

import ssd

PACKAGE = Path(ssd.__file__).parent
NO_MODEL = "This section needs a trained model. Name one with --checkpoint, and it will be here."
NO_OBJECTS = (
    "This section needs objects, and there are none. Name the data lists that hold this picture with --data, or a file "
    "with its annotation with --annotation."
)


class Section(NamedTuple):
    """One question and its answer.

    key: of letters, the section's anchor and the id of its element. title: the question. text: paragraphs, plain text
    or HTML that is escaped already. figure: HTML, "" for a section that only says what it lacks. formula: HTML.
    sources: the functions and classes that do it; the page names them and their files.
    data: numbers for the section's script, anything that JSON can hold.
    """

    key: str
    title: str
    text: Sequence[str]
    figure: str = ""
    formula: str = ""
    sources: Sequence[Callable] = ()
    data: Any = None


def render(sections: Sequence[Section], title: str, introduction: Sequence[str], photo: str) -> str:
    """The page as HTML.

    title: plain text. introduction: paragraphs of HTML. photo: the hidden SVG that holds the picture, which the figures
    use (`ssd.explain.svg.photo_definition`).
    """
    folder = files("ssd.explain")
    scripts = sorted((each for each in (folder / "scripts").iterdir() if each.name.endswith(".js")), key=str)
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        css=(folder / "page.css").read_text(encoding="utf-8"),
        script="\n".join(each.read_text(encoding="utf-8") for each in [folder / "page.js", *scripts]),
        introduction=_paragraphs(introduction),
        contents="\n".join(f'<li><a href="#{each.key}">{escape(each.title)}</a></li>' for each in sections),
        photo=photo,
        sections="\n".join(_section(number, each) for number, each in enumerate(sections, start=1)),
    )


def _section(number: int, section: Section) -> str:
    parts = [
        f"<h2>{number}. {escape(section.title)}</h2>",
        f"<figure>{section.figure}</figure>" if section.figure else "",
        _paragraphs(section.text),
        f'<div class="formula">{section.formula}</div>' if section.formula else "",
        f'<p class="sources">In the code: {_sources(section.sources)}.</p>' if section.sources else "",
        "" if section.data is None else _script_data(section),
    ]
    return "\n".join([f'<section id="{section.key}">', *filter(None, parts), "</section>"])


def _paragraphs(texts: Sequence[str]) -> str:
    return "\n".join(f"<p>{text}</p>" for text in texts)


def _sources(sources: Sequence[Callable]) -> str:
    """The names of functions and classes and their files, as they are now."""
    names: dict[str, list[str]] = {}
    for source in sources:
        file = Path(inspect.getsourcefile(inspect.unwrap(source)) or "").relative_to(PACKAGE.parent).as_posix()
        names.setdefault(file, []).append(f"<code>{source.__qualname__}</code>")
    return "; ".join(f"{', '.join(found)} in <code>{file}</code>" for file, found in names.items())


def _script_data(section: Section) -> str:
    """The section's data; `<` is escaped, because `</script>` in a class name would end the element."""
    text = json.dumps(section.data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'
