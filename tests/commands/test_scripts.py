"""The four scripts as a user runs them: what works, and that bad input gives one sentence and exit status 2."""

import json
import os
import shutil
import subprocess
import sys
import urllib.error
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.models import vgg16

from ssd import SSD300, SSDConfig, load_checkpoint, save_checkpoint
from ssd.commands import data as create_data_lists
from ssd.commands import detect, train
from ssd.commands import eval as evaluation
from ssd.training.recipe import Recipe
from tests.helpers.scripts import SHORT, refused
from tests.helpers.voc_folders import make_voc, voc_object

ROOT = Path(__file__).parents[2]
# -- what works


def test_from_lists_to_detections(data_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--data", str(data_folder), *SHORT]) == 0
    run = tmp_path / "runs" / "1"
    written = {path.name for path in run.iterdir()}
    assert written > {"args.json", "best.pth", "last.pth", "results.csv", "train_batch.jpg", "validation.jpg"}
    assert not [name for name in written if name.endswith(".tmp")]
    assert "mAP voc07" in capsys.readouterr().out

    assert evaluation.main(["--data", str(data_folder), "--json", "figures.json", "--save-results", "results"]) == 0
    from_model = capsys.readouterr().out
    assert "mAP voc07" in from_model
    figures = json.loads(Path("figures.json").read_text())
    assert [c["name"] for c in figures["classes"]] == ["circle", "square", "star", "triangle"]
    assert figures["images"] == 4

    assert evaluation.main(["--data", str(data_folder), "--results", "results", "--json", "again.json"]) == 0
    again = json.loads(Path("again.json").read_text())
    own = {"images_per_second": None, "detections_of": None}
    assert again | own == figures | own

    assert detect.main([str(data_folder / "TEST_images.json"), "--output", "out", "--min-score", "0.05"]) == 0
    records = json.loads(Path("out/detections.json").read_text())
    assert len(records) == 4
    for record in records:
        with Image.open(Path("out") / record["annotated"]) as annotated:
            assert annotated.size == (record["width"], record["height"])
        for found in record["detections"]:
            assert found["name"] in ("circle", "square", "star", "triangle")
            assert found["score"] > 0.05
            assert 0 <= found["box"][0] <= found["box"][2] <= record["width"]

    assert train.main(["--data", str(data_folder), *SHORT]) == 0
    assert (tmp_path / "runs" / "2" / "best.pth").exists()  # the first run is left alone


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


def test_options_of_detection(checkpoint, voc_folder, tmp_path):
    picture = min((voc_folder / "JPEGImages").iterdir())
    args = [str(picture), "--checkpoint", str(checkpoint), "--output", str(tmp_path), "--min-score", "0.05"]

    def found(*options):
        assert detect.main([*args, *options]) == 0
        return json.loads((tmp_path / "detections.json").read_text())[0]["detections"]

    assert len(found()) == 200
    assert found("--top-k", "3") == found()[:3]
    assert found("--max-overlap", "0.9") != found()


def test_folder_of_pictures_with_a_bad_one(checkpoint, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (30, 40)).save(pictures / "good.png")
    Image.new("L", (30, 40)).save(pictures / "good.JPG", format="JPEG")
    (pictures / "bad.png").write_text("no picture")
    (pictures / "notes.txt").write_text("not meant as one")
    refused(capsys, detect, [pictures, "--checkpoint", checkpoint, "--output", tmp_path / "out"], "bad.png")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["detections.json", "good.jpg", "good_2.jpg"]


@pytest.mark.parametrize("script", ["create_data_lists.py", "train.py", "eval.py", "detect.py"])
def test_help(script):
    environment = {**os.environ, "COLUMNS": "100"}
    shown = subprocess.run(
        [sys.executable, ROOT / script, "--help"], capture_output=True, text=True, env=environment, timeout=300
    )
    assert shown.returncode == 0
    assert "default: None" not in shown.stdout
    if script == "train.py":
        described = " ".join(shown.stdout.split())
        for text in (
            "of the whole run (default: 120000 of 32 images)",
            "0: no limit (default: 0.0)",
            "random choices (default: 0)",
        ):
            assert text in described


@pytest.mark.parametrize("script", [create_data_lists, train, evaluation, detect])
def test_main_returns_the_status(script, capsys):
    assert script.main(["--help"]) == 0
    refused(capsys, script, ["--wrong"], "--help")


def test_interrupted(data_folder, monkeypatch, tmp_path, capsys):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("ssd.training.step.TrainingStep.__call__", interrupt)
    assert train.main(["--data", str(data_folder), "--output", str(tmp_path / "run"), *SHORT]) == 130
    assert "Traceback" not in capsys.readouterr().err


# -- bad input: data lists


def test_voc_folder_without_the_split_file(voc_folder, tmp_path, capsys):
    args = ["--voc", voc_folder, "--train-split", "train", "--output", tmp_path]
    refused(capsys, create_data_lists, args, "train.txt", "there: test, trainval")


def test_no_voc_folder(tmp_path, capsys):
    refused(capsys, create_data_lists, ["--voc", tmp_path / "nowhere", "--output", tmp_path], "nowhere", "trainval.txt")


def test_class_names_that_the_terminal_cannot_show(tmp_path):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, voc_object("犬", 1, 1, 9, 9))
    command = [sys.executable, ROOT / "create_data_lists.py", "--voc", folder, "--output", tmp_path / "lists"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}
    done = subprocess.run(command, capture_output=True, env=environment, timeout=300)
    assert done.returncode == 0
    assert b"1 classes: ?" in done.stdout


