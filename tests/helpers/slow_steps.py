"""`small_network` with steps that take seconds, and in which no alarm takes longer than one.

python -m tests.helpers.slow_steps ARGUMENTS OF train.py
"""

import signal
import sys
import time

from ssd.commands import train
from ssd.training.step import TrainingStep
from tests.helpers import small_network

SECONDS = 4


def use():
    """Make each step after the first slow, as those of a large model, or on a busy machine."""
    step, alarm = TrainingStep.__call__, signal.alarm

    def slow(self, *args):
        limit = time.monotonic() + SECONDS * (self.iteration > 0)
        while (rest := limit - time.monotonic()) > 0:
            time.sleep(rest)
        return step(self, *args)

    TrainingStep.__call__ = slow
    signal.alarm = lambda _: alarm(1)  # a step can last longer than any grace of a worker's


if __name__ == "__main__":
    small_network.use()
    use()
    sys.exit(train.main())
