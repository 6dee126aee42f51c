"""What an exception says in one line."""

from ssd.errors import first_line


def test_what_an_exception_says():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError(" ")) == "ValueError"
    assert first_line(KeyError(101)) == "KeyError"