def test_unknown_class(tmp_path, capsys):
    folder = make_voc(tmp_path / "VOC2007", {"trainval": ["a"], "test": ["b"]}, voc_object("unicorn", 1, 1, 9, 9))
    refused(
        capsys, create_data_lists, ["--voc07", folder, "--output", tmp_path / "x"], "unknown class unicorn", "a.jpg"
    )
    assert not (tmp_path / "x").exists()


def test_missing_image_and_annotation(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]}, voc_object("dog", 1, 1, 9, 9))
    args = ["--voc", folder, "--output", tmp_path / "x"]
    (folder / "JPEGImages/b.jpg").rename(tmp_path / "b.jpg")
    refused(capsys, create_data_lists, args, "b.jpg: no such picture")
    (tmp_path / "b.jpg").rename(folder / "JPEGImages/b.jpg")
    (folder / "Annotations/a.xml").write_text("<annotation>")
    refused(capsys, create_data_lists, args, "a.xml: not XML")
    (folder / "Annotations/a.xml").unlink()
    refused(capsys, create_data_lists, args, "a.xml: no such annotation")


def test_nothing_to_learn(tmp_path, capsys):
    folder = make_voc(tmp_path / "voc", {"trainval": ["a"], "test": ["b"]})
    refused(capsys, create_data_lists, ["--voc", folder, "--output", tmp_path / "x"], "no image has an object")


# -- bad input: training


@pytest.mark.parametrize("script", [train, evaluation])
def test_missing_data_lists(script, checkpoint, tmp_path, capsys):
    args = ["--data", tmp_path] + (["--checkpoint", checkpoint] if script is evaluation else SHORT)
    refused(capsys, script, args, "no such data list", "create_data_lists.py")


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
    refused(capsys, train, [*args, tmp_path / "tensor.pth"], "tensor.pth: holds no SSD300 that is known")


