"""Random cases of every kind (`python -m tests.long.fuzz` runs more of them)."""

from tests.long.fuzz import fuzz


def test_random_cases():
    assert "\n".join(fuzz(range(16)).values()) == ""
