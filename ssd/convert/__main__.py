"""`python -m ssd.convert` is the command `ssd300 convert`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ssd.commands.convert", run_name="__main__")