def test_bad_values(data_folder, capsys):
    for option, value, message in (
        ("--iterations", "0", "0 is not at least 1"), ("--iterations", "1.5", "'1.5' is not a whole number"),
        ("--lr", "-1", "-1 is not at least 0"), ("--lr", "inf", "'inf' is not a number"),
        ("--lr", "nan", "'nan' is not a number"),
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

    monkeypatch.setattr("ssd.training.session.Trainer", trainer)
    with pytest.raises(Reached) as reached:
        train.main([str(arg) for arg in args])
    return reached.value.args


def test_every_option_reaches_the_trainer(data_folder, tmp_path, monkeypatch):
    args = ["--data", data_folder, "--output", tmp_path, *SHORT, "--batch-size", 3, "--iterations", 50, "--seed", 9]
    options = "--lr 0.5 --warmup 7 --drops 20 30 --clip-norm 2.5 --workers 1 --save-every 11 --eval-every 13"
    options += " --augmentation flip --accumulate 3 --freeze --ema 0.9 --patience 4 --precision fp16"
    args += options.split()
    model, dataset, recipe, device, dtype = trainer_arguments(monkeypatch, *args)
    assert recipe == Recipe(
        iterations=50, batch_size=3, lr=0.5, drops=(20, 30), warmup=7, clip_norm=2.5, accumulate=3, freeze=4, ema=0.9,
        workers=1, seed=9, save_every=11, eval_every=13, patience=4,
    )  # fmt: skip
    assert (dataset.augment, dataset.recipe, dataset.seed) == (True, "flip", 9)
    assert (device.type, dtype) == ("cpu", torch.float16)
    torch.manual_seed(9)
    assert torch.equal(model.base.conv1_1.weight, SSD300(model.config).base.conv1_1.weight)


def test_augmentation_and_warmup_unless_told_otherwise(data_folder, tmp_path, monkeypatch):
    args = ["--data", data_folder, "--output", tmp_path, *SHORT, "--iterations", 50]
    _, dataset, recipe, _, _ = trainer_arguments(monkeypatch, *args)
    assert (dataset.augment, dataset.recipe) == (True, "paper")
    assert (recipe.warmup, recipe.drops, recipe.eval_every) == (5, (34, 42), 5)


@pytest.mark.parametrize("batch_size, lr, iterations", [(32, 1e-3, 120_000), (8, 2.5e-4, 480_000), (64, 2e-3, 60_000)])
def test_defaults_follow_the_batch(data_folder, tmp_path, monkeypatch, batch_size, lr, iterations):
    args = ["--data", data_folder, "--output", tmp_path, "--weights", "none", "--batch-size", batch_size]
    recipe = trainer_arguments(monkeypatch, *args)[2]
    assert (recipe.lr, recipe.iterations, recipe.warmup) == (pytest.approx(lr), iterations, 1000)
    assert recipe.drops == (2 * iterations // 3, 5 * iterations // 6)


# -- bad input: checkpoints


@pytest.mark.parametrize("script", [evaluation, detect])
def test_missing_and_damaged_checkpoints(script, data_folder, voc_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    args = ["--data", data_folder] if script is evaluation else [voc_folder / "JPEGImages"]
    refused(capsys, script, args, "no checkpoint in runs/", "--checkpoint")
    refused(capsys, script, [*args, "--checkpoint", "missing.pth"], "missing.pth: no such file")
    refused(capsys, script, [*args, "--checkpoint", tmp_path], "a folder, not a file", "train.py")
    Path("damaged.pth").write_bytes(b"PK\x03\x04 and so on")
    refused(capsys, script, [*args, "--checkpoint", "damaged.pth"], "damaged.pth: damaged")


def test_checkpoint_of_other_classes(data_folder, tmp_path, capsys):
    save_checkpoint(tmp_path / "other.pth", SSD300(SSDConfig(class_names=("cat", "dog"))))
    args = ["--data", data_folder, "--checkpoint", tmp_path / "other.pth"]
    message = "detects cat, dog, but the classes", data_folder, "circle, square"
    refused(capsys, evaluation, args, *message)
    args = ["--data", data_folder, *SHORT, "--resume", tmp_path / "other.pth"]
    refused(capsys, train, args, "other.pth: holds a model without the state of its training")


def test_resume_without_a_run(data_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(capsys, train, ["--data", data_folder, *SHORT, "--resume"], "no run in runs/ has a last.pth")
    args = ["--data", data_folder, *SHORT, "--output", tmp_path, "--resume"]
    refused(capsys, train, args, "last.pth: no such file")


# -- bad input: pictures


def test_bad_sources(checkpoint, tmp_path, capsys):
    args = ["--checkpoint", checkpoint, "--output", tmp_path / "out"]
    refused(capsys, detect, [tmp_path / "nothing.jpg", *args], "nothing.jpg: no such picture or folder")
    (tmp_path / "empty").mkdir()
    refused(capsys, detect, [tmp_path / "empty", *args], "no pictures in this folder")
    (tmp_path / "list.json").write_text("[1]")
    refused(capsys, detect, [tmp_path / "list.json", *args], "list.json: must hold the paths")
    Image.new("RGB", (9, 9)).save(tmp_path / "empty" / "a.jpg")
    args = ["--checkpoint", checkpoint, "--output", tmp_path / "empty"]
    refused(capsys, detect, [tmp_path / "empty", *args], "annotated copies would replace them")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_pictures_are_never_written_over(checkpoint, tmp_path, capsys, link):
    for folder in ("pictures", "elsewhere", "out"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "pictures/a.jpg")
    before = (tmp_path / "pictures/a.jpg").read_bytes()
    for linked in ("out/a.jpg", "elsewhere/a.jpg"):
        link(tmp_path / "pictures/a.jpg", tmp_path / linked)
    os.symlink(tmp_path / "pictures", tmp_path / "alias")
    for source, output in (
        ("pictures", "out"),
        ("pictures", "alias"),
        ("alias", "pictures"),
        ("elsewhere", "elsewhere"),
    ):
        args = [tmp_path / source, "--checkpoint", checkpoint, "--output", tmp_path / output]
        refused(capsys, detect, args, output, "would replace them")
    assert (tmp_path / "pictures/a.jpg").read_bytes() == before
