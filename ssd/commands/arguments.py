"""What the scripts share: exit statuses and argument types."""

import contextlib
import functools
import os
import sys
import warnings
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from math import inf, isfinite
from pathlib import Path

from ssd.errors import InputError
from ssd.inference.device import PRECISIONS
from ssd.text import one_line


def command(main):
    """Wrap `main(argv=None)` so that it returns an exit status.

    0: done. 2: bad input, said in one line on stderr. 130: interrupted with Ctrl-C. Any other exception is a defect
    of ours and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapper(argv=None):
        with contextlib.suppress(AttributeError):  # a stream that was put in place of stdout may lack it
            sys.stdout.reconfigure(errors="replace")  # a class name that the terminal cannot show must not end a run
        warnings.filterwarnings("ignore", module=r"PIL\.")  # of oddities in a picture, which they do not name
        try:
            return main(argv) or 0
        except (InputError, OSError) as error:
            print("error:", one_line(_sentence(error)), file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
        except SystemExit as exit:  # argparse, after it has printed its message
            return exit.code or 0

    return wrapper


def _sentence(error):
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    # An error from a DataLoader's worker comes wrapped in its traceback; the sentence is at the end.
    return str(error).strip().rpartition("InputError: ")[2]


def check_writable(folder):
    """Raises InputError where a folder can be neither written to nor made: better told before the work than after."""
    folder = Path(folder).absolute()
    there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not os.path.isdir(there):
        raise InputError(f"{there}: is a file; name a folder")
    if not os.access(there, os.W_OK):
        raise InputError(f"{there}: cannot be written to; name another folder")


class _HelpFormatter(ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        told = action.default is None or action.default is False or "(default" in action.help
        return action.help if told else super()._get_help_string(action)


class _Parser(ArgumentParser):
    def error(self, message):
        self.exit(2, f"error: {message} (--help lists the arguments)\n")


def parser(description):
    """An `ArgumentParser` whose help shows every default, and whose errors are one line."""
    return _Parser(description=description, formatter_class=_HelpFormatter)


def add_device_arguments(p, precision="auto"):
    """The arguments that `choose_device` and `choose_precision` take."""
    p.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda where there is one)")
    p.add_argument(
        "--precision", choices=PRECISIONS, default=precision, help="auto is bf16 where the hardware is fast at it"
    )


def add_loading_arguments(p, batch_size):
    """The arguments of a DataLoader."""
    p.add_argument("--batch-size", type=number(int, 1), default=batch_size, help="images at a time")
    p.add_argument(
        "--workers", type=number(int, 0), default=min(8, (os.cpu_count() or 2) // 2), help="processes that load images"
    )


def add_picture_arguments(p):
    """`args.no_pixel_limit`, with which a script is to call `lift_pixel_limit`."""
    p.add_argument(
        "--no-pixel-limit", action="store_true",
        help="read pictures of more than 178,956,970 pixels, which otherwise are refused: a tiny file may claim them",
    )  # fmt: skip


def number(kind, low, high=None):
    """An argparse type: a number of `kind` (int or float) from `low` to `high`, ends included."""

    bounds = f"at least {low}" if high is None else f"from {low} to {high}"

    def parse(text):
        try:
            value = kind(text)
            if not isfinite(value):
                raise ValueError
        except (ValueError, OverflowError):
            raise ArgumentTypeError(f"{text!r} is not a {'whole ' if kind is int else ''}number") from None
        if not low <= value <= (inf if high is None else high):
            raise ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return parse
