"""Times contenders in turns and prints a table of the results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Measured:
    """Result of a benchmark. seconds: contender -> times of its calls, ours first. units: pictures in a call."""

    title: str
    seconds: dict[str, list[float]]
    units: int = 1

    def quartiles(self, contender: str) -> list[float]:
        """Lower quartile, median and upper quartile of a call, in seconds."""
        return np.quantile(self.seconds[contender], (0.25, 0.5, 0.75)).tolist()

    def ratio(self, contender: str) -> float:
        """How many times as long as ours a contender takes, by the medians."""
        return self.quartiles(contender)[1] / self.quartiles(next(iter(self.seconds)))[1]

    def lines(self) -> Iterator[str]:
        """The rows of the table."""
        for name in self.seconds:
            low, median, high = (1000 * s for s in self.quartiles(name))
            rate = self.units * 1000 / median
            yield f"  {name:<34}{median:>10.1f}{low:>10.1f} -{high:>8.1f}{rate:>11.1f}{self.ratio(name):>8.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        columns = {name: self.quartiles(name) for name in self.seconds}
        contenders = {name: {"quartiles_s": q, "ratio": self.ratio(name)} for name, q in columns.items()}
        return {"title": self.title, "pictures": self.units, "contenders": contenders}


@dataclass(frozen=True)
class Memory:
    """Peak memory of contenders. peaks: contender -> bytes, ours first."""

    title: str
    peaks: dict[str, int]

    def lines(self) -> Iterator[str]:
        """The rows of the table."""
        ours = next(iter(self.peaks.values()))
        for name, peak in self.peaks.items():
            yield f"  {name:<34}{peak / 2**20:>10.0f} MiB{'':>26}{peak / ours:>8.2f}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"title": self.title, "bytes": self.peaks}


HEADER = f"  {'':<34}{'median ms':>10}{'quartiles ms':>19}{'pictures/s':>12}{'x ours':>7}"


@dataclass(frozen=True)
class Timer:
    """Times contenders. device: where they run. rounds: how often. clock: a function that returns seconds."""

    device: torch.device
    rounds: int = 5
    clock: Callable[[], float] = perf_counter

    def measure(self, contenders: Mapping[str, Callable[[], object]], warm_up: int = 1) -> dict[str, list[float]]:
        """Seconds of each round, by contender.

        The contenders take turns, so other work on the machine affects all of them. The clock waits for the GPU.
        contenders: name -> function without arguments, ours first. warm_up: rounds that are not timed.
        """
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for k in range(warm_up + self.rounds):
            for name, run in contenders.items():
                self._synchronise()
                start = self.clock()
                run()
                self._synchronise()
                if k >= warm_up:
                    seconds[name].append(self.clock() - start)
        return seconds

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def agree(name: str, ours: torch.Tensor, theirs: torch.Tensor, tolerance: float) -> None:
    """Raise RuntimeError if two tensors differ by more than `tolerance`, relative to theirs (in norm)."""
    error = ((ours - theirs).norm() / theirs.norm()).item() if ours.shape == theirs.shape else float("inf")
    if not error <= tolerance:
        raise RuntimeError(f"{name}: the results differ by {error:.2g}, rounding explains at most {tolerance:g}")
