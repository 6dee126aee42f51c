"""Checks a data set and writes the data lists that training and evaluation read.

The command line is in `ssd/commands/data.py`, the work in `ssd/data/build.py`.
"""

import sys

from ssd.commands.data import main

if __name__ == "__main__":
    sys.exit(main())
