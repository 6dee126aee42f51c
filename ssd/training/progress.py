"""The progress line of a training run."""

import time

from tqdm import tqdm

REPORT_SECONDS = 2


class Progress:
    """Loss terms, rate, images per second and share of the time spent waiting for data, beside tqdm's bar and ETA."""

    def __init__(self, iterations, start, batch_size, quiet=False):
        self.batch_size = batch_size
        self.bar = tqdm(
            total=iterations, initial=start, desc="training", unit="it", dynamic_ncols=True, disable=quiet
        )  # fmt: skip
        self._reset()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    def _reset(self):
        self.since, self.waited, self.rows = time.perf_counter(), 0.0, []

    def timed(self, loader):
        """The loader's batches; the time it takes to give them counts as waiting."""
        batches = iter(loader)
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited += time.perf_counter() - start
            yield batch

    def update(self, rows):
        """Count iterations. rows: of results.csv, one for each."""
        self.rows += rows
        self.bar.update(len(rows))
        elapsed = time.perf_counter() - self.since
        if elapsed > REPORT_SECONDS or self.bar.n == self.bar.total:
            conf, loc = (sum(row[term] for row in self.rows) / len(self.rows) for term in ("train_conf", "train_loc"))
            self.bar.set_postfix_str(
                f"loss {conf + loc:.2f} = conf {conf:.2f} + loc {loc:.2f}, lr {self.rows[-1]['lr']:.1e}, "
                f"{len(self.rows) * self.batch_size / elapsed:.1f} images/s, "
                f"{self.waited / elapsed:.0%} waiting for data"
            )
            self._reset()
