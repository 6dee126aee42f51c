"""Where and in which number format a model computes."""

import contextlib
import ctypes

import torch

from ssd.errors import InputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *DTYPES)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt(3)


def choose_device(name=None):
    """The named device, cpu or cuda; without a name cuda where there is one. Raises InputError where it is not there.

    Others (Apple's mps) are refused: they have no float64, in which overlapping detections are compared.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("only cpu and cuda are supported")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name} cannot be used here ({reason}); try --device cpu") from None
    return device


def choose_precision(name, device):
    """The dtype for `name`; "auto" is bfloat16 where the device multiplies it faster than float32, else float32."""
    if name == "auto":
        return torch.bfloat16 if _fast_bfloat16(torch.device(device)) else torch.float32
    return DTYPES[name]


def _fast_bfloat16(device):
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # tensor cores since Ampere
    if device.type != "cpu":
        return False
    return _cpu_has("amx_tile") or _cpu_has("avx512_bf16")


def _cpu_has(feature):
    probe = getattr(torch.cpu, f"_is_{feature}_supported", None)  # private, so it may be missing in another version
    return probe is not None and probe()


def autocast(device, dtype):
    """Run the block's matrix products in `dtype`; float32 means PyTorch's ordinary arithmetic (cuDNN may use TF32)."""
    if dtype == torch.float32:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype)


def prepare_for_training(device):
    """Settings that hold in the whole process, and so are for scripts alone to make."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    else:
        _keep_freed_memory()


def _keep_freed_memory():
    """Have glibc keep what is freed for the next step: it would return large blocks, gigabytes in a step, and get them
    anew page by page, which takes a tenth of the time. Other C libraries are left as they are."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
