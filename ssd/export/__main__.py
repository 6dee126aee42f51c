"""`python -m ssd.export` is the command `ssd300 export`."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.export"  # argparse shows it as the name of the program
    runpy.run_module("ssd.commands.export", run_name="__main__")
