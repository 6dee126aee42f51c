from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from ssd.data import PascalVOCDataset
from ssd.training.batches import TrainingBatches, on_device
from tests.helpers.runs import batches_of
from tests.helpers.voc_folders import cover_with_crowds


@pytest.mark.parametrize("n_images, batch_size", [(10, 4), (3, 8), (8, 8)])
def test_every_epoch_shows_every_image_once(n_images, batch_size):
    pairs = [pair for batch in TrainingBatches(n_images, batch_size, 30, seed=1) for pair in batch]
    assert len(pairs) == 30 * batch_size
    epochs = [[index for epoch, index in pairs if epoch == e] for e in range(pairs[-1][0])]
    assert len(epochs) >= 2
    assert all(sorted(epoch) == list(range(n_images)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_batches_are_a_function_of_the_iteration():
    whole = list(TrainingBatches(10, 4, 20, seed=1))
    assert len(whole) == 20
    assert list(TrainingBatches(10, 4, 20, start=7, seed=1)) == whole[7:]
    assert list(TrainingBatches(10, 4, 20, seed=2)) != whole


def test_parts_of_processes_make_up_the_batch():
    whole = list(TrainingBatches(10, 8, 5, seed=1))
    parts = [list(TrainingBatches(10, 8, 5, seed=1, n_parts=2, part_of_process=(rank, 2))) for rank in (0, 1)]
    assert all(len(part) == 2 for process in parts for part in process)
    for k, batch in enumerate(whole):
        assert [pair for process in parts for part in process[2 * k : 2 * k + 2] for pair in part] == batch


def test_workers_change_nothing(data_folder):
    dataset = PascalVOCDataset(data_folder, "train", augment=True)
    runs = [list(batches_of(dataset, 3, 3, seed=5, workers=workers)) for workers in (0, 1, 2)]
    for run in runs[1:]:
        for batch, expected in zip(run, runs[0], strict=True):
            assert torch.equal(batch.images, expected.images)
            assert batch.paths == expected.paths
            for kind in ("boxes", "labels", "difficulties", "crowds"):
                pairs = zip(getattr(batch, kind), getattr(expected, kind), strict=True)
                assert all(torch.equal(a, b) for a, b in pairs)


def test_the_next_batch_is_copied_while_one_is_worked_on(monkeypatch):
    """The order of things, with streams that only take notes."""
    done = []

    class Part:
        def __init__(self, name):
            self.name = name

        def to(self, device):
            done.append(f"copy {self.name}")
            return self

        def record_stream(self, stream):
            done.append(f"keep {self.name}")

    work = SimpleNamespace(wait_stream=lambda stream: done.append("wait"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: work)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    for (part,) in on_device([[Part("a")], [Part("b")]], torch.device("cuda")):
        done.append(f"work on {part.name}")
    assert done == ["copy a", "wait", "keep a", "copy b", "work on a", "wait", "keep b", "work on b", "wait"]
    assert list(on_device([], torch.device("cuda"))) == []
    assert list(on_device([["a"], ["b"]], torch.device("cpu"))) == [["a"], ["b"]]


def test_copies_to_the_cpu_are_waited_for(train_set, monkeypatch):
    copies, to = [], torch.Tensor.to

    def noted(tensor, *args, **kwargs):
        copies.append(kwargs.get("non_blocking", False))
        return to(tensor, *args, **kwargs)

    batch = next(iter(batches_of(train_set, 2, 1)))
    monkeypatch.setattr(torch.Tensor, "to", noted)
    batch.to(torch.device("cpu"))
    assert copies == [False] * 4


def test_samples_of_a_batch_are_those_of_the_data_set(train_set):
    batch = next(iter(batches_of(train_set, len(train_set), 1)))
    places = [train_set.data.paths.index(path) for path in batch.paths]
    assert batch.labels.eq(0).any()  # filled up
    for place, sample in zip(places, batch.samples(), strict=True):
        expected = *train_set[0, place], train_set.crowds((0, place))
        assert all(torch.equal(a, b) for a, b in zip(sample, expected, strict=True))


def test_a_batch_has_the_crowds_of_its_samples(data_folder, tmp_path):
    dataset = PascalVOCDataset(cover_with_crowds(data_folder, tmp_path, 2), "train", augment=True)
    batch = next(iter(batches_of(dataset, len(dataset), 1)))
    places = [dataset.data.paths.index(path) for path in batch.paths]
    for place, sample in zip(places, batch.samples(), strict=True):
        assert torch.equal(sample[4], dataset.crowds((0, place))) and len(sample[4]) == 2
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.crowds, batch.crowds) and batch.crowds.shape == (len(dataset), 2, 4)
