import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from ssd.data import PascalVOCDataset, collate
from ssd.data.loading import loader


def test_collate(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    images, boxes, labels, difficulties = collate([dataset[k] for k in range(3)])
    assert images.shape == (3, 3, 300, 300)
    assert [len(b) for b in boxes] == [len(lb) for lb in labels] == [len(d) for d in difficulties]


class OwnProcess(torch.utils.data.Dataset):
    """Samples that are the ids of the processes that load them."""

    def __len__(self):
        return 1000

    def __getitem__(self, index):
        return os.getpid()


def test_signals_do_not_end_workers():
    ids = iter(loader(OwnProcess(), workers=1, collate_fn=max))
    worker = next(ids)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGTERM):
        os.kill(worker, number)
    assert set(ids) == {worker}
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


HOLDS_WORKERS = """
from ssd.data.loading import loader
from tests.data.test_loading import OwnProcess
ids = iter(loader(OwnProcess(), workers=2, collate_fn=max))
print(next(ids), next(ids), flush=True)
"""


@pytest.mark.parametrize("end, status", [("raise KeyError", 1), ("import os; os._exit(3)", 3)])
def test_workers_end_with_the_process(end, status):
    """With an exception that keeps hold of them, and where the process just dies."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", HOLDS_WORKERS + end], capture_output=True, text=True)
    assert done.returncode == status
    for worker in map(int, done.stdout.split()):
        while is_alive(worker):
            assert time.monotonic() < began + 60
            time.sleep(0.1)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
