"""`python -m ssd COMMAND`, installed as `ssd300 COMMAND`."""

import sys
from importlib import import_module

COMMANDS = {
    "data": "check a data set and write its data lists",
    "train": "train a detector",
    "eval": "measure its VOC mAP",
    "detect": "find objects in pictures and videos",
    "export": "write a model for other runtimes",
    "convert": "read other people's weights",
    "curves": "draw the curves of a run anew",
}


def main(argv: list[str] | None = None) -> int:
    """Run a command. Returns its exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] not in COMMANDS:
        print("usage: ssd300 COMMAND ...", *(f"  {name:<8} {text}" for name, text in COMMANDS.items()), sep="\n")
        return 0 if argv[:1] in (["-h"], ["--help"]) else 2
    return import_module(f"ssd.commands.{argv[0]}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
