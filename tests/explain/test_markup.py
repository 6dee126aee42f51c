"""Markup in the names of classes and files is only text."""

from html.parser import HTMLParser

from tests.explain.conftest import MARKUP


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


def test_markup_in_names_is_only_text(html, html_with_markup):
    plain, page = Skeleton(html), Skeleton(html_with_markup)
    assert page.tags == plain.tags
    for name in MARKUP:
        assert any(name in words for words in page.words)
