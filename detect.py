"""Finds objects in pictures: annotated copies and a JSON file. `detect` does it for one PIL image."""

import json
import sys
from collections import Counter
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ssd.cli import add_device_arguments, command, number, parser
from ssd.convert import CHECKPOINT_HELP, find_checkpoint
from ssd.data import load_image, read_images
from ssd.detector import Detector
from ssd.errors import InputError

BATCH_SIZE = 8


def detect(original_image, min_score=0.2, max_overlap=0.5, top_k=200, suppress=None, checkpoint=None):
    """An annotated copy of a picture.

    original_image: PIL image. min_score: the score a detection must exceed. max_overlap: IoU of the same class above
    which only the better one is kept. top_k: detections kept. suppress: names of classes (or one) to leave out.
    checkpoint: its path, or a `Detector`, which is not loaded anew for each picture; without one, the newest run's.
    Raises InputError on a class that the detector does not know.
    """
    detector = checkpoint if isinstance(checkpoint, Detector) else None
    detector = detector or Detector.from_checkpoint(find_checkpoint(checkpoint))
    suppress = {suppress} if isinstance(suppress, str) else set(suppress or ())
    if unknown := suppress - set(detector.config.class_names):
        known = ", ".join(filter(None, detector.config.class_names))
        raise InputError(f"suppress: unknown class {', '.join(sorted(unknown))}; the classes are {known}")
    return detector(original_image, min_score, max_overlap, top_k).without(suppress).draw(original_image)


def parse(argv):
    p = parser("Find objects in pictures.")
    p.add_argument("sources", nargs="+", metavar="SOURCE", help="picture, folder, or *_images.json of data lists")
    p.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    p.add_argument("--output", default="detections", help="folder for the annotated pictures and detections.json")
    p.add_argument("--min-score", type=number(float, 0, 1), default=0.2, help="score a detection must exceed")
    p.add_argument(
        "--max-overlap", type=number(float, 0, 1), default=0.45, help="IoU above which the better one is kept"
    )
    p.add_argument("--top-k", type=number(int, 1), default=200, help="most detections in a picture")
    add_device_arguments(p)
    return p.parse_args(argv)


@command
def main(argv=None):
    args = parse(argv)
    pictures = find_pictures(args.sources)
    output = Path(args.output)
    names = output_names(pictures)
    check_output(output, names)
    detector = Detector.from_checkpoint(find_checkpoint(args.checkpoint), args.device, args.precision)
    output.mkdir(parents=True, exist_ok=True)

    records, n_bad = [], 0
    with tqdm(total=len(pictures), desc="detecting", unit="image") as progress:
        for start in range(0, len(pictures), BATCH_SIZE):
            paths = pictures[start : start + BATCH_SIZE]
            images = {path: image for path in paths if (image := load_or_report(path))}
            n_bad += len(paths) - len(images)
            found = detector(list(images.values()), args.min_score, args.max_overlap, args.top_k)
            for (path, image), detections in zip(images.items(), found, strict=True):
                detections.draw(image).save(output / names[path], quality=95)
                records.append(record(path, names[path], image, detections))
            progress.update(len(paths))
    (output / "detections.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")

    n_found = sum(len(entry["detections"]) for entry in records)
    print(f"{n_found} objects in {len(records)} pictures; annotated pictures and detections.json: {output}")
    return 2 if n_bad else 0


def find_pictures(sources):
    """The paths of the pictures that the sources name, each once. Raises InputError where there are none."""
    endings = picture_endings()
    pictures = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(path for path in source.iterdir() if path.suffix.lower() in endings and path.is_file())
            if not inside:
                raise InputError(f"{source}: no pictures in this folder")
            pictures += inside
        elif source.suffix == ".json":
            pictures += map(Path, read_images(source))
        elif source.exists():
            pictures.append(source)
        else:
            raise InputError(f"{source}: no such picture or folder")
    return list(dict.fromkeys(pictures))


def picture_endings():
    """The endings (".jpg") of the pictures that Pillow reads; it knows films and measurements by name as well."""
    known = Image.registered_extensions().items()
    return {end for end, kind in known if kind in Image.OPEN and Image.MIME.get(kind, "").startswith("image/")}


def output_names(pictures):
    """A JPEG name for each picture: its own, with a number where several have the same but for capitals."""
    names, taken, repeats = {}, set(), Counter()
    for picture in pictures:
        name, stem = f"{picture.stem}.jpg", picture.stem.casefold()
        while name.casefold() in taken:
            repeats[stem] += 1
            name = f"{picture.stem}_{repeats[stem] + 1}.jpg"
        names[picture] = name
        taken.add(name.casefold())
    return names


def check_output(output, names):
    """Raises InputError where an annotated copy would be written over a picture, or beside it. names: of the copies."""
    originals = {file_id(path) for picture in names for path in (picture, picture.parent, picture.resolve().parent)}
    written = {file_id(path) for path in (output, *(output / name for name in names.values()))}
    if originals & written - {None}:
        raise InputError(f"--output {output} is where the pictures are; annotated copies would replace them")


def file_id(path):
    """What a file or folder has alone, however it is linked to and spelt; None where there is none."""
    if not path.exists():
        return None
    status = path.stat()
    return status.st_dev, status.st_ino


def load_or_report(path):
    """The picture, or None and a line on stderr: one bad picture must not stop the others."""
    try:
        return load_image(path)
    except InputError as error:
        tqdm.write(f"error: {error}", file=sys.stderr)
        return None


def record(path, annotated, image, detections):
    """What detections.json says of a picture; boxes are x_min, y_min, x_max, y_max in its pixels."""
    return {
        "image": str(path),
        "annotated": annotated,
        "width": image.width,
        "height": image.height,
        "detections": detections.to_list(),
    }


if __name__ == "__main__":
    sys.exit(main())
