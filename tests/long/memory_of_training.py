"""Whether the memory of a long run grows: the resident size after 1 to 300 validations, one after each small iteration.

python -m tests.long.memory_of_training

Everything but the network, which is small, is real: loader, loop, folder, validation, curves, checkpoints.
"""

import resource
import sys
import tempfile
from pathlib import Path

from ssd.commands import data as create_data_lists
from ssd.commands import train
from ssd.commands.synthetic import main as draw_dataset
from ssd.training.step import TrainingStep
from tests.helpers import small_network

READ_AT = (1, 10, 20, 50, 100, 150, 200, 250, 300)


def main():
    step = TrainingStep.__call__

    def watched(self, *args):
        figures, n = step(self, *args), self.iteration - 1  # validations before this step
        if n in READ_AT:
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
            print(f"after {n:4} validations: {resident:.1f} MiB resident, {peak:.1f} MiB at most", flush=True)
        return figures

    TrainingStep.__call__ = watched
    small_network.use()
    with tempfile.TemporaryDirectory() as folder:
        draw_dataset([f"{folder}/shapes", "--images", "8", "--test-fraction", "0.5"])
        create_data_lists.main(["--voc", f"{folder}/shapes", "--output", f"{folder}/data"])
        options = "--weights none --batch-size 2 --iterations 301 --save-every 20 --eval-every 1 --workers 0"
        options += " --ema 0.99 --device cpu --log tensorboard"
        return train.main(["--data", f"{folder}/data", "--output", f"{folder}/run", *options.split()])


if __name__ == "__main__":
    sys.exit(main())
