"""Kills at random moments (`python -m tests.long.kill_and_resume` makes more), and signals as terminals send them."""

import fcntl
import os
import signal
import termios
from functools import partial
from pathlib import Path

import pytest

from ssd.checkpoint import load_training_state
from tests.helpers import small_network
from tests.long.kill_and_resume import LIMIT, arguments, kill, kill_and_resume, rows, start, wait_for, wait_for_end


@pytest.fixture(autouse=True)
def small_networks(monkeypatch):
    small_network.use(monkeypatch.setattr)


def test_killed_runs_end_as_undisturbed_ones(tmp_path):
    told = kill_and_resume(tmp_path, kills=3, iterations=12)
    assert len(told) == 3
    assert "in a save" in told[2]


@pytest.mark.parametrize(
    "network, options, iterations, number, status",
    [
        ("small", "--eval-every 1", 2, signal.SIGINT, 130),
        ("small", "--eval-every 1", 2, signal.SIGTERM, 143),
        ("slow", "--eval-every 0", 1, signal.SIGTERM, 143),
    ],
)
def test_signal_to_the_process_and_its_workers(data_folder, tmp_path, network, options, iterations, number, status):
    """What Ctrl-C and a cluster's scheduler send also reaches the workers: of a validation, or during a long step."""
    run = tmp_path / "run"
    options = ["--output", run, "--workers", 1, *options.split()]
    with open(tmp_path / "log.txt", "w") as log:
        process = start(network, [*arguments(data_folder, 100_000), *options], log)
    try:
        assert wait_for(lambda: rows(run) >= iterations, process)
        os.killpg(process.pid, number)
        assert wait_for_end(process, LIMIT)
        with pytest.raises(ProcessLookupError):  # no worker is left over
            os.killpg(process.pid, 0)
    finally:
        kill(process)
    told = Path(log.name).read_text()
    assert process.returncode == status, told[-2000:]
    assert "Traceback" not in told
    iteration = load_training_state(run / "last.pth")["iteration"]
    assert iteration == rows(run) < 100_000
    assert f"stopped after iteration {iteration}; --resume" in told


def test_a_terminal_that_is_closed(data_folder, tmp_path):
    """It sends SIGHUP, and nothing can be written to it any more: the run still ends in good order."""
    run = tmp_path / "run"
    options = ["--output", run, "--workers", 1, "--eval-every", 1]
    terminal, other_end = os.openpty()
    take_over = partial(fcntl.ioctl, 1, termios.TIOCSCTTY, 0)
    process = start("small", [*arguments(data_folder, 100_000), *options], other_end, preexec_fn=take_over)
    os.close(other_end)
    try:
        assert wait_for(lambda: rows(run) >= 2, process)
        os.close(terminal)
        assert wait_for_end(process, LIMIT)
    finally:
        kill(process)
    assert process.returncode == 129
    assert load_training_state(run / "last.pth")["iteration"] == rows(run) < 100_000
