"""Loading samples in batches, in worker processes."""

import signal
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

Sample = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]  # image, boxes, labels, difficulties
Targets = list[torch.Tensor]

GRACE_SECONDS = 30


def collate(samples: Sequence[Sample]) -> tuple[torch.Tensor, Targets, Targets, Targets]:
    """Samples -> (images (N, 3, 300, 300), boxes, labels, difficulties), the last three as lists of N tensors."""
    images, boxes, labels, difficulties = zip(*samples, strict=True)
    return torch.stack(images), list(boxes), list(labels), list(difficulties)


def loader(dataset: Dataset, workers: int = 0, collate_fn: Callable = collate, **options: Any) -> DataLoader:
    """A DataLoader whose worker processes leave signals to the main process. options: as for `DataLoader`."""
    return DataLoader(
        dataset, num_workers=workers, collate_fn=collate_fn, worker_init_fn=leave_signals_to_parent, **options
    )


def leave_signals_to_parent(_: int) -> None:
    """For `DataLoader(worker_init_fn=...)`: leave the signals of a process group (Ctrl-C, a scheduler's SIGTERM) to the
    main process, which ends its workers.

    A worker outlives SIGTERM by GRACE_SECONDS only: when Python ends with an exception, it sends SIGTERM to the workers
    that are left over, and waits for them.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):  # not on Windows
        signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))
