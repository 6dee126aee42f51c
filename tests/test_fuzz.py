"""Random cases of every kind (`python -m tests.long.fuzz` runs more of them)."""

import pytest

from tests.helpers import small_network
from tests.long.fuzz import failure


@pytest.mark.parametrize("number", range(20))
def test_random_case(number, monkeypatch):
    small_network.use(monkeypatch.setattr)
    assert failure(number) == ""
