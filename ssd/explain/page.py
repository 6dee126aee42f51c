"""The page: sections in, one HTML file out that needs no other file and no network."""

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import NamedTuple

import ssd

PACKAGE = Path(ssd.__file__).parent
NO_MODEL = "This section needs a trained model. Name one with --checkpoint, and it will be here."
NO_OBJECTS = (
    "This section needs objects, and there are none. Name the data lists that hold this picture with --data, or a file "
    "with its annotation with --annotation."
)


class Section(NamedTuple):
    """The answer to one question.

    text: paragraphs of HTML, separated by blank lines. figure: HTML, "" for a section that only says what it lacks.
    formula: HTML. sources: the functions and classes that do it; the page names them and their files.
    data: what the section's script needs, anything that JSON can hold.
    """

    text: str
    figure: str = ""
    formula: str = ""
    sources: Sequence[Callable] = ()
    data: object = None


def render(sections: Sequence[tuple[str, str, Section]], title: str, introduction: str, photo: str) -> str:
    """The page as HTML.

    sections: of each its key, of letters, which is its anchor and the id of its element; its title, plain text; and the
    section. title: plain text. introduction: paragraphs of HTML. photo: the hidden SVG that the figures use.
    """
    folder = files("ssd.explain")
    scripts = sorted((each for each in (folder / "scripts").iterdir() if each.name.endswith(".js")), key=str)
    return Template((folder / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        css=(folder / "page.css").read_text(encoding="utf-8"),
        script="\n".join(each.read_text(encoding="utf-8") for each in [folder / "page.js", *scripts]),
        introduction=paragraphs(introduction.split("\n\n")),
        contents="\n".join(f'<li><a href="#{key}">{escape(title)}</a></li>' for key, title, _ in sections),
        photo=photo,
        sections="\n".join(
            f'<section id="{key}">\n<h2>{number}. {escape(title)}</h2>\n{_body(section)}\n</section>'
            for number, (key, title, section) in enumerate(sections, start=1)
        ),
    )


def _body(section: Section) -> str:
    parts = [
        f"<figure>{section.figure}</figure>" if section.figure else "",
        paragraphs(section.text.split("\n\n")),
        f'<div class="formula">{section.formula}</div>' if section.formula else "",
        f'<p class="sources">In the code: {_sources(section.sources)}.</p>' if section.sources else "",
        "" if section.data is None else _script_data(section.data),
    ]
    return "\n".join(filter(None, parts))


def paragraphs(texts: Iterable[str]) -> str:
    """Texts as paragraphs. One that begins with a tag, a table or a drawing, stays as it is."""
    return "\n".join(text if text.startswith("<") else f"<p>{text}</p>" for text in map(str.strip, texts))


def _sources(sources: Sequence[Callable]) -> str:
    """The names of functions and classes and their files, as they are now."""
    names: dict[str, list[str]] = {}
    for source in sources:
        file = Path(inspect.getsourcefile(inspect.unwrap(source)) or "").relative_to(PACKAGE.parent).as_posix()
        names.setdefault(file, []).append(f"<code>{source.__qualname__}</code>")
    return "; ".join(f"{', '.join(found)} in <code>{file}</code>" for file, found in names.items())


def _script_data(data: object) -> str:
    """A section's data; `<` is escaped, because `</script>` in a class name would end the element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json">{text}</script>'
