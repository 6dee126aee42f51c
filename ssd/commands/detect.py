"""`ssd300 detect`: finds objects in pictures and videos, draws them, and writes down what was found."""

import sys
import time
from argparse import ArgumentTypeError, Namespace
from pathlib import Path

from PIL import Image

from ssd.commands.arguments import (
    add_device_arguments,
    add_picture_arguments,
    add_threshold_arguments,
    command,
    number,
    parser,
)
from ssd.data.images import lift_pixel_limit
from ssd.detector import Detections, Detector
from ssd.media.annotator import Annotator
from ssd.media.outputs import FORMATS, check_formats, check_output, output_names, save_records
from ssd.media.sources import find_sources
from ssd.media.video import import_av
from ssd.pretrained import CHECKPOINT_HELP


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Find objects in pictures and videos.")
    p.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="picture, folder of pictures, pattern such as 'photos/*.jpg', video, list of paths (.txt, one a line), or "
        "*_images.json of data lists",
    )  # fmt: skip
    p.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    p.add_argument("--output", default="detections", help="folder for the annotated copies and the detections")
    p.add_argument(
        "--save", type=formats, metavar="FORMATS", default="json",
        help=f"formats of the detections, separated by commas: {', '.join(FORMATS)}",
    )  # fmt: skip
    p.add_argument("--recursive", action="store_true", help="look for pictures in subfolders too")
    add_threshold_arguments(p)
    p.add_argument("--batch-size", type=number(int, 1), default=8, help="pictures at a time")
    add_picture_arguments(p)
    add_device_arguments(p)
    return p.parse_args(argv)


def formats(text: str) -> list[str]:
    """An argparse type: some of FORMATS, separated by commas."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in FORMATS]:
        raise ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(FORMATS)}")
    return names


@command
def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    output = Path(args.output)
    pictures, videos = find_sources(args.sources, args.recursive, leave_out=output)
    names = output_names(pictures, videos)
    check_output(output, names)
    check_formats(args.save, pictures, videos)
    if videos:
        import_av()
    if args.no_pixel_limit:
        lift_pixel_limit()
    detector = Detector.from_checkpoint(args.checkpoint, args.device, args.precision)
    output.mkdir(parents=True, exist_ok=True)

    def find(images: list[Image.Image]) -> list[Detections]:
        return detector(images, min_score=args.min_score, max_overlap=args.max_overlap, top_k=args.top_k)

    annotator, start = Annotator(find, output, names, args.batch_size), time.perf_counter()
    try:
        if pictures:
            annotator.pictures(pictures)
        for video in videos:
            annotator.video(video)
    finally:  # what was found until an interruption is kept
        notes = save_records(output, annotator.records, args.save, detector.config.class_names)
    print(*notes, annotator.summary(time.perf_counter() - start), sep="\n")
    print(f"annotated copies, {', '.join(FORMATS[name] for name in args.save)}: {output}")
    return 2 if annotator.n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
