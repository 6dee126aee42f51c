"""`ssd300 train` as a user runs it: what works, and that bad input gives one sentence and exit status 2."""

import json
import shutil
import urllib.error
from pathlib import Path

import pytest
import torch
from torchvision.models import vgg16

from ssd import SSD512, load_checkpoint
from ssd.commands import train
from ssd.training.recipe import Recipe
from ssd.training.run.folder import resumed_checkpoint
from tests.helpers.scripts import SHORT, refused


def test_training_from_a_file_of_weights(data_folder, tmp_path):
    torch.manual_seed(0)
    state = vgg16(weights=None).state_dict()
    torch.save(state, tmp_path / "vgg16.pth")
    args = ["--data", data_folder, "--output", tmp_path / "run", *SHORT, "--weights", tmp_path / "vgg16.pth", "--lr", 0]
    assert train.main([str(arg) for arg in args]) == 0
    model = load_checkpoint(tmp_path / "run" / "best.pth")
    assert torch.equal(model.base.conv1_1.weight, state["features.0.weight"])
    assert torch.equal(model.base.conv7.bias, state["classifier.3.bias"][::4])


def test_training_goes_on(data_folder, tmp_path, capsys):
    args = ["--data", str(data_folder), "--output", str(tmp_path / "run"), *SHORT]
    assert train.main(args) == 0
    assert train.main([*args, "--iterations", "2", "--resume"]) == 0
    assert "| 2/2 [" in capsys.readouterr().err
    refused(capsys, train, args, tmp_path / "run", "--resume")


