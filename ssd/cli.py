"""What the scripts share: exit statuses and argument types."""

import functools
import os
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from pathlib import Path

from ssd.device import PRECISIONS
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
            # An error from a DataLoader's worker comes wrapped in its traceback; the sentence is at the end.
            print("error:", str(error).strip().rpartition("InputError: ")[2], file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except SystemExit as exit:  # argparse, after it has printed its message
            return exit.code or 0

    return wrapper


class _HelpFormatter(ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        told = action.default in (None, False) or "(default" in (action.help or "")
        return action.help if told else super()._get_help_string(action)


def parser(description):
    """An `ArgumentParser` whose help shows every default."""
    return ArgumentParser(description=description, formatter_class=_HelpFormatter)


def add_device_arguments(p, precision="auto"):
    """The arguments that `choose_device` and `choose_precision` take."""
    p.add_argument("--device", help="cuda, cuda:1, cpu, ... (default: the GPU where there is one)")
    p.add_argument(
        "--precision", choices=PRECISIONS, default=precision, help="auto is bf16 where the hardware is fast at it"
    )


def add_loading_arguments(p, batch_size):
    """The arguments of a DataLoader."""
    p.add_argument("--batch-size", type=number(int, 1), default=batch_size, help="images at a time")
    p.add_argument(
        "--workers", type=number(int, 0), default=min(8, (os.cpu_count() or 2) // 2), help="processes that load images"
    )


def newest_checkpoint():
    """The best checkpoint of the newest run. Raises InputError where there is none."""
    found = sorted(Path("runs").glob("*/best.pth"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise InputError("no checkpoint in runs/; train.py makes one, --checkpoint names one elsewhere")
    return found[-1]


def number(kind, low, high=None):
    """An argparse type: a number of `kind` (int or float) from `low` to `high`, ends included."""

    bounds = f"{low}" if high is None else f"{low} to {high}"

    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is not a number") from None
        if not low <= value <= (float("inf") if high is None else high):
            raise ArgumentTypeError(f"{text} is not {'at least' if high is None else 'from'} {bounds}")
        return value

    return parse
