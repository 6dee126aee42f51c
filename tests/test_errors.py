"""What an exception says in one line, and what a missing library does."""

import json

import pytest

from ssd.errors import InputError, first_line, optional


def test_what_an_exception_says():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError(" ")) == "ValueError"
    assert first_line(KeyError(101)) == "KeyError"


def test_a_missing_library_is_named_with_its_extra():
    assert optional("json", extra="plots", what="diagrams") is json
    with pytest.raises(InputError, match=r'^no_such is needed for diagrams \(extra "plots"\): pip install no_such$'):
        optional("no_such.figure", extra="plots", what="diagrams")
    with pytest.raises(InputError, match=r"^pyno is needed for x.yaml \(extra .yolo.\): pip install pyno$"):
        optional("no_such", extra="yolo", what="x.yaml", package="pyno")
