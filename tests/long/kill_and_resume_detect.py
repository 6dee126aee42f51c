"""Kills detect.py again and again, resumes it each time, and compares what it wrote with an undisturbed run's.

python -m tests.long.kill_and_resume_detect --kills 10 [--pictures 1000] [--seed 0] [--folder DIR]

A quarter of the kills come while a job starts, the others while it works, at any moment after so many more lines of its
journals. Every second start is a `torchrun` of two processes; the undisturbed run is one process. Meanwhile a
picture cannot be read; at the end it can. The exit status is 0 if all files are then equal, byte for byte (films by the
times of their frames), and every picture and frame has one record.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from ssd.commands import detect
from ssd.media.film import VideoWriter
from ssd.media.folder import NAME
from ssd.media.frames import open_frames
from ssd.media.video import Moment
from tests.helpers import small_network
from tests.helpers.small_detector import write_checkpoint
from tests.long.kill_and_resume import LIMIT, ROOT, wait_for, wait_for_end

TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
OPTIONS = ["--save", "json,jsonl,csv", "--top-k", "5", "--batch-size", "4", "--precision", "fp32"]
FRAMES = 30


def draw(folder, n):
    """Write n pictures, a film, and a checkpoint into a folder."""
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    for k in range(n):
        noise = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        noise.resize((80, 60)).save(folder / f"pictures/{k}.jpg")
    with VideoWriter(folder / "film.mp4", Fraction(25)) as film:
        for k in range(FRAMES):
            noise = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
            film.write(noise.resize((80, 60)), Moment(k / 25, 1 / 25))
    write_checkpoint(folder / "small.pth")


def arguments(folder, output):
    sources = [folder / "pictures", folder / "film.mp4", "--checkpoint", folder / "small.pth", "--output", output]
    return [*map(str, sources), *OPTIONS]


def start(folder, output, resume, processes, log):
    program = ["-m", "tests.helpers.small_detector"]
    program = [*TORCHRUN, *program, "--"] if processes == 2 else program
    command = [sys.executable, *program, *arguments(folder, output), *["--resume"] * resume]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)


def children(process):
    """The ids of the processes that a process has started."""
    with suppress(OSError):
        return list(map(int, Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()))
    return []


def kill(process):
    """SIGKILL to a process and those that it started, all of which end."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGSTOP)  # it starts no more
    family = [process.pid, *children(process)]
    for number in family:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    process.wait()
    while any(map(_lives, family)):
        time.sleep(0.01)


def _lives(number):
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def lines(output):
    """The number of whole lines in the journals of a job."""
    n = 0
    for path in output.glob("detections-*.jsonl"):
        with suppress(FileNotFoundError):  # a job that begins may have removed it meanwhile
            n += path.read_bytes().count(b"\n")
    return n


def wait_to_strike(process, output, more, rng):
    """Wait for so many more lines of a job, or a moment if that is 0. Returns whether it is still at work."""
    before = lines(output)
    if more:
        hit = wait_for(lambda: lines(output) >= before + more, process)
        hit = hit and not wait_for_end(process, rng.uniform(0, 0.05))
    else:
        hit = not wait_for_end(process, rng.uniform(0, 3))
    return hit


def kill_and_resume(folder, kills, pictures, seed=0):
    """Returns a line of text for each kill. Raises AssertionError if the files differ."""
    rng, told, output = random.Random(seed), [], folder / "disturbed"
    draw(folder, pictures)
    assert detect.main(arguments(folder, folder / "undisturbed")) == 0
    picture = folder / "pictures/0.jpg"
    good = picture.read_bytes()
    picture.write_text("no picture")
    with open(folder / "log.txt", "w") as log:
        for number in range(kills + 1):
            process = start(folder, output, (output / NAME).exists(), 1 + number % 2, log)
            if number == kills:
                assert process.wait(LIMIT) in (1, 2) and lines(output), Path(log.name).read_text()[-3000:]
                assert (output / "detections.json").exists()
                continue
            more = 0 if number % 4 == 3 else rng.randint(1, 2 * (pictures + FRAMES) // (kills + 2))
            try:
                hit = wait_to_strike(process, output, more, rng)
            finally:
                kill(process)
            told.append(f"kill {number + 1}{'' if hit else ', after its end'}: {lines(output)} lines")
    picture.write_bytes(good)
    assert detect.main([*arguments(folder, output), "--resume"]) == 0
    compare(output, folder / "undisturbed", pictures + FRAMES)
    return told


def content(folder):
    """The bytes of the files by name; of a film the times of its frames, since encoders need not repeat its bytes."""
    return {path.name: times(path) if path.suffix == ".mp4" else path.read_bytes() for path in folder.iterdir()}


def times(film):
    with open_frames(film) as video:
        return [round(moment.time, 3) for moment, _ in video.frames()]


def compare(output, expected, n_records):
    """Assert that two folders hold the same files, and that all pictures and frames have one record."""
    files, others = content(output), content(expected)
    assert files.keys() == others.keys()
    assert [name for name in files if files[name] != others[name]] == []
    records = list(map(json.loads, files["detections.jsonl"].splitlines()))
    assert len({(record["image"], record.get("frame")) for record in records}) == len(records) == n_records
    assert all(record["detections"] for record in records)


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kills", type=int, default=10)
    p.add_argument("--pictures", type=int, default=1000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--folder", type=Path, help="where it works (default: a folder that is removed after)")
    args = p.parse_args()
    small_network.use()
    with tempfile.TemporaryDirectory() as temporary:
        told = kill_and_resume(args.folder or Path(temporary), args.kills, args.pictures, args.seed)
    print(*told, "all files are equal", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
