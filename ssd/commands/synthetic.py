"""`python -m ssd.data.synthetic`: draws a data set of shapes."""

import sys

from ssd.commands.arguments import command, number, parser
from ssd.data.scenes import STYLES
from ssd.data.synthetic import prepare_folder, summary, write_dataset

EXAMPLES = """\
examples:
  %(prog)s shapes
  %(prog)s shapes --images 2000 --style busy --seed 1 --force
"""


@command
def main(argv: list[str] | None = None) -> None:
    options = parser("Draw a data set of shapes in the layout of Pascal VOC.", EXAMPLES)
    options.prog = "python -m ssd.data.synthetic"
    options.add_argument("folder", metavar="DIR", help="a new or empty folder")
    options.add_argument("--images", type=number(int, 1), default=400, help="number of pictures")
    options.add_argument("--test-fraction", type=number(float, 0, 1), default=0.2, help="the share of test pictures")
    options.add_argument(
        "--style",
        choices=STYLES,
        default="plain",
        help="busy: more objects, which hide each other; takes longer to learn",
    )
    options.add_argument("--seed", type=number(int, 0), default=0, help="of the random numbers")
    options.add_argument("--force", action="store_true", help="replace a data set drawn earlier")
    args = options.parse_args(argv)
    prepare_folder(args.folder, args.force)
    scenes = write_dataset(args.folder, args.images, args.test_fraction, args.seed, args.style)
    print(f"{args.folder}: {summary(scenes)}")


if __name__ == "__main__":
    sys.exit(main())
