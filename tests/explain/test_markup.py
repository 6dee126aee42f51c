"""Markup in the names of classes and files is only text."""

from dataclasses import replace
from html.parser import HTMLParser

from ssd.explain.sections import explain

NASTY = "</script><script>alert(1)</script>"
QUOTES = """"><img src=x onerror='alert(2)'>&lt;b&gt;"""


class Skeleton(HTMLParser):
    """The elements of a page, with the names of their attributes."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))
        self.words += [value for _, value in attributes if value]

    def handle_endtag(self, tag):
        self.tags.append(("/", tag))

    def handle_data(self, data):
        self.words.append(data)


def named(subject, first, second):
    """The subject with other names for its classes, file, lists and model."""
    classes = [f"{(first, second)[label % 2]}{label}" for label in range(1, subject.config.n_classes)]
    return replace(
        subject,
        name=second,
        origin=f"The objects come from the test list in {first}.",
        model_name=first,
        config=replace(subject.config, class_names=classes),
    )


def test_markup_in_names_is_only_text(subject):
    plain, nasty = (Skeleton(explain(named(subject, *names))) for names in (("a", "b"), (NASTY, QUOTES)))
    assert nasty.tags == plain.tags
    for name in (NASTY, QUOTES):
        assert any(name in words for words in nasty.words)
