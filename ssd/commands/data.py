"""Checks a data set and writes the data lists that training and evaluation read."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

from ssd.commands.arguments import add_picture_arguments, command, number, parser
from ssd.config import VOC_CLASSES
from ssd.data import DataList, write_data_lists
from ssd.data.build import FORMATS, DataSource, check_splits, read_classes, read_published, read_splits
from ssd.data.check import Splits
from ssd.data.download import download_voc
from ssd.data.formats.records import Note
from ssd.data.images import lift_pixel_limit, picture_endings
from ssd.data.lists import SPLITS, label_images
from ssd.data.overview import count_notes, draw_samples, report
from ssd.files import check_writable, write_text
from ssd.text import counted, one_line

NOTES_SHOWN = 20  # on the terminal; all are in the report

EXAMPLES = """\
examples:
  %(prog)s --voc photos --test-fraction 0.2       XML files beside their pictures or below
  %(prog)s --coco annotations.json --images photos --test-fraction 0.2
  %(prog)s --yolo birds/data.yaml --output lists/birds
  %(prog)s --download VOC                         VOC2007 and VOC2012 themselves
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser(
        "Check a data set, and write the data lists that training and evaluation read, with a report on it.", EXAMPLES
    )
    g = p.add_argument_group("data set, one of")
    g.add_argument("--voc07", metavar="DIR", help="VOC2007: its trainval becomes the training list, its test the test")
    g.add_argument("--voc12", metavar="DIR", help="VOC2012: its trainval joins the training list of --voc07")
    g.add_argument("--download", metavar="DIR", help="download VOC2007 and VOC2012 into this folder first (2.9 GB)")
    g.add_argument("--voc", metavar="DIR", help="another data set with VOC's XML files: labelImg, CVAT, Roboflow")
    g.add_argument("--coco", metavar="PATH", help="COCO's format: a JSON file, or a folder with one for each split")
    g.add_argument("--yolo", metavar="PATH", help="YOLO's format: data.yaml, or its folder")
    g.add_argument("--supervisely", metavar="DIR", help="folder of a Supervisely project")
    g.add_argument(
        "--csv", metavar="FILE",
        help="a table with the columns image, name or class, x_min, y_min, x_max, y_max, in pixels or fractions, such "
        "as detect.py --save csv writes",
    )  # fmt: skip
    g.add_argument("--mirror", metavar="URL", action="append", help="for --download: a folder with VOC's archives")

    g = p.add_argument_group("training, validation and test images")
    g.add_argument(
        "--train", "--train-split", metavar="NAME",
        help="a file in ImageSets/Main or a folder (VOC), a JSON (COCO), a key of data.yaml, a folder or a list "
        "(YOLO), a folder (Supervisely), a file (CSV) (default: the usual names; VOC: trainval, or train beside --val)",
    )  # fmt: skip
    g.add_argument("--test", "--test-split", metavar="NAME", help="the same for the test images (VOC: test)")
    g.add_argument(
        "--val", "--val-split", metavar="NAME",
        help="the same for images to choose the best model by (default: training chooses by the test images)",
    )  # fmt: skip
    share = number(float, 0, 1)
    g.add_argument("--test-fraction", type=share, metavar="F", help="share of all images, or of --train's, for --test")
    g.add_argument("--val-fraction", type=share, metavar="F", help="share of these, or of the training list, for --val")
    g.add_argument("--seed", type=number(int, 0), default=0, help="random seed for the fractions")
    g.add_argument("--images", metavar="DIR", help="folder of the pictures, if not the format's own")

    g = p.add_argument_group("classes")
    g.add_argument("--classes", metavar="A,B,...", help="in order, or a file with one a line (default: those found)")
    g.add_argument("--ignore-unknown", action="store_true", help="drop the objects of classes not in --classes")

    g = p.add_argument_group("checks and output")
    g.add_argument("--one-object", action="store_true", help="keep only the images with exactly one object")
    g.add_argument("--no-verify", action="store_true", help="do not decode the pictures")
    g.add_argument("--workers", type=number(int, 1), default=os.cpu_count() or 1, help="pictures to decode at a time")
    add_picture_arguments(g)
    g.add_argument("--pictures", metavar="FILE", help="draw some training pictures with their boxes into this file")
    g.add_argument("--output", metavar="DIR", default="data", help="folder for the data lists and report.txt")
    args = p.parse_args(argv)
    check_arguments(p, args)
    return args


