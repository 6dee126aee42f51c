"""Stopping a run cleanly when a signal arrives."""

import os
import signal
import threading
from collections.abc import Iterator
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
    """Yields a `Stop`, which the first Ctrl-C, SIGTERM or SIGHUP sets. Signals that are ignored (`nohup`) stay so.

    A second Ctrl-C or SIGTERM has its usual effect, at once. SIGHUP comes several times from one closed terminal.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # only the main thread can handle signals
        yield stop
        return
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}
    terminals = [file for file in (1, 2) if os.isatty(file)]

    def note(number: int, _: object) -> None:
        stop.signal = number
        _restore({number: handler for number, handler in before.items() if number != HANGUP})
        for file in terminals:
            if not os.isatty(file):  # closed: writing to it would raise an error
                os.dup2(os.open(os.devnull, os.O_WRONLY), file)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        _restore(before)


def _restore(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
