"""`python -m ssd.convert` is the command `ssd300 convert`."""

import sys

from ssd.commands.convert import main

if __name__ == "__main__":
    sys.argv[0] = "python -m ssd.convert"  # argparse shows it as the name of the program
    sys.exit(main())
