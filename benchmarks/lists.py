"""What data lists of many images cost: the time to open them, and their memory in one process and in each worker."""

import multiprocessing
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import Dataset

from benchmarks.timing import Timer
from ssd.data import DataList, read_data_list, write_data_lists
from ssd.data.columns import Row
from ssd.data.loading import loader

R = TypeVar("R")

IMAGES, OBJECTS = 118_287, 7.5  # COCO's training images, and the objects in one of them on average
CLASSES = [f"class {k}" for k in range(1, 81)]
FEW = 16  # images of the lists that are compared with
WORKERS, BATCH = 8, 256
METHODS = ("fork", "spawn")  # of starting workers; "forkserver" hands data over as "spawn" does


@dataclass(frozen=True)
class Costs:
    """What data lists cost. seconds: of what. memory: of what, in MiB."""

    title: str
    seconds: dict[str, float]
    memory: dict[str, float]

    def lines(self) -> Iterator[str]:
        """The rows of the table."""
        for name, seconds in self.seconds.items():
            yield f"  {name:<46}{1000 * seconds:>12.4g} ms"
        for name, memory in self.memory.items():
            yield f"  {name:<46}{memory:>12.1f} MiB"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)


def costs(timer: Timer, n_images: int = IMAGES) -> Costs:
    """The costs of lists of so many images. Everything is measured in processes of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder, few = Path(name), Path(name, "few")
        for where, n in ((folder, n_images), (few, FEW)):
            write_data_lists(where, train=DataList.from_images(_rows(n), CLASSES))
        seconds: dict[str, float] = {}
        memory: dict[str, float] = {}
        for which in ("first", "second"):
            opened, added, looked_at = _in_process(_open, folder, timer.clock)
            seconds |= {f"opened the {which} time": opened, "data[k]": looked_at}
            memory[f"added by opening, the {which} time"] = added
        for method in METHODS:
            added = _in_process(_worker, folder, n_images, method) - _in_process(_worker, few, n_images, method)
            memory[f"added to each of {WORKERS} workers, {method}"] = added
    return Costs(f"data lists of {n_images} images", seconds, memory)


def _rows(n: int) -> Iterator[Row]:
    """Images with random objects."""
    rng = np.random.default_rng(0)
    for k, n_objects in enumerate(rng.poisson(OBJECTS, n).tolist()):
        size = rng.integers(320, 641, 2)
        corners = np.sort(rng.random((2, n_objects, 2)) * size, axis=0)  # (2, n_objects, 2)
        boxes = np.concatenate([*corners], axis=1).round(2).tolist()
        labels = rng.integers(1, len(CLASSES) + 1, n_objects).tolist()
        yield f"/data/coco/train2017/{k:012d}.jpg", tuple(size.tolist()), boxes, labels, [False] * n_objects, [], []


def _in_process(function: Callable[..., R], *arguments: object) -> R:
    """What a function returns in a process of its own, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _open(folder: Path, clock: Callable[[], float]) -> tuple[float, float, float]:
    """Seconds to open lists, MiB that stay, and seconds to look at an image, in random order."""
    before, start = _private_memory(), clock()
    data = read_data_list(folder, "train")
    opened, after = clock() - start, _private_memory()
    order = np.random.default_rng(0).permutation(len(data)).tolist()
    start = clock()
    for k in order:
        data[k]
    return opened, after - before, (clock() - start) / len(order)


class _Entries(Dataset):
    """The sum of all numbers of an image, for any k. Pictures are not read."""

    def __init__(self, data: DataList, n_images: int):
        self.data, self.n_images = data, n_images

    def __len__(self) -> int:
        return self.n_images

    def __getitem__(self, k: int) -> float:
        path, size, *columns = self.data[k % len(self.data)]
        return len(path) + sum(size) + sum(float(column.sum()) for column in columns)


def _worker(folder: Path, n_images: int, method: str) -> float:
    """The private memory of a worker in MiB, the mean of all, once they have looked at so many images."""
    dataset = _Entries(read_data_list(folder, "train"), n_images)
    batches = loader(dataset, WORKERS, _own_memory, batch_size=BATCH, shuffle=True, multiprocessing_context=method)
    last = dict(batches)  # process -> its last word
    return float(np.mean(list(last.values())))


def _own_memory(_: list[float]) -> tuple[int, float]:
    return os.getpid(), _private_memory()


def _private_memory() -> float:
    """What this process shares with no other one, in MiB."""
    kib = re.findall(r"^Private_\w+: +(\d+) kB$", Path("/proc/self/smaps_rollup").read_text(), flags=re.MULTILINE)
    return sum(map(int, kib)) / 1024
