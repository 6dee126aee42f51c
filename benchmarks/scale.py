"""Time and memory of evaluation for many detections: matching, figures, report and result files."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from benchmarks.mean_ap import N_CLASSES, random_detections
from benchmarks.timing import Timer
from ssd.data.columns import DataList, Row
from ssd.evaluation import DataSetDetections, curves, load_results, match_dataset, save_results, save_truth, summarize
from ssd.evaluation.coco_metrics import coco_figures
from ssd.evaluation.report.page import write_report
from ssd.evaluation.result_files import COCO_NAME

T = TypeVar("T")

N_DETECTIONS = 100  # in each image
DISTINCT = 1000  # images; the others repeat them with other scores
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Scale:
    """What each stage of an evaluation takes. seconds, peaks: by stage, the latter in bytes above the memory before."""

    title: str
    seconds: dict[str, float]
    peaks: dict[str, float]
    report_bytes: int
    n_detections: int

    def lines(self) -> Iterator[str]:
        """The rows of the table."""
        for stage, seconds in self.seconds.items():
            each = f"{1e6 * seconds / self.n_detections:.2f} us, {self.peaks[stage] / self.n_detections:.0f} bytes"
            yield f"  {stage:<34}{seconds:>10.1f} s{self.peaks[stage] / 2**20:>10.0f} MiB   a detection: {each}"
        yield f"  {'size of the report':<34}{self.report_bytes / 2**20:>24.1f} MiB"

    def to_dict(self) -> dict[str, object]:
        """Plain data, for JSON."""
        return asdict(self)


def evaluation(timer: Timer, n_images: int = 10_000) -> Scale:
    """Measure each stage once, for N_DETECTIONS in each of `n_images`. Raises RuntimeError where Linux is missing."""
    if not CLEAR.exists():
        raise RuntimeError("peak memory is read as Linux shows it")
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    def stage(name: str, run: Callable[..., T], *args: object) -> T:
        CLEAR.write_text("5")  # the peak begins anew
        before, start = resident("VmRSS"), timer.clock()
        result = run(*args)
        seconds[name], peaks[name] = timer.clock() - start, resident("VmHWM") - before
        return result

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found, data = stage("detections", many_detections, n_images)
        matches = stage("matching", match_dataset, found, data)
        stage("precision-recall curves", curves, matches)
        stage("COCO's figures", coco_figures, matches)
        summary = stage("all figures", summarize, matches)
        Image.new("RGB", (500, 375)).save(folder / "picture.png")
        paths = [str(folder / "picture.png")] * n_images
        page = stage("report", write_report, folder / "report", matches, summary, paths)
        report_bytes = page.stat().st_size
        del matches
        stage("writing result files", save_results, folder, found, data)
        stage("writing the ground truth", save_truth, folder, data)
        del found
        stage("reading VOC's files", load_results, folder, data)
        stage("reading COCO's file", load_results, folder / COCO_NAME, data)
    n = n_images * N_DETECTIONS
    return Scale(f"{n:,} detections in {n_images:,} images", seconds, peaks, report_bytes, n)


def many_detections(n_images: int) -> tuple[DataSetDetections, DataList]:
    """Detections in a data list. After DISTINCT images, those repeat with other scores."""
    case, rng = random_detections(min(n_images, DISTINCT), N_DETECTIONS), np.random.default_rng(0)
    found = DataSetDetections()
    for k in range(n_images):
        boxes, labels, scores = (values[k % DISTINCT] for values in case[:3])
        found.add(boxes, labels, scores * float(rng.uniform(0.5, 1)))
    distinct = zip(*([tensor.tolist() for tensor in column] for column in case[3:]), strict=True)
    images = zip(range(n_images), cycle(distinct), strict=False)
    rows: Iterator[Row] = ((f"pictures/{k:07d}.jpg", (500, 375), *image, (), ()) for k, image in images)
    return found, DataList.from_images(rows, map(str, range(1, N_CLASSES + 1)))


def resident(field: str) -> int:
    """This process's memory in bytes: "VmRSS" now, "VmHWM" at its peak."""
    return 1024 * next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(field))
