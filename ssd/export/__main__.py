"""`python -m ssd.export` is the command `ssd300 export`."""

import sys

from ssd.commands.export import main

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.export"  # argparse shows it as the name of the program
    sys.exit(main())
