"""Trains a detector on data lists.

The command line is in `ssd/commands/train.py`, the loop in `ssd/training/trainer.py`.
"""

import sys

from ssd.commands.train import main

if __name__ == "__main__":
    sys.exit(main())
