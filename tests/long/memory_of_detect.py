"""Whether the memory of detect.py grows: its resident size after 500 pictures or frames and at the end.

python -m tests.long.memory_of_detect [--pictures 5000] [--frames 10000] [--checkpoint FILE]

Without a checkpoint, a small network takes the place of SSD300's. Everything else is real: pictures of 160 x 120 pixels
and a film are read, annotated, kept in the journal and written in all formats. The last figure is of the moment after
that. It also prints the processor time and the bytes of the journal for a picture.
"""

import argparse
import resource
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ssd.commands import detect
from ssd.media.film import VideoWriter
from ssd.media.video import Moment
from tests.helpers import small_network
from tests.helpers.small_detector import write_checkpoint

SIZE = (160, 120)
DISTINCT = 50  # pictures; the others are copies
READ_AT = (500, 1000, 2000, 4000, 8000)


def resident():
    """The memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def noise(rng):
    return Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(SIZE)


def draw_pictures(folder, n):
    rng = np.random.default_rng(0)
    folder.mkdir()
    for k in range(n):
        path = folder / f"{k}.jpg"
        if k < DISTINCT:
            noise(rng).save(path)
        else:
            path.write_bytes((folder / f"{k % DISTINCT}.jpg").read_bytes())
    return folder


def draw_film(path, n):
    rng = np.random.default_rng(0)
    with VideoWriter(path, Fraction(25)) as film:
        for k in range(n):
            film.write(noise(rng), Moment(k / 25, 1 / 25))
    return path


def measure(source, formats, checkpoint, output):
    """Detect, and print the figures."""
    append, sizes, n_bytes, began = detect.append, {}, [], time.process_time()

    def watched(path, entry):
        append(path, entry)
        n_bytes.append(path.stat().st_size)
        if len(n_bytes) in READ_AT:
            sizes[len(n_bytes)] = resident()

    detect.append = watched
    args = [source, "--checkpoint", checkpoint, "--output", output, "--save", formats, "--top-k", 10]
    status = detect.main([*map(str, args), "--device", "cpu"])
    detect.append = append
    seconds, n = time.process_time() - began, len(n_bytes)
    print(*(f"after {k:6}: {size:.1f} MiB resident" for k, size in sizes.items()), sep="\n")
    print(f"at the end  : {resident():.1f} MiB, {resident() / sizes[READ_AT[0]] - 1:+.1%} since {READ_AT[0]}")
    print(f"{1000 * seconds / n:.1f} ms of processor time and {n_bytes[-1] / n:.0f} bytes of journal for each of {n}")
    return status


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--pictures", type=int, default=5000)
    p.add_argument("--frames", type=int, default=10000)
    p.add_argument("--checkpoint", help="of a real network (default: a small network)")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if not args.checkpoint:
            small_network.use()
        checkpoint = args.checkpoint or write_checkpoint(folder / "small.pth")
        if args.pictures:
            pictures = draw_pictures(folder / "pictures", args.pictures)
            measure(pictures, "json,jsonl,csv,coco,yolo", checkpoint, folder / "of pictures")
        if args.frames:
            film = draw_film(folder / "film.mp4", args.frames)
            measure(film, "json,jsonl,csv", checkpoint, folder / "of frames")


if __name__ == "__main__":
    sys.exit(main())
