"""Stopping a run cleanly when a signal arrives."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Stop:
    """Whether the run must stop. signal: number of the one that arrived, or 0. error: a sentence on another reason."""

    signal: int = 0
    error: str | None = None

    def __bool__(self) -> bool:
        return bool(self.signal or self.error)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Yields a `Stop`, which the first Ctrl-C or SIGTERM sets. The second one has its usual effect, at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number: int, _: object) -> None:
        stop.signal = number
        _restore(before)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
