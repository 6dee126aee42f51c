"""`ssd300 app`: serves a page that finds objects in the pictures dropped on it."""

import sys
import time
from argparse import Namespace

from ssd.app.results import load_models
from ssd.app.server import check_server, pictures_in, serving
from ssd.commands.arguments import add_device_arguments, add_picture_arguments, command, number, parser
from ssd.data.images import lift_pixel_limit
from ssd.interrupt import interrupted_by_signals
from ssd.pretrained import CHECKPOINT_HELP

EXAMPLES = """\
examples:
  %(prog)s                                             with the newest model of yours
  %(prog)s --checkpoint coco --examples holidays       with torchvision's model of 80 classes, and pictures to choose
  %(prog)s --checkpoint runs/1/best.pth runs/2/best.pth        two models side by side
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Serve a page that finds objects in pictures and videos, on this machine alone.", EXAMPLES)
    p.add_argument("--checkpoint", nargs="+", metavar="MODEL", help=f"{CHECKPOINT_HELP}; several are compared")
    p.add_argument(
        "--examples", metavar="FOLDER",
        help="pictures that the page offers (default: drawn shapes, if a model knows those)",
    )  # fmt: skip
    p.add_argument("--host", default="127.0.0.1", help="address to serve at; 0.0.0.0 lets other machines in")
    p.add_argument("--port", type=number(int, 1, 65535), default=7860, help="port to serve at")
    p.add_argument("--max-upload", type=number(int, 1), default=500, metavar="MB", help="largest file that can be sent")
    add_picture_arguments(p)
    add_device_arguments(p)
    return p.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    check_server(args.host, args.port)
    examples = pictures_in(args.examples) if args.examples else None
    if args.no_pixel_limit:
        lift_pixel_limit()
    models = load_models(args.checkpoint or [None], args.device, args.precision, tell=print)
    with (
        interrupted_by_signals(),  # so that temporary files are removed
        serving(models, examples, args.host, args.port, args.max_upload) as address,
    ):
        print(f"The page is at {address} until Ctrl-C.", flush=True)
        while True:
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
