"""Whether the memory of a long run grows: the resident size after 4 to 32 validations, one every 10 small iterations.

python -m tests.long.memory_of_training

Everything but the network, which is small, is real: loader, loop, folder, validation, checkpoints. Before each reading,
free memory is returned to the system, of which glibc otherwise keeps a varying amount.
"""

import ctypes
import gc
import resource
import sys
import tempfile
from pathlib import Path

from ssd.commands import data as create_data_lists
from ssd.commands import train
from ssd.commands.synthetic import main as draw_dataset
from ssd.training.step import TrainingStep
from tests.helpers import small_network

READ_AT = (40, 80, 160, 240, 320)


def resident():
    """The memory of this process in MiB: now, and at its peak."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main():
    step, sizes = TrainingStep.__call__, {}

    def watched(self, *args):
        figures = step(self, *args)
        if self.iteration in READ_AT:
            sizes[self.iteration] = resident()
        return figures

    TrainingStep.__call__ = watched
    small_network.use()
    with tempfile.TemporaryDirectory() as folder:
        draw_dataset([f"{folder}/shapes", "--images", "8", "--test-fraction", "0.5"])
        create_data_lists.main(["--voc", f"{folder}/shapes", "--output", f"{folder}/data"])
        options = "--weights none --batch-size 2 --iterations 320 --save-every 20 --eval-every 10 --workers 1"
        options += " --ema 0.99 --device cpu --log tensorboard"
        status = train.main(["--data", f"{folder}/data", "--output", f"{folder}/run", *options.split()])
    for iteration, (now, largest) in sizes.items():
        print(f"after {iteration:4} iterations: {now:.1f} MiB resident, {largest:.1f} MiB at most")
    return status


if __name__ == "__main__":
    sys.exit(main())
