"""One run on several processes, started by `torchrun`; without it every function does what one process needs."""

import contextlib
import os
import warnings
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import nn

from ssd.errors import InputError


def n_processes():
    """Of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank():
    """This process's number in the run. The first, 0, is the one that writes and speaks."""
    return dist.get_rank() if dist.is_initialized() else 0


@contextmanager
def process_group(device):
    """Join the processes that torchrun started, for the block. Yields the device of this process.

    Raises InputError where another process has ended: that one says why, and a traceback here would bury it.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield device
        return
    if device.type == "cuda":
        device = _own_gpu()
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
    except RuntimeError as error:
        if "by peer" not in str(error):  # gloo's "Connection closed by peer", or "reset"
            raise
        raise InputError("another process of this run has ended; its own message says why") from None
    finally:
        dist.destroy_process_group()


def _own_gpu():
    number, n_gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if number >= n_gpus:
        raise InputError(f"process {number + 1} of this machine has no GPU of its own; --nproc-per-node {n_gpus} fits")
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


@contextmanager
def first_process_first():
    """Run the block in the first process before the others: one downloads, the others find the file."""
    if rank() > 0:
        dist.barrier()
    yield
    if rank() == 0 and n_processes() > 1:
        dist.barrier()


def parallel(model):
    """The model whose gradients are averaged over the processes, batch normalisation over all of their images.

    Raises InputError where PyTorch has no such batch normalisation: on the CPU.
    """
    if n_processes() == 1:
        return model
    device = next(model.parameters()).device
    if any(isinstance(part, nn.BatchNorm2d) for part in model.modules()):
        if device.type != "cuda":
            raise InputError(
                "batch normalisation (vgg16_bn) over several processes works on CUDA only; "
                "start one process, or take --backbone vgg16"
            )
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    # Of rescale_factors, whose dimensions of length 1 have strides that mean nothing.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return nn.parallel.DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)


def without_averaging(network):
    """For all but the last backward pass of a step: gradients stay where they are for now."""
    return network.no_sync() if n_processes() > 1 else contextlib.nullcontext()


def total(tensor):
    """The sum of a tensor over the processes."""
    if n_processes() > 1:
        dist.all_reduce(tensor)
    return tensor


def gathered(value):
    """The values of all processes, in their order, in each of them."""
    if n_processes() == 1:
        return [value]
    values = [None] * n_processes()
    dist.all_gather_object(values, value)
    return values
