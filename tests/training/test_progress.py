import pytest

from ssd.training import progress
from ssd.training.progress import Progress, duration

ROW = {"train_conf": 2.0, "train_loc": 1.0, "lr": 1e-3}


class Clock:
    now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock.perf_counter)
    return clock


def train(clock, iterations, seconds, start=0, rows=1, quiet=False):
    """Progress over iterations of so many seconds each, of which the first takes ten times as long."""
    with Progress(iterations, start, batch_size=8, n_images=100, quiet=quiet) as shown:
        for i in range(start, iterations, rows):
            clock.now += seconds * rows * (10 if i == start else 1)
            shown.update([ROW] * rows)


def estimates(captured):
    return [line for line in captured.out.splitlines() if "training will take" in line]


def test_the_first_iterations_tell_how_long_the_run_will_take(clock, capfd):
    train(clock, iterations=191, seconds=2)
    lines = estimates(capfd.readouterr())
    # After 11 iterations 180 are left, of 2 seconds each. The slow first one does not count.
    assert lines == ["by its first iterations, training will take about 6 minutes on this machine, plus evaluations"]


def test_a_resumed_run_counts_what_is_left(clock, capfd):
    train(clock, iterations=1000, seconds=60, start=870, rows=10)
    (line,) = estimates(capfd.readouterr())
    assert "about 110 minutes" in line  # after two readings of 10 iterations


@pytest.mark.parametrize(("iterations", "quiet"), [(8, False), (100, True)])
def test_short_runs_and_other_processes_say_nothing(clock, capfd, iterations, quiet):
    train(clock, iterations, seconds=2, quiet=quiet)
    assert not estimates(capfd.readouterr())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(29, "less than a minute"), (89, "about 1 minute"), (7140, "about 119 minutes"), (7200, "about 2 hours")],
)
def test_duration(seconds, text):
    assert duration(seconds) == text
