"""`python -m ssd.app` is the command `ssd300 app`."""

import runpy
import sys

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.app"  # argparse shows it as the name of the program
    runpy.run_module("ssd.commands.app", run_name="__main__")
