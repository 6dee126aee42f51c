"""`python -m ssd.export` is the command `ssd300 export`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("ssd.commands.export", run_name="__main__")
