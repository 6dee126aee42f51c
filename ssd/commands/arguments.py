"""What the commands share: exit statuses, the parser, and types of arguments."""

import functools
import io
import os
import signal
import sys
import warnings
from argparse import Action, ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, _ArgumentGroup
from collections.abc import Callable
from math import inf, isfinite
from typing import NoReturn

import ssd
from ssd.errors import InputError
from ssd.inference.device import PRECISIONS
from ssd.text import one_line

Arguments = ArgumentParser | _ArgumentGroup  # either takes `add_argument`
Main = Callable[[list[str] | None], int | None]


def command(main: Main) -> Callable[..., int]:
    """Wrap `main(argv=None)` so that it returns an exit status.

    0: done. 2: bad input, explained in one line on stderr. 130: interrupted with Ctrl-C; or what a shell returns for
    the signal whose number the KeyboardInterrupt has. Any other exception is a bug and keeps its traceback.
    """

    @functools.wraps(main)
    def wrapper(argv: list[str] | None = None) -> int:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # the terminal may be unable to show a class name
        warnings.filterwarnings("ignore", module=r"PIL\.")  # they do not name the picture
        try:
            return main(argv) or 0
        except (InputError, OSError) as error:
            print("error:", one_line(_sentence(error)), file=sys.stderr)
            return 2
        except KeyboardInterrupt as interrupt:
            print("interrupted", file=sys.stderr)
            return 128 + (*interrupt.args, signal.SIGINT)[0]
        except SystemExit as exit:  # argparse has printed its message
            return int(exit.code or 0)

    return wrapper


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    # An error in a worker process of a DataLoader arrives as its whole traceback; our sentence comes last.
    return str(error).strip().rpartition("InputError: ")[2]


class _HelpFormatter(ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action: Action) -> str | None:
        help = action.help or ""
        is_clear = action.default is None or action.default is False or "(default" in help
        return help if is_clear else super()._get_help_string(action)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (--help lists the arguments)\n")


def parser(description: str, examples: str | None = None) -> ArgumentParser:
    """An `ArgumentParser` that shows every default in its help and every error in one line.

    examples: lines for the end of the help, shown as they are; %(prog)s is how the user called the program.
    """
    p = _Parser(prog=program_name(), description=description, epilog=examples, formatter_class=_HelpFormatter)
    p.add_argument("--version", action="version", version=f"ssd300 {ssd.__version__}")
    return p


def program_name() -> str:
    """How the user called this program: `python train.py`, `python -m ssd.commands.train`, `ssd300 train`."""
    name, spec = os.path.basename(sys.argv[0]), getattr(sys.modules["__main__"], "__spec__", None)
    if not name.endswith(".py"):  # `ssd300` and other doors write their names into sys.argv
        return name
    return f"python -m {spec.name}" if spec and spec.name.startswith("ssd.") else f"python {name}"


def add_threshold_arguments(p: Arguments, min_score: float = 0.2) -> None:
    """The arguments that choose detections."""
    p.add_argument("--min-score", type=number(float, 0, 1), default=min_score, help="score a detection must exceed")
    p.add_argument(
        "--max-overlap", type=number(float, 0, 1), default=0.45,
        help="of two detections of a class whose IoU exceeds this, only the better one is kept",
    )  # fmt: skip
    p.add_argument("--top-k", type=number(int, 1), default=200, help="most detections in a picture")


def add_device_arguments(p: Arguments, precision: str = "auto") -> None:
    """Add the arguments of `choose_device` and `choose_precision`."""
    p.add_argument("--device", help="cpu, cuda, cuda:1, ... (default: cuda if there is a GPU)")
    p.add_argument(
        "--precision", choices=PRECISIONS, default=precision, help="auto means bf16 if the hardware is fast at it"
    )


def add_loading_arguments(p: Arguments, batch_size: int) -> None:
    """Add the arguments of a DataLoader."""
    p.add_argument("--batch-size", type=number(int, 1), default=batch_size, help="images in a batch")
    p.add_argument(
        "--workers", type=number(int, 0), default=min(8, (os.cpu_count() or 2) // 2), help="processes that load images"
    )


def add_picture_arguments(p: Arguments) -> None:
    """Add `--no-pixel-limit`, for which a command must call `lift_pixel_limit`."""
    p.add_argument(
        "--no-pixel-limit", action="store_true",
        help="also read pictures of more than 178,956,970 pixels, which are refused because a tiny file may claim them",
    )  # fmt: skip


def number(
    kind: type[int] | type[float], low: float, high: float | None = None, without: float | None = None
) -> Callable[[str], float]:
    """An argparse type: a number of `kind` from `low` to `high`, both included, but not the number `without`."""
    bounds = f"at least {low}" if high is None else f"from {low} to {high}"
    bounds += "" if without is None else f", {without} excluded"

    def parse(text: str) -> float:
        try:
            value = kind(text)
            if not isfinite(value):
                raise ValueError
        except (ValueError, OverflowError):
            raise ArgumentTypeError(f"{text!r} is not a {'whole ' if kind is int else ''}number") from None
        if not low <= value <= (inf if high is None else high) or value == without:
            raise ArgumentTypeError(f"{text} is not {bounds}")
        return value

    return parse
