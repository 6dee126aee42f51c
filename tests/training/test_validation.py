import math

import torch

from ssd.checkpoint import read_file
from ssd.data import PascalVOCDataset
from ssd.training.recipe import Recipe
from ssd.training.run.results import read_results
from ssd.training.trainer import Trainer
from ssd.training.validation import Best, Validation
from tests.helpers.runs import validated
from tests.helpers.small_network import SmallSSD
from tests.long.kill_and_resume import same


def test_best_without_objects_to_find():
    nothing, found = validated(math.nan), validated(0.0)
    assert Best().beaten_by(nothing)
    best = Best().after(nothing, 1)
    assert not best.beaten_by(nothing)
    best = best.after(nothing, 2)
    assert best == Best(iteration=1, table="table", waited=1)
    assert best.beaten_by(found)
    assert best.after(found, 3) == Best(0.0, 3, "table")


def test_validation_changes_nothing(run):
    often, seldom = (run(f"{n}", f"--iterations 6 --eval-every {n} --backbone vgg16_bn --ema 0.9") for n in (1, 0))
    states = [read_file(folder / "last.pth", "") for folder in (often, seldom)]
    assert same(states[0]["model"], states[1]["model"])
    for part in ("optimiser", "average"):
        assert same(states[0]["training"][part], states[1]["training"][part])
    columns = [read_results(folder / "results.csv") for folder in (often, seldom)]
    assert columns[0]["train_loss"].tolist() == columns[1]["train_loss"].tolist()
    assert [(~torch.tensor(c["val_loss"]).isnan()).sum() for c in columns] == [6, 1]


def test_validation_of_nothing(data_folder):
    dataset = PascalVOCDataset(data_folder, "test").subset([])
    model = SmallSSD(dataset.config)
    trainer = Trainer(model, PascalVOCDataset(data_folder, "train"), Recipe(1, batch_size=2, lr=1e-3))
    found = Validation(dataset, 2, 0, torch.device("cpu"))(model, trainer.step.criterion)
    assert math.isnan(found.figures["val_mAP"])
    assert found.pictures == []
