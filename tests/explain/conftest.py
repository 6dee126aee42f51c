"""A picture with objects and a model, and the same picture with neither."""

import pytest

from ssd.explain.sections import explain
from ssd.explain.subject import read_subject


@pytest.fixture(scope="session")
def picture(voc_folder):
    return min((voc_folder / "JPEGImages").iterdir())


@pytest.fixture(scope="session")
def subject(picture, checkpoint, data_folder):
    """A drawn picture of the data lists, and an untrained model."""
    return read_subject(picture, checkpoint, data_folder)


@pytest.fixture(scope="session")
def bare(picture):
    """The same picture without objects and without a model."""
    return read_subject(picture)


@pytest.fixture(scope="session")
def html(subject):
    """The page of `subject`, of which many sections take a while."""
    return explain(subject)
