"""Loading samples in batches, in worker processes."""

import atexit
import os
import signal
from collections.abc import Callable, Sequence
from ctypes import c_bool
from functools import cache, partial
from multiprocessing import RawValue
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # image, boxes, labels, difficulties
Targets = list[torch.Tensor]


def collate(samples: Sequence[Sample]) -> tuple[torch.Tensor, Targets, Targets, Targets]:
    """Samples -> (images (N, 3, 300, 300), boxes, labels, difficulties), the last three as lists of N tensors."""
    images, boxes, labels, difficulties = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(labels), list(difficulties)


def loader(dataset: Dataset | Sequence, workers: int = 0, collate_fn: Callable = collate, **options: Any) -> DataLoader:
    """A DataLoader whose worker processes leave signals to the main process. options: as for `DataLoader`."""
    prepare = partial(_leave_signals_to_parent, _leaving())
    return DataLoader(
        dataset,  # type: ignore[arg-type]  # any sequence will do
        num_workers=workers,
        collate_fn=collate_fn,
        worker_init_fn=prepare,
        **options,
    )


@cache
def _leaving() -> c_bool:
    """A flag in shared memory: whether the main process is leaving.

    It is set before multiprocessing's own function at exit, which sends SIGTERM to the workers that are left over, and
    waits for them.
    """
    leaving = RawValue(c_bool, False)
    atexit.register(setattr, leaving, "value", True)
    return leaving


def _leave_signals_to_parent(leaving: c_bool, _: int) -> None:
    """Make a worker leave the signals of a process group (Ctrl-C, a closed terminal's SIGHUP, a scheduler's SIGTERM) to
    the main process, which still needs its workers: it ends in good order. Workers end with it, even where it dies."""
    for name in ("SIGINT", "SIGHUP"):  # Windows has no SIGHUP
        if number := getattr(signal, name, None):
            signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0) if leaving.value else None)
