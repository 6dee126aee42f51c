"""Class names from files."""

import pytest

from ssd.convert.classes import read_class_names
from ssd.errors import InputError


@pytest.mark.parametrize("name, text, message", [
    ("a.txt", "one\ntwo\n", "2 class names, but the network has 3 classes"),
    ("a.txt", "one\ntwo\ntwo\n", "two comes twice"),
    ("a.txt", "one\ntwo\nbackground\n", 'a class is called "background"'),
    ("a.txt", b"\xff\xfe", "not UTF-8 text"),
    ("a.json", '["one"]', "holds a list"),
    ("a.json", '{"one": "1", "two": 2}', "holds no label map"),
    ("a.json", '{"one": 1, "two": 2, "too": 2, "three": 3}', "holds no label map"),
    ("a.json", '{"one": 0, "two": 1, "three": 2}', "2 class names"),
    ("a.json", "{}", "holds no label map"),
    ("a.json", "one", "not JSON"),
])  # fmt: skip
def test_bad_class_names(name, text, message, tmp_path):
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        read_class_names(tmp_path / name, 3)


def test_label_map_as_class_names(tmp_path):
    (tmp_path / "label_map.json").write_text('{"wolf": 4, "background": 0, "cat": 1, "dog": 2}')
    assert read_class_names(tmp_path / "label_map.json", 4) == ("cat", "dog", "", "wolf")
