"""Ending work in good order when a signal arrives."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

HANGUP = getattr(signal, "SIGHUP", None)  # sent by a terminal that is closed; Windows has none
SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANGUP)))


@dataclass
class Stop:
    """Whether the run must stop. signal: number of the one that arrived, or 0. error: a sentence on another reason."""

    signal: int = 0
    error: str | None = None

    def __bool__(self) -> bool:
        return bool(self.signal or self.error)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Yields a `Stop`, which the first Ctrl-C, SIGTERM or SIGHUP sets, as in `_first_signal`."""
    stop = Stop()

    def note(number: int) -> None:
        stop.signal = number

    with _first_signal(note):
        yield stop


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """For a block that SIGTERM and SIGHUP end as Ctrl-C does: KeyboardInterrupt is raised with the signal's number."""

    def interrupt(number: int) -> None:
        raise KeyboardInterrupt(number)

    with _first_signal(interrupt):
        yield


@contextmanager
def _first_signal(act: Callable[[int], None]) -> Iterator[None]:
    """In the block, the first of SIGNALS calls `act` with its number. Signals that are ignored (`nohup`) stay so.

    A second Ctrl-C or SIGTERM has its usual effect, at once. SIGHUP comes several times from one closed terminal.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
    terminals = [file for file in (1, 2) if os.isatty(file)]

    def handle(number: int, _: object) -> None:
        _restore({number: signal.SIG_IGN if number == HANGUP else handler for number, handler in before.items()})
        for file in terminals:
            if not os.isatty(file):  # closed: writing to it would raise an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), file)
        act(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        _restore(before)


def _restore(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
