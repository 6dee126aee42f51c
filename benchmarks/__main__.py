"""Compares ours with what a user would pick instead: `python -m benchmarks`. See benchmarks/README.md."""

import json
import platform
import sys
from argparse import Namespace
from collections.abc import Callable
from functools import partial
from time import perf_counter, process_time

import torch

from benchmarks import augmentation, detection, files, lists, mean_ap, scale, training
from benchmarks.timing import HEADER, Measured, Memory, Timer
from ssd.commands.arguments import command, number, parser
from ssd.errors import InputError
from ssd.inference.device import choose_device, prepare_for_training
from ssd.training.run.provenance import device_name

Benchmark = Callable[[Timer], Measured | Memory | files.Stages | lists.Costs | scale.Scale]
BENCHMARKS: dict[str, Benchmark] = {
    "detect": detection.end_to_end,
    "detect-1": partial(detection.end_to_end, batch=1),
    "detect-64": partial(detection.end_to_end, batch=64),
    "detect-fp32": partial(detection.end_to_end, precision="fp32"),
    "detect-int8": detection.eight_bits,
    "detect-1-int8": partial(detection.eight_bits, batch=1),
    "network": detection.network,
    "training": training.training_step,
    "training-fp32": partial(training.training_step, precision="fp32"),
    "memory": training.peak_memory,
    "post-processing": detection.postprocessing,
    "augmentation": augmentation.samples,
    "decoding": augmentation.decoding,
    "files": files.stages,
    "lists": lists.costs,
    "mAP": mean_ap.mean_average_precision,
    "evaluation": scale.evaluation,
}
ON_GPU_ONLY, ON_CPU_ONLY = ("detect-64",), ("files", "lists")


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Measure this SSD300 against torchvision's, and mAP against other libraries, in one process.")
    p.prog = "python -m benchmarks"
    p.add_argument("--device", help="cpu or cuda (default: cuda if there is a GPU)")
    p.add_argument("--only", action="append", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    p.add_argument("--rounds", type=number(int, 1), default=5, help="how often each contender is measured")
    p.add_argument("--files", type=number(int, 1), default=1000, help="how many JPEGs the benchmark files takes")
    p.add_argument("--images", type=number(int, 1), default=10_000, help="how many the benchmark evaluation takes")
    p.add_argument(
        "--listed", type=number(int, 1), default=lists.IMAGES, help="how many images the benchmark lists takes"
    )
    p.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure processor time instead of wall-clock time, for a machine that is busy with other work; needs "
        "OMP_NUM_THREADS=1 and --device cpu",
    )
    p.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    return p.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device = choose_device(args.device)
    if args.cpu_time and device.type != "cpu":
        raise InputError("--cpu-time cannot measure a GPU; leave it out or add --device cpu")
    if device.type == "cuda":
        prepare_for_training(device)  # helps both sides; on a CPU it would take memory
    timer = Timer(device, args.rounds, process_time if args.cpu_time else perf_counter)
    left_out = ON_CPU_ONLY if device.type == "cuda" else ON_GPU_ONLY
    names = args.only or [name for name in BENCHMARKS if name not in left_out]
    benchmarks = BENCHMARKS | {
        "files": partial(files.stages, n_files=args.files),
        "lists": partial(lists.costs, n_images=args.listed),
        "evaluation": partial(scale.evaluation, n_images=args.images),
    }
    machine = f"{device_name(device)}, PyTorch {torch.__version__}, Python {platform.python_version()}"
    clock = "processor time" if args.cpu_time else "wall-clock time"
    print(machine, f"{clock}, medians of {args.rounds} rounds", HEADER, sep="\n")
    results = {}
    for name in names:
        measured = run(name, benchmarks[name], timer)
        print(f"{name}: {measured.title}", *measured.lines(), sep="\n", flush=True)
        results[name] = measured.to_dict()
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "clock": clock, "rounds": args.rounds, "benchmarks": results}, file, indent=1
            )


def run(name: str, benchmark: Benchmark, timer: Timer) -> Measured | Memory | files.Stages | lists.Costs | scale.Scale:
    """Run a benchmark. Raises InputError if the contenders disagree."""
    try:
        return benchmark(timer)
    except RuntimeError as error:
        raise InputError(f"{name}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
