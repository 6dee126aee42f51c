"""`python -m ssd.convert` is the command `ssd300 convert`."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.convert"  # argparse shows it as the name of the program
    runpy.run_module("ssd.commands.convert", run_name="__main__")
