"""What several test files share: small data sets, drawn once, and a small model."""

import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from ssd import SSD300, SSDConfig, save_checkpoint
from ssd.commands import data as create_data_lists
from ssd.commands.synthetic import main as draw_dataset
from ssd.data import read_data_list

settings.register_profile("ssd", deadline=None)  # a slow machine is no failure
settings.load_profile("ssd")
torch.set_num_threads(min(torch.get_num_threads(), 4))
# A shell may have told what it starts in the background to ignore these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def voc_folder(tmp_path_factory):
    """A drawn data set in VOC layout, eight images."""
    folder = tmp_path_factory.mktemp("voc") / "shapes"
    assert draw_dataset([str(folder), "--images", "8", "--test-fraction", "0.5", "--seed", "1"]) == 0
    return folder


@pytest.fixture(scope="session")
def data_folder(voc_folder, tmp_path_factory):
    """The data lists of `voc_folder`."""
    folder = tmp_path_factory.mktemp("lists")
    assert create_data_lists.main(["--voc", str(voc_folder), "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def checkpoint(data_folder, tmp_path_factory):
    """An untrained model of the data set's classes that finds something in every picture."""
    torch.manual_seed(0)
    model = SSD300(SSDConfig(class_names=read_data_list(data_folder, "train").class_names))
    path = tmp_path_factory.mktemp("run") / "best.pth"
    save_checkpoint(path, model)
    return path


@pytest.fixture
def small_files():
    """small_files(n): until the end of the test no file can grow beyond n bytes: a full disk."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    return lambda n: resource.setrlimit(resource.RLIMIT_FSIZE, (n, hard))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call():
    """Lift the limit of `small_files` before pytest writes the result of the test, perhaps into a file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture(scope="session")
def real_data():
    """The folder of a real VOC-layout data set, named in SSD_REAL_DATA."""
    if not os.environ.get("SSD_REAL_DATA"):
        pytest.skip("SSD_REAL_DATA names no data set")
    return Path(os.environ["SSD_REAL_DATA"])
