"""Runs with a network whose steps take milliseconds."""

import pytest

from ssd.commands import train
from ssd.data import PascalVOCDataset
from ssd.errors import InputError
from ssd.training.step import TrainingStep
from tests.helpers import small_network
from tests.helpers.runs import OPTIONS


@pytest.fixture
def small_networks(monkeypatch):
    def no_curves(*args):
        raise InputError("matplotlib takes a second for each picture")

    small_network.use(monkeypatch.setattr)
    monkeypatch.setattr("ssd.training.run.folder.plot_results", no_curves)


@pytest.fixture
def run(small_networks, data_folder, tmp_path):
    """run(name, options) trains in the folder `tmp_path / name` and returns it; `status` is expected."""

    def run(name, *options, status=0, data=data_folder):
        folder = tmp_path / name
        texts = [text for option in options for text in str(option).split(" ")]
        assert train.main(["--data", str(data), "--output", str(folder), *OPTIONS.split(), *texts]) == status
        return folder

    return run


@pytest.fixture
def arguments(small_networks, data_folder, tmp_path):
    """arguments(name, *texts) are those that `run` would use, for `refused`."""
    return lambda name, *texts: ["--data", data_folder, "--output", tmp_path / name, *OPTIONS.split(), *texts]


@pytest.fixture
def at_iteration(monkeypatch):
    """at_iteration(n, act): `act` is called in the course of iteration n (from 1), once, before its step."""

    def at_iteration(n, act):
        step, acts = TrainingStep.__call__, [act]

        def acting(self, *args):
            if self.iteration + 1 == n and acts:
                acts.pop()()
            return step(self, *args)

        monkeypatch.setattr(TrainingStep, "__call__", acting)

    return at_iteration


@pytest.fixture(scope="session")
def train_set(data_folder):
    return PascalVOCDataset(data_folder, "train", augment=True)
