"""The device, the number format, and settings of the process."""

from types import SimpleNamespace

import pytest
import torch

from ssd.errors import InputError
from ssd.inference.device import choose_device, choose_precision, prepare_for_training


def test_devices_and_precisions():
    assert choose_device("cpu").type == "cpu"
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for name in ("nonsense", "gpu", "mps", "cuda:"):  # PyTorch would list twenty kinds of devices
        with pytest.raises(InputError) as error:
            choose_device(name)
        assert (
            str(error.value) == f"--device {name} cannot be used here; give --device cuda, cuda:1, ... or --device cpu"
        )
    assert choose_precision("fp16", "cpu") == torch.float16
    assert choose_precision("auto", "cpu") in (torch.float32, torch.bfloat16)
    with pytest.raises(InputError, match="precision is 'int8', must be one of auto, fp32, bf16, fp16"):
        choose_precision("int8", "cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_missing_gpu():
    with pytest.raises(InputError, match=r"--device cuda cannot be used here \([^.]+\); try --device cpu"):
        choose_device("cuda")


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    calls = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *args: calls.append(args)))
    prepare_for_training(torch.device("cpu"))
    assert calls == [(-4, 0), (-1, -1)]
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace())  # macOS
    prepare_for_training(torch.device("cpu"))
