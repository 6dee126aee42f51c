"""Writes the data lists that training and evaluation read."""

import os
import sys
from pathlib import Path

from ssd.commands.arguments import add_picture_arguments, check_writable, command, number, parser
from ssd.config import VOC_CLASSES
from ssd.data import write_data_lists
from ssd.data.build import FORMATS, check_splits, read_classes, read_published, read_splits
from ssd.data.download import download_voc
from ssd.data.images import lift_pixel_limit, picture_endings
from ssd.data.lists import label_images
from ssd.data.overview import count_notes, draw_samples, report
from ssd.files import write_text
from ssd.text import one_line

NOTES_SHOWN = 20  # on the terminal; the report has all


def parse(argv):
    p = parser("Check a data set, and write the data lists that training and evaluation read, with a report on it.")
    g = p.add_argument_group("data set, one of")
    g.add_argument("--voc07", metavar="DIR", help="VOC2007: its trainval is trained on, its test is the test list")
    g.add_argument("--voc12", metavar="DIR", help="VOC2012, with --voc07: its trainval is trained on too")
    g.add_argument("--download", metavar="DIR", help="the same two, fetched into this folder first (2.9 GB)")
    g.add_argument("--voc", metavar="DIR", help="another data set with XML files as VOC's: labelImg, CVAT, Roboflow")
    g.add_argument("--coco", metavar="PATH", help="COCO's format: a JSON file, or the folder of one for each split")
    g.add_argument("--yolo", metavar="PATH", help="YOLO's format: data.yaml, or the folder that it is in")
    g.add_argument("--supervisely", metavar="DIR", help="the folder of a Supervisely project")
    g.add_argument("--mirror", metavar="URL", action="append", help="of --download: a folder that has VOC's archives")

    g = p.add_argument_group("training and test images")
    splits = "a file in ImageSets/Main or a folder (VOC), a JSON (COCO), a key of data.yaml, a folder or a list (YOLO)"
    splits += ", or a folder (Supervisely)"
    g.add_argument(
        "--train", "--train-split", metavar="NAME", help=f"{splits} (default: the usual names; VOC: trainval)"
    )
    g.add_argument("--test", "--test-split", metavar="NAME", help="the same for the test images (VOC: test)")
    g.add_argument(
        "--test-fraction",
        type=number(float, 0, 1),
        metavar="F",
        help="test with this share of all images, or of --train's",
    )
    g.add_argument("--seed", type=number(int, 0), default=0, help="which images --test-fraction chooses")
    g.add_argument("--images", metavar="DIR", help="the pictures' folder, where it is not the format's own")

    g = p.add_argument_group("classes")
    g.add_argument("--classes", metavar="A,B,...", help="their names in order, or a file of them (default: discovered)")
    g.add_argument("--ignore-unknown", action="store_true", help="drop objects of other classes than --classes")

    g = p.add_argument_group("checks and output")
    g.add_argument("--no-verify", action="store_true", help="do not decode the pictures")
    g.add_argument(
        "--workers", type=number(int, 1), default=os.cpu_count() or 1, help="pictures that are decoded at a time"
    )
    add_picture_arguments(g)
    g.add_argument("--pictures", metavar="FILE", help="write some training pictures with their boxes as one picture")
    g.add_argument("--output", metavar="DIR", default="data", help="folder for the lists and report.txt")
    args = p.parse_args(argv)
    check_arguments(p, args)
    return args


def check_arguments(p, args):
    """Ends with argparse's one line where options do not go together."""
    given = [f"--{name}" for name in (*FORMATS, "voc07", "voc12", "download") if getattr(args, name)]
    own = [args.train, args.test, args.test_fraction, args.images, args.classes]
    is_picture = not args.pictures or Path(args.pictures).suffix.lower() in picture_endings()
    for is_wrong, message in (
        (not given, "name a data set: --voc, --coco, --yolo, --supervisely, --voc07 or --download"),
        (given == ["--voc12"], "--voc12 wants --voc07, which has the test images"),
        (len(given) > 1 and given != ["--voc07", "--voc12"], f"{' and '.join(given)} do not go together"),
        (is_published(args) and any(own), "VOC has its own images, splits and classes; --voc DIR takes others"),
        (args.test and args.test_fraction is not None, "--test and --test-fraction do not go together"),
        (args.test_fraction in (0, 1), "--test-fraction is the share of test images, between 0 and 1"),
        (args.mirror and not args.download, "--mirror goes with --download"),
        (args.ignore_unknown and not (args.classes or is_published(args)), "--ignore-unknown goes with --classes"),
        (not is_picture, f"--pictures {args.pictures}: the name must end as a picture's, as .jpg or .png"),
    ):
        if is_wrong:
            p.error(message)


def is_published(args):
    """Whether the data set is VOC's own, whose objects are taken as they are, for figures that can be compared."""
    return bool(args.voc07 or args.download)


@command
def main(argv=None):
    args = parse(argv)
    if args.no_pixel_limit:
        lift_pixel_limit()
    for folder in filter(None, (args.output, args.download, args.pictures and Path(args.pictures).parent)):
        check_writable(folder)
    class_names = VOC_CLASSES if is_published(args) else read_classes(args.classes) if args.classes else None
    splits, notes = read(args, class_names)
    workers = 0 if args.no_verify else args.workers
    splits, class_names, notes = check_splits(
        splits, notes, class_names, args.ignore_unknown, keep_duplicates=is_published(args), workers=workers
    )
    lists = {split: label_images(images, class_names) for split, images in splits.items()}
    write_data_lists(args.output, **lists)
    write_text(Path(args.output) / "report.txt", report(lists, notes))
    if args.pictures:
        Path(args.pictures).parent.mkdir(parents=True, exist_ok=True)
        draw_samples(lists["train"]).save(args.pictures)
    print_summary(args.output, lists, notes)


def read(args, class_names):
    """The images of "train" and "test" of the data set that the arguments name, and notes."""
    if is_published(args):
        folders = download_voc(args.download, args.mirror or ()) if args.download else (args.voc07, args.voc12)
        return read_published(*folders)
    kind = next(kind for kind in FORMATS if getattr(args, kind))
    return read_splits(
        kind, getattr(args, kind), args.train, args.test, args.test_fraction, args.seed, args.images, class_names
    )


def print_summary(output, lists, notes):
    """The report in short."""
    for note in notes[:NOTES_SHOWN]:
        print(one_line(str(note)))
    if len(notes) > NOTES_SHOWN:
        print(f"and {len(notes) - NOTES_SHOWN} more like these in the report: {count_notes(notes)} in all")
    for split, data in lists.items():
        n_difficult = data.difficulties.sum()
        print(f"{split}: {len(data)} images, {len(data.labels)} objects, {n_difficult} of them difficult")
    class_names = lists["train"].class_names
    print(one_line(f"{len(class_names)} classes: {', '.join(class_names)}"))
    print(f"data lists: {output}, report: {Path(output) / 'report.txt'}")


if __name__ == "__main__":
    sys.exit(main())
