"""`ssd300 detect`: finds objects in pictures and videos, draws them, and writes down what was found."""

import sys
import time
from argparse import ArgumentTypeError, Namespace
from contextlib import nullcontext, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TextIO

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
from ssd.distributed import first_process_first, from_first, n_processes, process_group, rank
from ssd.errors import InputError
from ssd.files import check_writable, create_next, newest_numbered, next_free
from ssd.interrupt import interrupted_by_signals
from ssd.media.annotator import Annotator, summary
from ssd.media.folder import DEFAULT, OutputFolder, describe_job
from ssd.media.job import Job
from ssd.media.journal import append
from ssd.media.outputs import SAVED_AS, check_formats, check_output, output_names, written_files
from ssd.media.sources import Source, Sources, describe_sources, film_ending, find_sources
from ssd.media.video import import_av
from ssd.media.window import Window, WindowClosed
from ssd.pretrained import CHECKPOINT_HELP, describe_model, find_checkpoint, load_trained, model_line

COMPARED = ("min_score", "max_overlap", "top_k", "precision", "no_pictures")  # more options that decide the results
PATIENCE = timedelta(weeks=1)  # a process that is done waits for another one that has a long film

EXAMPLES = """\
examples:
  %(prog)s photo.jpg                                   with the newest model of yours
  %(prog)s holidays film.mp4 --checkpoint coco         with torchvision's model of 80 classes
  %(prog)s 0 --show                                    what the first camera sees, in a window
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
    earlier = p.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume", action="store_true",
        help="continue the job in the folder (without --output in the newest of detections/): find what is missing",
    )  # fmt: skip
    earlier.add_argument(
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
    p.add_argument(
        "--show", action="store_true",
        help="show in a window what is found. q, Escape or its cross ends the work: what was found is kept, and the "
        "exit status is 0. After the last picture the window stays until then",
    )  # fmt: skip
    p.add_argument(
        "--batch-size", type=number(int, 1), help=f"pictures at a time (default: {BATCH_SIZE}, with --show 1)"
    )
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
    with (
        suppress(WindowClosed),
        interrupted_by_signals(),
        process_group(args.device, PATIENCE) as device,
        Window() if args.show else nullcontext() as window,
    ):
        return run(args, args.device if n_processes() == 1 else str(device), window)
    return 0


def check_arguments(args: Namespace) -> tuple[Path, Sources, dict[Source, str]]:
    """The output folder, the sources, and the names of their copies, checked before the model is loaded."""
    output = Path(args.output) if args.output else newest_numbered(DEFAULT) if args.resume else next_free(DEFAULT)
    if args.show and n_processes() > 1:
        raise InputError("--show is for one process; leave it out, or torchrun")
    if output is None:
        raise InputError(f"{DEFAULT}: holds no job to continue; name its folder with --output")
    check_writable(output)
    sources = find_sources(args.sources, args.recursive, leave_out=output if args.output else DEFAULT)
    copies = {} if args.no_pictures else output_names(sources.pictures, sources.videos)
    check_output(output, copies)
    check_formats(args.save, sources)
    if any(film_ending(video) == ".mp4" for video in sources.videos):
        import_av()
    return output, sources, copies


def tell(text: str, file: TextIO | None = None) -> None:
    """Print a line in the first process."""
    if rank() == 0:
        print(text, file=file, flush=True)


def run(args: Namespace, device: str | None, window: Window | None) -> int:
    """Do this process's share of the work, and in the first process what is done once. Returns the exit status."""
    output, sources, copies = check_arguments(args)
    if args.no_pixel_limit:
        lift_pixel_limit()
    with first_process_first():  # it may have weights to download
        checkpoint = find_checkpoint(args.checkpoint)
        trained = load_trained(checkpoint, device, args.precision, tell=tell)
    detector = Detector(trained, device, args.precision)
    chosen = detector.only(read_classes(args.classes)) if args.classes else detector
    scores = read_thresholds(args.thresholds, detector.config) if args.thresholds else {}
    found_names = list(filter(None, chosen.config.class_names))
    options = {"save": sorted(args.save), "thresholds": scores, "classes": found_names}
    description = describe_job(sources, options | {name: getattr(args, name) for name in COMPARED})

    def open_folder() -> OutputFolder:
        path = output if args.output or args.resume else create_next(DEFAULT)  # another job may have taken it meanwhile
        model = describe_model(checkpoint, detector.config)
        files = [*copies.values(), *written_files(args.save, sources)]
        return OutputFolder(path, model, description, sources, files, args.overwrite, args.resume)

    folder = from_first(open_folder)
    if folder.job != description:
        raise InputError("the processes of this job do not see the same sources or options; give all the same")
    engine = chosen.predictor.engine
    tell(f"{model_line(checkpoint, chosen.config)}; {engine}; {describe_sources(sources)}")
    if folder.is_finished:
        tell(f"{folder.path}: nothing is missing")
        return 0

    min_score = {name: scores.get(name, args.min_score) for name in found_names}
    find = partial(chosen.find, min_score=min_score, max_overlap=args.max_overlap, top_k=args.top_k)
    write = partial(append, folder.journal(rank()))
    size, show = args.batch_size or (1 if window else BATCH_SIZE), window.show if window else None
    annotator = Annotator(chosen.prepare, find, folder.path, copies, write, size, show=show)
    status = work(args, Job(folder, sources, args.save, detector.config.class_names), annotator)
    if window:
        window.wait()
    return status


def work(args: Namespace, job: Job, annotator: Annotator) -> int:
    """Do this process's share, and print what all have done. Returns the exit status."""
    start, folder = time.perf_counter(), job.folder.path
    try:
        counts = job.run(annotator)
    except KeyboardInterrupt:
        more = ", and --resume continues" if job.folder.journals() else ""  # none for a camera
        tell(f"stopped; {folder} keeps what was found{more}", file=sys.stderr)
        raise

    def end() -> None:
        notes = job.save()
        done = ("this time: " if args.resume else "") + summary(counts, time.perf_counter() - start)
        again = "; --resume tries them again" if counts["bad"] else ""
        print(*notes, done + again, sep="\n")
        kinds = [SAVED_AS[name] for name in args.save]
        print(f"{', '.join(kinds if args.no_pictures else ['annotated copies', *kinds])}: {folder}", flush=True)

    from_first(end)  # the others wait: as soon as one exits with status 2, torchrun ends all
    return 2 if counts["bad"] else 0


if __name__ == "__main__":
    sys.exit(main())
