"""A picture with objects and a model, and the same picture with neither."""

from dataclasses import replace

import pytest

from ssd.explain.sections import explain
from ssd.explain.subject import read_subject

MARKUP = "</script><script>alert(1)</script>", """"><img src=x onerror='alert(2)'>&lt;b&gt;"""


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


@pytest.fixture(scope="session")
def html_with_markup(subject):
    """The same page, with markup in the names of classes, of the picture, of its lists and of the model."""
    first, second = MARKUP
    classes = [f"{MARKUP[label % 2]}{label}" for label in range(1, subject.config.n_classes)]
    named = replace(subject, name=second, config=replace(subject.config, class_names=classes), model_name=first)
    return explain(replace(named, origin=f"The objects come from the test list in {first}."))
