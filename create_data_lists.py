"""Writes the data lists that training and evaluation read."""

import sys

from ssd.cli import command, parser
from ssd.config import VOC_CLASSES
from ssd.data import write_data_lists
from ssd.data.annotations import label_objects
from ssd.data.voc import read_voc
from ssd.errors import InputError


def parse(argv):
    p = parser("Write data lists from folders in the layout of Pascal VOC (Annotations, ImageSets/Main, JPEGImages).")
    p.add_argument("--voc07", metavar="DIR", help="VOC2007: its trainval is trained on, its test is the test list")
    p.add_argument("--voc12", metavar="DIR", help="VOC2012: its trainval is trained on too")
    p.add_argument("--voc", metavar="DIR", help="another data set in this layout; its classes are discovered")
    p.add_argument(
        "--train-split", default="trainval", help="file in ImageSets/Main of --voc that names the training images"
    )
    p.add_argument("--test-split", default="test", help="the same for the test images")
    p.add_argument("--output", default="data", help="folder for the lists")
    args = p.parse_args(argv)
    if args.voc and (args.voc07 or args.voc12):
        p.error("--voc does not go with --voc07 and --voc12")
    if not args.voc and not args.voc07:
        p.error("one of --voc and --voc07 is needed")
    return args


@command
def main(argv=None):
    args = parse(argv)
    if args.voc:
        sources = {"train": [(args.voc, args.train_split)], "test": [(args.voc, args.test_split)]}
        class_names = None
    else:
        sources = {"train": [(args.voc07, "trainval")], "test": [(args.voc07, "test")]}
        sources["train"] += [(args.voc12, "trainval")] if args.voc12 else []
        class_names = VOC_CLASSES

    splits = {split: read_sources(folders) for split, folders in sources.items()}
    class_names = class_names or discover(splits)
    lists = {
        split: (images, label_objects(images, objects, class_names)) for split, (images, objects) in splits.items()
    }
    write_data_lists(args.output, class_names, **lists)
    for split, (images, objects) in lists.items():
        n_objects = sum(len(entry["labels"]) for entry in objects)
        n_difficult = sum(sum(entry["difficulties"]) for entry in objects)
        print(f"{split}: {len(images)} images, {n_objects} objects, {n_difficult} of them difficult")
    print(f"{len(class_names)} classes: {', '.join(class_names)}")
    print(f"data lists: {args.output}")


def read_sources(folders):
    """The images and objects of several (folder, split). Prints what was dropped or repaired."""
    images, objects = [], []
    for folder, split in folders:
        more_images, more_objects, notes = read_voc(folder, split)
        images += more_images
        objects += more_objects
        print(*notes, sep="\n", end="\n" if notes else "")
    return images, objects


def discover(splits):
    """The names of all objects, sorted."""
    names = {name for _, objects in splits.values() for entry in objects for name in entry["names"]}
    if not names:
        raise InputError("no image has an object, so there is nothing to learn")
    return tuple(sorted(names))


if __name__ == "__main__":
    sys.exit(main())
