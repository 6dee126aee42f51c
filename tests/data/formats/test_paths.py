"""Names of files in annotations."""

import os

import pytest

from ssd.data.formats.paths import inside
from ssd.errors import InputError


def test_inside(tmp_path):
    assert inside("a", "b/./c/../d.jpg") == inside("a", "b\\d.jpg") == inside("a", os.path.abspath("a/b/d.jpg"))
    assert str(inside("a", "b/d.jpg")) == os.path.join("a", "b", "d.jpg")
    for name in ("..", "../a2/x", "/", "b/../../x"):
        with pytest.raises(InputError, match="leaves the folder a"):
            inside("a", name)
