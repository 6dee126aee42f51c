"""`ssd300 explain`: shows on a picture how SSD300 works, as one page."""

import sys
from argparse import Namespace
from pathlib import Path

from ssd.commands.arguments import add_picture_arguments, command, parser
from ssd.data.images import lift_pixel_limit
from ssd.explain.sections import explain
from ssd.explain.subject import find_lists, find_model, read_subject
from ssd.files import check_destination, write_text
from ssd.text import one_line

EXAMPLES = """\
examples:
  %(prog)s photo.jpg                                         with the newest model of yours, or without one
  %(prog)s photo.jpg --checkpoint coco --output photo.html   with torchvision's model of 80 classes
  %(prog)s photos/0001.jpg --data lists/birds                with the objects of the data lists
  %(prog)s photo.jpg --annotation photo.xml                  with the objects of an annotation file
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Show on a picture how SSD300 works, as one HTML page that needs no other file.", EXAMPLES)
    p.add_argument("picture", metavar="PHOTO", help="picture, best of all one with objects that the model knows")
    p.add_argument(
        "--checkpoint",
        help="trained model; coco: torchvision's COCO weights, downloaded (default: the newest runs/*/best.pth; if "
        "there is none, the page has the sections that need no weights)",
    )  # fmt: skip
    p.add_argument(
        "--data",
        metavar="LISTS",
        help="data lists that may hold the picture (default: data, if there is such a folder)",
    )
    p.add_argument(
        "--annotation", metavar="FILE",
        help="annotation of the picture: .xml (VOC), .json (COCO, Supervisely) or .txt (YOLO). Without any "
        "objects, the model's detections stand in for them",
    )  # fmt: skip
    p.add_argument(
        "--results", metavar="PATH",
        help="detections in the whole test list, as eval --save-results writes them, to show how average precision is "
        "counted (default: the detections in the picture)",
    )  # fmt: skip
    p.add_argument("--output", metavar="FILE", default="explained.html", help="page to write")
    add_picture_arguments(p)
    return p.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    picture, output = Path(args.picture), Path(args.output)
    check_destination(picture, output)
    if args.no_pixel_limit:
        lift_pixel_limit()
    model, lists = find_model(args.checkpoint), find_lists(args.data)
    subject = read_subject(picture, model, lists, args.annotation, args.results)
    write_text(output, explain(subject))
    print(one_line(f"{output} is written. {subject.introduction}"))


if __name__ == "__main__":
    sys.exit(main())
