"""One HTML file that needs nothing else and in which all foreign text is only text."""

import json
import re
from html.parser import HTMLParser

from ssd.explain.page import Section, render
from ssd.model.boxes import decode, encode
from ssd.model.network import SSD
from tests.explain.conftest import MARKUP


def page_of(section):
    return render([("a", "A?", section)], "title", "", "")


def test_page_needs_no_other_file(html):
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html) == []
    assert "url(" not in html
    assert len(html) < 5e6


def test_every_anchor_leads_somewhere(html):
    anchors = re.findall(r'href="#(\w+)"', html)
    assert anchors
    assert set(anchors) <= set(re.findall(r'id="(\w+)"', html))


def test_sources_are_named_by_file():
    page = page_of(Section("", sources=[encode, decode, SSD.forward]))
    assert "<code>encode</code>, <code>decode</code> in <code>ssd/model/boxes.py</code>; " in page
    assert "<code>SSD.forward</code> in <code>ssd/model/network.py</code>." in page


def test_data_of_a_section_is_json_whatever_it_says():
    page = page_of(Section("", data={"name": MARKUP[0], "n": 1}))
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert json.loads(text) == {"name": MARKUP[0], "n": 1}


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