def test_interrupted(data_folder, monkeypatch, tmp_path, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("ssd.training.step.TrainingStep.__call__", interrupt)
    assert train.main(["--data", str(data_folder), "--output", str(tmp_path / "run"), *SHORT]) == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("workers", [0, 1])
def test_missing_training_image(data_folder, tmp_path, capsys, workers):
    shutil.copytree(data_folder, tmp_path / "lists")
    images = json.loads((data_folder / "TRAIN_images.json").read_text())
    lost = [image.replace("JPEGImages", "lost") for image in images]
    (tmp_path / "lists/TRAIN_images.json").write_text(json.dumps(lost))
    args = ["--data", tmp_path / "lists", "--output", tmp_path / "run", *SHORT, "--workers", workers]
    refused(capsys, train, args, "lost", "no such picture")


def test_no_network_for_weights(data_folder, tmp_path, capsys, monkeypatch):
    def no_network(*args, **kwargs):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    args = ["--data", data_folder, "--output", tmp_path / "run", *SHORT, "--weights", "imagenet"]
    refused(capsys, train, args, "no network here", "--weights FILE", "--weights none")
    refused(capsys, train, [*args, "--scales", 0.1], "--scales 0.1: the 6 maps need 6 numbers")  # before the download
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no pickle"])
def test_damaged_download(data_folder, tmp_path, capsys, monkeypatch, content):
    def damaged(url, path, hash_prefix):
        Path(path).write_bytes(content)

    monkeypatch.setattr("torch.hub.download_url_to_file", damaged)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    args = ["--data", data_folder, "--output", tmp_path / "run", *SHORT, "--weights", "imagenet"]
    refused(capsys, train, args, "hub/checkpoints/vgg16-397923af.pth: damaged", "delete it")


def test_bad_weights(data_folder, tmp_path, capsys):
    args = ["--data", data_folder, "--output", tmp_path / "run", *SHORT, "--weights"]
    refused(capsys, train, [*args, tmp_path / "missing.pth"], "missing.pth: no such file")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04")
    refused(capsys, train, [*args, tmp_path / "damaged.pth"], "damaged.pth: damaged")
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    refused(capsys, train, [*args, tmp_path / "other.pth"], "other.pth: not the weights of")
    torch.save({"state_dict": {"module.features.0.weight": torch.zeros(1)}}, tmp_path / "wrapped.pth")
    refused(capsys, train, [*args, tmp_path / "wrapped.pth"], "wrapped.pth: not the weights of")
    torch.save(torch.zeros(1), tmp_path / "tensor.pth")
    refused(capsys, train, [*args, tmp_path / "tensor.pth"], "tensor.pth: not a known SSD format")


def test_bad_values(data_folder, capsys):
    for option, value, message in (
        ("--iterations", "0", "0 is not at least 1"), ("--iterations", "1.5", "'1.5' is not a whole number"),
        ("--lr", "-1", "-1 is not at least 0"), ("--lr", "inf", "'inf' is not a number"),
        ("--lr", "nan", "'nan' is not a number"),
        ("--momentum", "1", "1 is not from 0 to 1, 1 excluded"), ("--weight-decay", "-1", "-1 is not at least 0"),
        ("--alpha", "-1", "-1 is not at least 0"), ("--neg-pos-ratio", "0", "0 is not at least 1"),
        ("--match-threshold", "0", "0 is not from 0 to 1, 0 excluded"),
        ("--batch-size", "many", "'many' is not"), ("--precision", "fp8", "fp8"),
    ):  # fmt: skip
        refused(capsys, train, ["--data", data_folder, option, value], option, message)


def test_unknown_device(data_folder, tmp_path, capsys):
    for device in ("abacus", "meta", "mps"):
        args = ["--data", data_folder, *SHORT, "--device", device]
        refused(capsys, train, args, f"--device {device}", "--device cpu")


def trainer_arguments(monkeypatch, *args):
    """What train.py gives to its `Trainer`, which is not run."""

    class Reached(Exception):
        pass

    def trainer(*arguments):
        raise Reached(*arguments)

    monkeypatch.setattr("ssd.training.prepare.Trainer", trainer)
    with pytest.raises(Reached) as reached:
        train.main([str(arg) for arg in args])
    return reached.value.args


def test_every_option_reaches_the_trainer(data_folder, tmp_path, monkeypatch):
    args = ["--data", data_folder, "--output", tmp_path, *SHORT, "--batch-size", 3, "--iterations", 50, "--seed", 9]
    options = "--lr 0.5 --warmup 7 --drops 20 30 --clip-norm 2.5 --workers 1 --save-every 11 --eval-every 13"
    options += " --momentum 0.8 --weight-decay 0.01 --alpha 2 --neg-pos-ratio 4 --match-threshold 0.6 --no-difficult"
    options += " --size 512 --augmentation flip --accumulate 3 --freeze --ema 0.9 --patience 4 --precision fp16"
    args += options.split()
    model, dataset, recipe, device, dtype = trainer_arguments(monkeypatch, *args)
    assert recipe == Recipe(
        iterations=50, batch_size=3, lr=0.5, drops=(20, 30), warmup=7, clip_norm=2.5, accumulate=3, freeze=4, ema=0.9,
        workers=1, seed=9, save_every=11, eval_every=13, patience=4, momentum=0.8, weight_decay=0.01, alpha=2,
        neg_pos_ratio=4, match_threshold=0.6, difficult=False,
    )  # fmt: skip
    assert (dataset.augment, dataset.augmentation, dataset.seed) == (True, "flip", 9)
    assert (device.type, dtype) == ("cpu", torch.float16)
    torch.manual_seed(9)
    assert torch.equal(model.base.conv1_1.weight, SSD512(model.config).base.conv1_1.weight)


def test_augmentation_and_warmup_unless_told_otherwise(data_folder, tmp_path, monkeypatch):
    args = ["--data", data_folder, "--output", tmp_path, *SHORT, "--iterations", 50]
    _, dataset, recipe, _, _ = trainer_arguments(monkeypatch, *args)
    assert (dataset.augment, dataset.augmentation) == (True, "paper")
    assert (recipe.warmup, recipe.drops, recipe.eval_every) == (5, (34, 42), 5)


@pytest.mark.parametrize("batch_size, lr, iterations", [(32, 1e-3, 120_000), (8, 2.5e-4, 480_000), (64, 2e-3, 60_000)])
def test_defaults_follow_the_batch(data_folder, tmp_path, monkeypatch, batch_size, lr, iterations):
    args = ["--data", data_folder, "--output", tmp_path, "--weights", "none", "--batch-size", batch_size]
    recipe = trainer_arguments(monkeypatch, *args)[2]
    assert (recipe.lr, recipe.iterations, recipe.warmup) == (pytest.approx(lr), iterations, 1000)
    assert recipe.drops == (2 * iterations // 3, 5 * iterations // 6)


def test_resume_without_a_run(data_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(capsys, train, ["--data", data_folder, *SHORT, "--resume"], "no run in runs/ has a last.pth")
    args = ["--data", data_folder, *SHORT, "--output", tmp_path, "--resume"]
    refused(capsys, train, args, "last.pth: no such file")


def test_resume_takes_the_folder_of_a_run(data_folder, tmp_path, capsys):
    args = ["--data", data_folder, *SHORT, "--resume", tmp_path]
    refused(capsys, train, args, f"{tmp_path / 'last.pth'}: no such file")
    assert resumed_checkpoint("runs/1/last.pth") == Path("runs/1/last.pth")
    assert resumed_checkpoint(tmp_path, "elsewhere") == tmp_path / "last.pth"
    assert resumed_checkpoint("", "runs/2") == Path("runs/2/last.pth")


def test_output_that_is_a_file(data_folder, tmp_path, capsys):
    (tmp_path / "file").touch()
    for output in ("file", "file/run"):
        args = ["--data", data_folder, *SHORT, "--output", tmp_path / output]
        refused(capsys, train, args, f"{tmp_path / 'file'}: is a file; name a folder")