def check_arguments(p: ArgumentParser, args: Namespace) -> None:
    """Exits with argparse's one line where options do not go together."""
    given = [f"--{name}" for name in (*FORMATS, "voc07", "voc12", "download") if getattr(args, name)]
    own = [args.train, args.test, args.val, args.test_fraction, args.images, args.classes]
    fractions = shares(args).values()
    is_picture = not args.pictures or Path(args.pictures).suffix.lower() in picture_endings()
    for is_wrong, message in (
        (not given, "name a data set: --voc, --coco, --yolo, --supervisely, --csv, --voc07 or --download"),
        (given == ["--voc12"], "--voc12 needs --voc07, which has the test images"),
        (len(given) > 1 and given != ["--voc07", "--voc12"], f"{' and '.join(given)} do not go together"),
        (is_published(args) and any(own), "VOC has its own images, splits and classes; for others, use --voc DIR"),
        (args.test and args.test_fraction is not None, "--test and --test-fraction do not go together"),
        (args.val and args.val_fraction is not None, "--val and --val-fraction do not go together"),
        (
            args.val and args.test_fraction is not None and not args.train,
            "--val and --test-fraction need --train, or the images of --val are divided too",
        ),
        (0 in fractions, "--test-fraction and --val-fraction are shares of the images, between 0 and 1"),
        (sum(fractions) >= 1, "--test-fraction and --val-fraction leave no training images; give less than 1 in all"),
        (args.mirror and not args.download, "--mirror goes with --download"),
        (args.ignore_unknown and not (args.classes or is_published(args)), "--ignore-unknown goes with --classes"),
        (not is_picture, f"--pictures {args.pictures}: the name must end like a picture's, in .jpg or .png"),
    ):
        if is_wrong:
            p.error(message)


def shares(args: Namespace) -> dict[str, float]:
    """Split -> the fraction that is given for it."""
    given = {"test": args.test_fraction, "val": args.val_fraction}
    return {split: fraction for split, fraction in given.items() if fraction is not None}


def is_published(args: Namespace) -> bool:
    """Whether the data set is VOC itself, whose objects are all kept so that results can be compared."""
    return bool(args.voc07 or args.download)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.no_pixel_limit:
        lift_pixel_limit()
    for folder in filter(None, (args.output, args.download, args.pictures and Path(args.pictures).parent)):
        check_writable(folder)
    class_names = VOC_CLASSES if is_published(args) else read_classes(args.classes) if args.classes else None
    splits, notes = read(args, class_names)
    workers = 0 if args.no_verify else args.workers
    splits, class_names, notes = check_splits(
        splits,
        notes,
        class_names,
        args.ignore_unknown,
        keep_duplicates=is_published(args),
        one_object=args.one_object,
        workers=workers,
    )
    lists = {split: label_images(images, class_names) for split, images in splits.items()}
    write_data_lists(args.output, **lists)
    write_text(Path(args.output) / "report.txt", report(lists, notes))
    if args.pictures:
        Path(args.pictures).parent.mkdir(parents=True, exist_ok=True)
        draw_samples(lists["train"]).save(args.pictures)
    print_summary(args.output, lists, notes)


def read(args: Namespace, class_names: Sequence[str] | None) -> tuple[Splits, list[Note]]:
    """The images of each split of the data set that the arguments name, and notes."""
    if is_published(args):
        voc07, voc12 = download_voc(args.download, args.mirror or ()) if args.download else (args.voc07, args.voc12)
        return read_published(voc07, voc12, args.val_fraction, args.seed)
    kind = next(kind for kind in FORMATS if getattr(args, kind))
    names = {split: name for split in SPLITS if (name := getattr(args, split))}
    source = DataSource(kind, getattr(args, kind), args.images, class_names)
    return read_splits(source, names, shares(args), args.seed)


def print_summary(output: str, lists: dict[str, DataList], notes: Sequence[Note]) -> None:
    """Print the report in short."""
    for note in notes[:NOTES_SHOWN]:
        print(one_line(str(note)))
    if len(notes) > NOTES_SHOWN:
        print(f"and {len(notes) - NOTES_SHOWN} more like these in the report: {count_notes(notes)} in all")
    for split, data in lists.items():
        n_difficult = data.difficulties.sum()
        crowds = f", {counted(len(data.crowds), 'crowd')}" if len(data.crowds) else ""
        objects = counted(len(data.labels), "object")
        print(f"{split}: {counted(len(data), 'image')}, {objects}, {n_difficult} of them difficult{crowds}")
    class_names = lists["train"].class_names
    print(one_line(f"{counted(len(class_names), 'class', 'classes')}: {', '.join(class_names)}"))
    print(f"data lists: {output}, report: {Path(output) / 'report.txt'}")


if __name__ == "__main__":
    sys.exit(main())
