"""`python -m ssd.explain` is the command `ssd300 explain`."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.explain"  # argparse shows it as the name of the program
    runpy.run_module("ssd.commands.explain", run_name="__main__")
