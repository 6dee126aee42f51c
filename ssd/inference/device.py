"""The device that a model computes on, and the number format."""

import contextlib
import ctypes
import re
from contextlib import AbstractContextManager

import torch

from ssd.errors import InputError, first_line

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *DTYPES)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)


def choose_device(name: str | None = None) -> torch.device:
    """The named device, cpu or cuda; without a name, cuda if there is one. Raises InputError if it cannot be used.

    Others (Apple's mps) are refused: they have no float64, in which overlapping detections are compared.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", str(name)):
        raise InputError(f"--device {name} cannot be used here; give --device cuda, cuda:1, ... or --device cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = first_line(error).partition(". ")[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); try --device cpu") from None
    return torch.device(name)


def choose_precision(name: str, device: torch.device | str) -> torch.dtype:
    """The dtype for one of PRECISIONS; "auto" is bfloat16 if the device multiplies it faster than float32.

    Raises InputError on another name.
    """
    if name not in PRECISIONS:
        raise InputError(f"precision is {name!r}, must be one of {', '.join(PRECISIONS)}")
    if name == "auto":
        return torch.bfloat16 if _fast_bfloat16(torch.device(device)) else torch.float32
    return DTYPES[name]


def precision_name(dtype: torch.dtype) -> str:
    """The name of a dtype that `choose_precision` returns: fp32, bf16 or fp16."""
    return next(name for name, each in DTYPES.items() if each == dtype)


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # tensor cores since Ampere
    return device.type == "cpu" and (cpu_has("amx_tile") or cpu_has("avx512_bf16"))


def cpu_has(feature: str) -> bool:
    """Whether the processor has these instructions, as far as PyTorch can tell: "vnni", "avx512_bf16", "amx_tile"."""
    probe = getattr(torch.cpu, f"_is_{feature}_supported", None)  # private, so another version may lack it
    return probe is not None and probe()


def autocast(device: torch.device | str, dtype: torch.dtype) -> AbstractContextManager:
    """Compute the block's matrix products in `dtype`; float32 is PyTorch's ordinary arithmetic (cuDNN may use TF32)."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype)


def prepare_for_training(device: torch.device) -> None:
    """Change settings of the whole process that make training faster. For scripts, not for library code."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    else:
        _keep_freed_memory()


def _keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next step. Other C libraries are left alone.

    Otherwise it returns gigabytes to the system in every step and maps them again, which takes a tenth of the step.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
