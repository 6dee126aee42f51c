"""The progress line of a training run."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from tqdm import tqdm

from ssd.evaluation.summary import cell_text
from ssd.text import counted
from ssd.training.validation import Best

T = TypeVar("T")

REPORT_SECONDS = 2
TIMED_ITERATIONS = 10  # after the first, which is slower: by these the whole run's time is estimated


class Progress:
    """tqdm's bar and ETA with the epoch, the loss, the rate, images per second and the share of time spent waiting.

    An epoch is the one that the latest batch ended in: batches run on across its end.
    """

    def __init__(self, iterations: int, start: int, batch_size: int, n_images: int, quiet: bool = False):
        self.batch_size, self.n_images = batch_size, n_images
        bar = {"desc": self._epoch(start, iterations), "unit": "it", "dynamic_ncols": True, "disable": quiet}
        self.bar = tqdm(total=iterations, initial=start, **bar)
        self._first_read: tuple[int, float] | None = None  # iterations done then, and when it was
        self._estimated = False
        self._reset()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.close()

    def _epoch(self, iteration, iterations):
        now, last = (max(1, math.ceil(n * self.batch_size / self.n_images)) for n in (iteration, iterations))
        return f"epoch {now} of {last}"

    def _reset(self):
        self._since, self._waited = time.perf_counter(), 0.0
        self._rows: list[Mapping[str, float]] = []

    def timed(self, loader: Iterable[T]) -> Iterator[T]:
        """The loader's batches. The time that each takes to arrive counts as waiting."""
        batches = iter(loader)
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self._waited += time.perf_counter() - start
            yield batch

    def update(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Count iterations, given by their rows of results.csv."""
        self._rows += rows
        self.bar.update(len(rows))
        self._estimate()
        elapsed = time.perf_counter() - self._since
        if elapsed > REPORT_SECONDS or self.bar.n == self.bar.total:
            n = len(self._rows)
            self.bar.set_description_str(self._epoch(self.bar.n, self.bar.total), refresh=False)
            conf, loc = (sum(row[term] for row in self._rows) / n for term in ("train_conf", "train_loc"))
            self.bar.set_postfix_str(
                f"loss {conf + loc:.2f} = conf {conf:.2f} + loc {loc:.2f}, lr {self._rows[-1]['lr']:.1e}, "
                f"{n * self.batch_size / elapsed:.1f} images/s, {self._waited / elapsed:.0%} waiting for data"
            )
            self._reset()

    def _estimate(self) -> None:
        """Say once, by the first iterations, how long the rest will take."""
        now = time.perf_counter()
        if self._first_read is None:
            self._first_read = self.bar.n, now
        first, since = self._first_read
        if self._estimated or self.bar.disable or self.bar.n - first < TIMED_ITERATIONS:
            return
        self._estimated = True
        seconds = (now - since) / (self.bar.n - first) * (self.bar.total - self.bar.n)
        tqdm.write(f"by its first iterations, training will take {duration(seconds)} on this machine, plus evaluations")


def duration(seconds: float) -> str:
    """About how long, in words."""
    minutes = round(seconds / 60)
    if not minutes:
        return "less than a minute"
    return f"about {counted(minutes, 'minute') if minutes < 120 else counted(round(minutes / 60), 'hour')}"


def evaluation_line(row: Mapping[str, float], best: Best) -> str:
    """An evaluation in one line. row: of results.csv. best: of all evaluations, this one included."""
    mAP, best_mAP = (cell_text(value if math.isfinite(value) else None) for value in (row["val_mAP"], best.mAP))
    return (
        f"iteration {row['iteration']:.0f}: mAP {mAP}, best {best_mAP} at {best.iteration}; "
        f"loss {row['train_loss']:.2f} in the last batch, {row['val_loss']:.2f} in the evaluation"
    )
