"""`ssd300 detect`: finds objects in pictures and videos, draws them, and writes down what was found."""

import sys
import time
from argparse import ArgumentTypeError, Namespace
from functools import partial
from pathlib import Path

from ssd.commands.arguments import (
    add_device_arguments,
    add_picture_arguments,
    add_threshold_arguments,
    command,
    number,
    parser,
)
from ssd.data.build import read_classes
from ssd.data.images import lift_pixel_limit
from ssd.detector import BATCH_SIZE, Detector, read_thresholds
from ssd.files import check_writable, create_next, next_free
from ssd.media.annotator import Annotator, summary
from ssd.media.folder import DEFAULT, OutputFolder
from ssd.media.journal import JOURNAL, Records, append
from ssd.media.outputs import SAVED_AS, check_formats, check_output, output_names, save_records, written_files
from ssd.media.sources import describe_sources, film_ending, find_sources
from ssd.media.video import import_av
from ssd.pretrained import CHECKPOINT_HELP, describe_model, find_checkpoint, load_trained, model_line

EXAMPLES = """\
examples:
  %(prog)s photo.jpg                                   with the newest model of yours
  %(prog)s holidays film.mp4 --checkpoint coco         with torchvision's model of 80 classes
  %(prog)s 0                                           what the first camera sees, until Ctrl-C
  %(prog)s 'shop/*.jpg' --classes person,dog --output found --save json,csv --no-pictures
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Find objects in pictures and videos.", EXAMPLES)
    p.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="picture, folder of pictures, pattern such as 'photos/*.jpg', video or animation, number of a camera (0: "
        "the first), http(s):// or rtsp(s):// address, list of paths and addresses (.txt, one a line), or *_images.json"
        " of data lists",
    )  # fmt: skip
    p.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    p.add_argument(
        "--output", help="folder for the annotated copies and the detections (default: the next free detections/N)"
    )
    p.add_argument(
        "--overwrite", action="store_true", help="remove earlier results in the folder, and nothing else there"
    )
    p.add_argument(
        "--save", type=formats, metavar="FORMATS", default="json",
        help=f"formats of the detections, separated by commas: {', '.join(SAVED_AS)}",
    )  # fmt: skip
    p.add_argument("--no-pictures", action="store_true", help="write the detections alone, no annotated copies")
    p.add_argument("--classes", metavar="A,B,...", help="find these classes alone (default: all of the model)")
    p.add_argument("--recursive", action="store_true", help="look for pictures in subfolders too")
    add_threshold_arguments(p)
    p.add_argument(
        "--thresholds", metavar="FILE",
        help="scores by class, {\"cat\": 0.4, ...}, as eval.py --save-thresholds writes them, in place of --min-score",
    )  # fmt: skip
    p.add_argument("--batch-size", type=number(int, 1), default=BATCH_SIZE, help="pictures at a time")
    add_picture_arguments(p)
    add_device_arguments(p)
    return p.parse_args(argv)


def formats(text: str) -> list[str]:
    """An argparse type: some of SAVED_AS, separated by commas."""
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in SAVED_AS]:
        raise ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(SAVED_AS)}")
    return names


@command
def main(argv: list[str] | None = None) -> int:
    args = parse(argv)
    output = Path(args.output) if args.output else next_free(DEFAULT)
    check_writable(output)
    sources = find_sources(args.sources, args.recursive, leave_out=output if args.output else DEFAULT)
    copies = {} if args.no_pictures else output_names(sources.pictures, sources.videos)
    check_output(output, copies)
    check_formats(args.save, sources)
    if any(film_ending(video) == ".mp4" for video in sources.videos):
        import_av()
    if args.no_pixel_limit:
        lift_pixel_limit()
    checkpoint = find_checkpoint(args.checkpoint)
    trained = load_trained(checkpoint, args.device, args.precision, tell=print)
    detector = Detector(trained, args.device, args.precision)
    chosen = detector.only(read_classes(args.classes)) if args.classes else detector
    scores = read_thresholds(args.thresholds, detector.config) if args.thresholds else {}
    found_names = filter(None, chosen.config.class_names)
    min_score = {name: scores.get(name, args.min_score) for name in found_names}
    saved = written_files(args.save, sources)
    model = describe_model(checkpoint, detector.config)
    output = output if args.output else create_next(DEFAULT)  # another process may have taken it meanwhile
    journal = output / JOURNAL.format(0)
    folder = OutputFolder(output, model, [*copies.values(), *saved, journal.name], args.overwrite)
    journal.write_bytes(b"")
    engine = chosen.predictor.engine
    print(f"{model_line(checkpoint, chosen.config)}; {engine}; {describe_sources(sources)}", flush=True)

    find = partial(chosen.find, min_score=min_score, max_overlap=args.max_overlap, top_k=args.top_k)
    write = partial(append, journal)
    annotator, start = Annotator(chosen.prepare, find, output, copies, write, args.batch_size), time.perf_counter()
    try:
        if sources.pictures:
            annotator.pictures(sources.pictures)
        for video in sources.videos:
            annotator.video(video)
    finally:  # what was found until an interruption is kept
        records = Records([journal], [*sources.pictures, *sources.videos])
        notes = save_records(output, records, args.save, detector.config.class_names, sources.names)
    folder.note([*{entry["annotated"] for entry in records} - {None}, *saved])
    journal.unlink()
    print(*notes, summary(annotator.counts, time.perf_counter() - start), sep="\n")
    kinds = [SAVED_AS[name] for name in args.save]
    print(f"{', '.join(kinds if args.no_pictures else ['annotated copies', *kinds])}: {output}")
    return 2 if annotator.counts["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
