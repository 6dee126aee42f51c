"""What the scripts share: exit statuses and argument types."""

import functools
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError

from ssd.errors import InputError


def command(main):
    """Wrap `main(argv=None)` so that it returns an exit status.

    0: done. 2: bad input, said in one line on stderr. 130: interrupted with Ctrl-C. Any other exception is a defect
    of ours and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapper(argv=None):
        try:
            return main(argv) or 0
        except (InputError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except SystemExit as exit:  # argparse, after it has printed its message
            return exit.code or 0

    return wrapper


def parser(description):
    """An `ArgumentParser` whose help shows every default."""
    return ArgumentParser(description=description, formatter_class=ArgumentDefaultsHelpFormatter)


def number(kind, low, high=None):
    """An argparse type: a number of `kind` (int or float) from `low` to `high`, ends included."""

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= (float("inf") if high is None else high):
            raise ArgumentTypeError(f"{text} is not {f'at least {low}' if high is None else f'from {low} to {high}'}")
        return value

    return parse
