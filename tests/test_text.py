"""Text for a terminal."""

from ssd.text import counted, one_line, text_table


def test_control_characters_are_not_shown():
    assert one_line("ä b\r\n\x1b[31m") == "ä b???[31m"


def test_columns_are_aligned():
    rows = [("class", "AP"), ("cat", 0.5), ("a\nb", 10)]
    assert text_table(rows).splitlines() == ["class   AP", "cat    0.5", "a?b     10"]


def test_nouns_follow_their_number():
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]
