"""Kills a training run again and again, resumes it each time, and compares its end with an undisturbed run's.

python -m tests.long.kill_and_resume --kills 20 [--seed 0] [--network small|ssd300] [--folder DIR]

A third of the kills come at any moment after the start of the process, a third between two iterations' rows of
results.csv, a third while last.pth is being written. After each, every checkpoint must be readable. Each start uses
another number of workers. The exit status is 0 if the ends are bitwise equal.
"""

import argparse
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ssd.checkpoint import load_training_state, read_file
from ssd.commands import data as create_data_lists
from ssd.commands.synthetic import main as draw_dataset
from ssd.training.run.folder import BEST, LAST
from ssd.training.run.results import RESULTS_NAME
from tests.helpers import small_network

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "small": ["-m", "tests.helpers.small_network"],
    "slow": ["-m", "tests.helpers.slow_steps"],
    "ssd300": ["train.py"],
}
SAVE_EVERY = 3
LIMIT = 600  # seconds for one start
MOMENTS = ("start", "row", "save")


def arguments(data, iterations):
    return (
        f"--data {data} --weights none --backbone vgg16_bn --batch-size 2 --iterations {iterations} --lr 1e-4 "
        f"--save-every {SAVE_EVERY} --eval-every {max(2, iterations // 4)} --ema 0.9 --device cpu --precision fp32 "
        "--log none"
    ).split()


def start(network, args, log, **options):
    """A process that trains, in a group of its own. options: as for `Popen`."""
    command = [sys.executable, *PROGRAMS[network], *map(str, args)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, stdout=log, stderr=log, env=environment, start_new_session=True, **options
    )


def kill(process):
    """SIGKILL to the process and its workers, whether it lives or not."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def rows(run):
    """The number of complete rows that the run has written."""
    results = run / RESULTS_NAME
    return max(0, results.read_bytes().count(b"\n") - 1) if results.exists() else 0


def wait_for(happened, process):
    """Whether it happened before the process ended."""
    limit = time.monotonic() + LIMIT
    while not happened():
        if process.poll() is not None:
            return False
        if time.monotonic() > limit:
            raise TimeoutError(f"a start took more than {LIMIT} s")
        time.sleep(0.001)
    return True


def strike(process, run, moment, target, rng, pace):
    """Kill the process at a moment of its work, `target` being the rows that it shall have written. Returns whether it
    was still at work. pace: seconds that a start takes, and an iteration."""
    startup, iteration = pace
    if moment == "start":
        hit = not wait_for_end(process, rng.uniform(0, 1.2 * startup))
    else:
        hit = wait_for(lambda: rows(run) >= target, process)
        if hit and moment == "row":
            hit = not wait_for_end(process, rng.uniform(0, 2 * iteration))
        elif hit:
            hit = strike_in_a_save(process, run, delay=rng.choice([0, 0.001, 0.002, 0.005, 0.01]))
    kill(process)
    return hit


def strike_in_a_save(process, run, delay):
    """Wait until a checkpoint has been written for `delay` seconds, and is not complete yet. Returns whether that came
    before the process ended."""

    def saving():
        return list(run.glob(f"{LAST}*.tmp"))

    while wait_for(saving, process) and not wait_for_end(process, delay):
        if saving():
            return True
        delay /= 2  # that save was over already; a busy machine is late
    return False


def wait_for_end(process, seconds):
    """Whether the process ended within this time."""
    try:
        process.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        return False


def check_readable(run):
    """Every checkpoint of a run that was killed must be whole. Returns the iteration that last.pth is of, or None."""
    for name in (LAST, BEST):
        if (run / name).exists():
            assert read_file(run / name, "")["format"] == "ssd300"
    return load_training_state(run / LAST)["iteration"] if (run / LAST).exists() else None


def same(a, b):
    """Whether two values of plain containers and tensors are bitwise equal."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def compare(run, expected):
    """Assert that two runs ended alike: model, momentum, average, best model and results."""
    for name in (LAST, BEST):
        contents = [read_file(folder / name, "") for folder in (run, expected)]
        for content in contents:
            if content["training"]:
                del content["training"]["arguments"]
                del content["training"]["best"]["table"]  # contains the speed too
        for part in contents[0]:
            assert same(contents[0][part], contents[1][part]), f"{name}: {part} differs"
    assert load_training_state(run / LAST)["average"] is not None
    assert load_training_state(run / LAST)["optimiser"]["state"]
    assert (run / RESULTS_NAME).read_bytes() == (expected / RESULTS_NAME).read_bytes()


def finish(process, log):
    if not wait_for_end(process, LIMIT) or process.returncode:
        kill(process)
        raise AssertionError(f"training ended with {process.returncode}: {Path(log.name).read_text()[-2000:]}")


def undisturbed(network, data, run, iterations, log):
    """Train in one go. Returns the seconds that the start took, and an iteration."""
    began = time.monotonic()
    process = start(network, [*arguments(data, iterations), "--output", run, "--workers", 0], log)
    wait_for(lambda: rows(run), process)
    startup = time.monotonic() - began
    finish(process, log)
    return startup, (time.monotonic() - began - startup) / iterations


def disturbed(network, data, run, iterations, kills, rng, pace, log):
    """Train with kills. Returns a line of text for each."""
    told = []
    for number, (moment, workers) in enumerate(zip(itertools.cycle(MOMENTS), itertools.cycle((0, 1, 2, 1)))):
        resume = ["--resume", "--output", run] if (run / LAST).exists() else ["--output", run]
        process = start(network, [*arguments(data, iterations), *resume, "--workers", workers], log)
        if number == kills:
            finish(process, log)
            return told
        leftover = set(run.glob("*.tmp"))
        target = min(iterations - 2, rows(run) + rng.randint(1, max(1, 2 * iterations // (3 * kills))))
        hit = strike(process, run, moment, target, rng, pace)
        saving = bool(set(run.glob("*.tmp")) - leftover)
        saved = check_readable(run)
        told.append(
            f"kill {number + 1:2} with {workers} workers ({moment}{', in a save' if saving else ''}"
            f"{'' if hit else ', after its end'}): {rows(run)} rows, last.pth of iteration {saved}"
        )


def kill_and_resume(folder, kills, seed=0, network="small", iterations=40):
    """Returns a line of text for each kill. Raises AssertionError if the ends differ."""
    data, rng = folder / "data", random.Random(seed)
    if not data.exists():
        draw_dataset([str(folder / "shapes"), "--images", "8", "--test-fraction", "0.5", "--seed", "1"])
        create_data_lists.main(["--voc", str(folder / "shapes"), "--output", str(data)])
    with open(folder / "log.txt", "w") as log:
        pace = undisturbed(network, data, folder / "undisturbed", iterations, log)
        told = disturbed(network, data, folder / "disturbed", iterations, kills, rng, pace, log)
    compare(folder / "disturbed", folder / "undisturbed")
    return told


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--kills", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--network", choices=PROGRAMS, default="small")
    p.add_argument("--iterations", type=int, default=40)
    p.add_argument("--folder", type=Path, help="where it works (default: a folder that is removed after)")
    args = p.parse_args()
    if args.network == "small":
        small_network.use()
    with tempfile.TemporaryDirectory() as temporary:
        told = kill_and_resume(args.folder or Path(temporary), args.kills, args.seed, args.network, args.iterations)
    print(*told, "the ends are bitwise equal", sep="\n")


if __name__ == "__main__":
    sys.exit(main())
