"""One HTML file that needs nothing else and in which all foreign text is only text."""

import json
import re

from ssd.explain.page import Section, render
from ssd.explain.sections import explain
from ssd.model.boxes import decode, encode
from ssd.model.network import SSD

NASTY = "</script><script>alert(1)</script>"


def page_of(*sections):
    return render(sections, "title", [], "")


def test_page_needs_no_other_file(html):
    assert re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', html) == []
    assert "url(" not in html
    assert len(html) < 5e6


def test_every_anchor_leads_somewhere(bare):
    page = explain(bare)
    anchors = re.findall(r'href="#(\w+)"', page)
    assert anchors
    assert set(anchors) <= set(re.findall(r'id="(\w+)"', page))


def test_sources_are_named_by_file():
    page = page_of(Section("a", "A?", [], sources=[encode, decode, SSD.forward]))
    assert "<code>encode</code>, <code>decode</code> in <code>ssd/model/boxes.py</code>; " in page
    assert "<code>SSD.forward</code> in <code>ssd/model/network.py</code>." in page


def test_data_of_a_section_is_json_whatever_it_says():
    page = page_of(Section("a", "A?", [], data={"name": NASTY, "n": 1}))
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert json.loads(text) == {"name": NASTY, "n": 1}


def test_titles_are_only_text():
    page = render([Section("a", NASTY, [])], NASTY, [], "")
    assert "alert" in page
    assert NASTY not in page
