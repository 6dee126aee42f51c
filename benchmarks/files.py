"""Where the time of `ssd300 detect` goes for a folder of JPEGs, and whether any of its stages waits for another."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.models import create_pair, expect_candidates, inputs, random_scenes
from benchmarks.timing import Timer
from ssd import Detector
from ssd.data import load_image
from ssd.detector import BATCH_SIZE, Prepared, network_input
from ssd.evaluation.evaluate import PAPER
from ssd.inference.predictor import detections_in_pixels
from ssd.media.annotator import Annotator
from ssd.media.journal import JOURNAL, append
from ssd.media.outputs import output_names, record, save_picture
from ssd.model.postprocess import Detected
from ssd.threads import batched

T = TypeVar("T")

DISTINCT = 64  # pictures; the others are copies
CANDIDATES = 100  # of a picture
THRESHOLDS = PAPER._replace(top_k=10)  # so that 10 boxes are drawn
QUALITY = 90


@dataclass(frozen=True)
class Stages:
    """The time for a picture, in seconds.

    processor: stage -> processor time of all threads, when the stage runs alone. wall: of `ssd300 detect` with all
    stages. cores: how many there are to share the processor time.
    """

    title: str
    processor: dict[str, float]
    wall: float
    cores: int

    def least(self) -> float:
        """What the stages would take if they kept all cores busy."""
        return sum(self.processor.values()) / self.cores

    def lines(self) -> Iterator[str]:
        """The rows of the table."""
        total = sum(self.processor.values())
        for stage, seconds in self.processor.items():
            yield f"  {stage + ', processor time':<34}{1000 * seconds:>10.2f}{seconds / total:>18.1%}"
        yield f"  {f'all of them, on {self.cores} cores':<34}{1000 * self.least():>10.2f}"
        yield f"  {'wall-clock time of detect':<34}{1000 * self.wall:>10.2f}{self.wall / self.least():>17.2f}x"

    def to_dict(self) -> dict:
        """Plain data, for JSON."""
        return asdict(self) | {"ratio": self.wall / self.least()}


def stages(timer: Timer, n_files: int = 1000) -> Stages:
    """Measure `n_files` JPEGs of 640 x 480 pixels, each with an annotated copy. Raises RuntimeError on a GPU."""
    if timer.device.type != "cpu":
        raise RuntimeError("measures processor time; add --device cpu")
    ours, theirs = create_pair()
    images, _ = random_scenes(BATCH_SIZE)
    expect_candidates(ours, theirs, inputs(images, ours.config), CANDIDATES)
    return measure(Detector(ours, "cpu"), n_files)


def measure(detector: Detector, n_files: int) -> Stages:
    """The `Stages` of a detector."""
    images, _ = random_scenes(min(n_files, DISTINCT))
    with tempfile.TemporaryDirectory() as folder:
        output, paths = Path(folder, "copies"), [Path(folder, f"{k}.jpg") for k in range(n_files)]
        output.mkdir()
        for k, path in enumerate(paths):
            images[k % len(images)].save(path, quality=QUALITY)
        processor = alone(detector, paths[:DISTINCT], output)
        find = partial(detector.find, **THRESHOLDS._asdict())
        write = partial(append, output / JOURNAL.format(0))
        annotator = Annotator(detector.prepare, find, output, output_names(paths), write)
        start = perf_counter()
        annotator.pictures(paths)
        wall = (perf_counter() - start) / n_files
    return Stages(f"{n_files} JPEGs to annotated copies, ms a picture", processor, wall, torch.get_num_threads())


def alone(detector: Detector, paths: Sequence[Path], output: Path) -> dict[str, float]:
    """Processor seconds of each stage for a picture, one stage after the other."""
    seconds = {}

    def timed(stage: str, run: Callable[[], list[T]]) -> list[T]:
        start = process_time()
        results = run()
        seconds[stage] = (process_time() - start) / len(paths)
        return results

    images = timed("decoding", lambda: [load_image(path) for path in paths])
    prepared = timed("resizing", lambda: [detector.prepare(image) for image in images])
    batches = list(batched(prepared, BATCH_SIZE))
    found = [one for batch in batches for one in detector.find(batch, *THRESHOLDS)]

    def predict(batch: list[Prepared]) -> tuple[Tensor, Tensor]:
        squares = np.stack([one.square for one in batch])
        return detector.predictor(network_input(squares, detector.config, torch.device("cpu")))

    def select(predictions: tuple[Tensor, Tensor], batch: list[Prepared]) -> Detected:
        sizes = [one.size for one in batch]
        return detections_in_pixels(detector.predictor, predictions, sizes, *THRESHOLDS)

    predictions = timed("network", lambda: [predict(batch) for batch in batches])
    timed("post-processing", lambda: list(map(select, predictions, batches)))
    copies = timed("drawing", lambda: [one.draw(image) for one, image in zip(found, images, strict=True)])
    rows = list(zip(paths, copies, found, strict=True))
    timed("writing", lambda: [record(p, save_picture(copy, output / p.name), copy.size, one) for p, copy, one in rows])
    return seconds
