"""One run on several processes, started by `torchrun`. Without it, every function does what one process needs."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ssd.errors import InputError
from ssd.inference.device import choose_device

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # with a process that others wait for: the first one may have weights to download


def n_processes() -> int:
    """The number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number in the run. Only the first, 0, writes and prints."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def process_group(device_name: str | None, patience: timedelta = PATIENCE) -> Iterator[torch.device]:
    """Join the processes that torchrun started, for the block. Yields the device of this process.

    device_name: see `choose_device`; of the GPUs, each process takes one of its own. patience: how long processes may
    wait for one another.
    If another process has ended, this one does so too, silently: that one has said why.
    """
    if not dist.is_torchelastic_launched():
        yield choose_device(device_name)
        return
    device = _own_device(device_name)
    backend, gpu = ("nccl", device) if device.type == "cuda" else ("gloo", None)
    dist.init_process_group(backend, timeout=patience, device_id=gpu)
    try:
        yield device
    except RuntimeError as error:
        if "by peer" not in str(error):  # gloo's "Connection closed by peer", or "reset"
            raise
        raise SystemExit(2) from None
    dist.destroy_process_group()  # after an error it could wait for the others, who wait for this process


def _own_device(name):
    """The GPU of this process, or the CPU. It is set before anything uses the first GPU, which is another process's."""
    number, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    kind = name and name.partition(":")[0]
    if not n_gpus or kind not in (None, "cuda"):
        return choose_device(name)
    if number >= n_gpus:
        raise InputError(f"process {number + 1} of this machine has no GPU of its own; --nproc-per-node {n_gpus} fits")
    torch.cuda.set_device(number)
    return choose_device(f"cuda:{number}")


@contextmanager
def first_process_first() -> Iterator[None]:
    """Run the block in the first process before the others, so that one downloads and the others find the file."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and n_processes() > 1:
        dist.barrier()


def parallel(model: nn.Module) -> nn.Module:
    """The model with gradients averaged over the processes, and batch normalisation over the images of all of them.

    Raises InputError on a CPU, where PyTorch has no such batch normalisation.
    """
    if n_processes() == 1:
        return model
    device = next(model.parameters()).device
    if any(isinstance(part, nn.BatchNorm2d) for part in model.modules()):
        if device.type != "cuda":
            raise InputError(
                "batch normalisation (vgg16_bn) over several processes works on CUDA only; "
                "start one process, or use --backbone vgg16"
            )
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    # For rescale_factors: the strides of its dimensions of length 1 mean nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def without_averaging(network: nn.Module) -> AbstractContextManager:
    """A context for all but the last backward pass of a step, in which gradients stay in their process."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else contextlib.nullcontext()


def total(tensor: torch.Tensor) -> torch.Tensor:
    """The sum of a tensor over the processes."""
    if n_processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def in_any(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any of the processes."""
    return total(torch.tensor(float(flag), device=device)).item() > 0


def from_first(make: Callable[[], T]) -> T:
    """What a function returns in the first process, which alone calls it, in each of them."""
    if n_processes() == 1:
        return make()
    values: list[Any] = [make() if rank() == 0 else None]
    dist.broadcast_object_list(values)
    return values[0]


def gathered(value: T) -> list[T]:
    """The values of all processes, in order of rank, in each of them."""
    if n_processes() == 1:
        return [value]
    values = [value] * n_processes()
    dist.all_gather_object(values, value)
    return values


def gathered_by_first(value: T) -> list[T] | None:
    """The values of all processes, in order of rank, in the first of them; None in the others."""
    if n_processes() == 1:
        return [value]
    values = [value] * n_processes() if rank() == 0 else None
    dist.gather_object(value, values)
    return values


@contextmanager
def failing_together() -> Iterator[None]:
    """Run the block in each process to its end or its error. An InputError of any is then raised in all of them."""
    own = None
    try:
        yield
    except InputError as error:
        own = error
    for first in filter(None, gathered(own)):
        raise first
