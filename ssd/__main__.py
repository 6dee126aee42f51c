"""`ssd300 COMMAND`, also `python -m ssd COMMAND`: each command is the module of that name in `ssd/commands`."""

import sys
from importlib import import_module
from pathlib import Path

from ssd.commands.arguments import command, parser

COMMANDS = {
    "data": "check a data set and write the data lists that training and evaluation read",
    "train": "train a detector on data lists",
    "eval": "measure a detector's VOC mAP",
    "detect": "find objects in pictures and videos",
    "app": "serve a page to drop pictures on",
    "export": "write a model for other runtimes, as ONNX or a torch.export program",
    "convert": "turn weights of other projects into a checkpoint",
    "explain": "show on a picture how SSD300 works, as one page",
    "curves": "draw the curves of a training run again",
}


@command
def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    program = "python -m ssd" if Path(sys.argv[0]).name == "__main__.py" else "ssd300"
    p = parser("Train, measure and run SSD300, the single-shot multibox detector.")
    p.prog = program
    commands = p.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    name = p.parse_args(argv[:1]).command
    sys.argv[0] = f"{program} {name}"  # argparse shows it as the name of the program
    return import_module(f"ssd.commands.{name}").main(argv[1:])


if __name__ == "__main__":
    sys.exit(main())
