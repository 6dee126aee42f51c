"""pyproject.toml makes errors of the warnings that are due to our code."""

import warnings

import pytest


@pytest.mark.parametrize("module", ["ssd", "ssd.model.boxes"])
def test_warnings_of_ours_are_errors(module):
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, module)


def test_warnings_of_others_are_not():
    with warnings.catch_warnings(record=True) as told:
        warnings.warn_explicit("old", DeprecationWarning, "file.py", 1, "ssdlib.x")
    assert len(told) == 1
