"""Ending a run in good order when it is told to stop."""

import signal
import threading
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the run has to stop. signal: the number of the one that told it to, 0 while there was none. error: a
    sentence on what else makes it stop, None while there is nothing."""

    signal = 0
    error = None

    def __bool__(self):
        return bool(self.signal or self.error)


@contextmanager
def stop_signals():
    """Yields a `Stop`, which the first Ctrl-C or SIGTERM sets; the second has its usual effect, at once."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield stop
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def note(number, _):
        stop.signal = number
        restore(before)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore(before)


def restore(handlers):
    for number, handler in handlers.items():
        signal.signal(number, handler)
