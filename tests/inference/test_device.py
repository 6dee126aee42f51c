from types import SimpleNamespace

import torch

from ssd.inference.device import prepare_for_training


def test_memory_is_kept_where_the_c_library_can(monkeypatch):
    calls = []
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace(mallopt=lambda *args: calls.append(args)))
    prepare_for_training(torch.device("cpu"))
    assert calls == [(-4, 0), (-1, -1)]
    monkeypatch.setattr("ctypes.CDLL", lambda _: SimpleNamespace())  # macOS
    prepare_for_training(torch.device("cpu"))
