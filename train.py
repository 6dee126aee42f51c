"""Trains SSD300 on data lists."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from ssd.checkpoint import load_checkpoint, load_training_state, save_checkpoint
from ssd.cli import add_device_arguments, add_loading_arguments, command, number, parser
from ssd.config import BACKBONES
from ssd.data import PascalVOCDataset
from ssd.data.augmentation import RECIPES
from ssd.device import choose_device, choose_precision
from ssd.errors import InputError
from ssd.evaluation.evaluate import detect_dataset, match_dataset
from ssd.evaluation.summary import format_summary, summarize
from ssd.model import SSD300
from ssd.training.schedule import default_warmup
from ssd.training.trainer import Recipe, Trainer
from ssd.training.weights import load_base_weights


def parse(argv):
    p = parser("Train SSD300 on the data lists of create_data_lists.py, then evaluate it on the test list.")
    p.add_argument("--data", default="data", help="folder of the data lists")
    p.add_argument("--output", help="folder of the run (default: the next free runs/N)")
    p.add_argument("--weights", default="imagenet", help="imagenet (downloaded), none, or a file of VGG16's weights")
    p.add_argument("--backbone", choices=BACKBONES, default="vgg16", help="vgg16_bn trains without weights too")
    p.add_argument("--iterations", type=number(int, 1), default=120_000, help="steps of the whole run")
    add_loading_arguments(p, batch_size=32)
    p.add_argument("--lr", type=number(float, 0), default=1e-3, help="rate, divided by 10 at 2/3 and 5/6 of the run")
    p.add_argument("--warmup", type=number(int, 0), help="iterations (default: a tenth of the run, at most 1000)")
    p.add_argument("--clip-norm", type=number(float, 0), default=0.0, help="largest gradient norm; 0: any")
    add_device_arguments(p)
    p.add_argument(
        "--augmentation", choices=RECIPES, default="paper", help="no-expand: never zoom out; flip: for runs of minutes"
    )
    p.add_argument("--seed", type=number(int, 0), default=0, help="of the random choices")
    p.add_argument("--save-every", type=number(int, 1), default=1000, help="iterations between checkpoints")
    p.add_argument("--resume", nargs="?", const="", metavar="FILE", help="go on from FILE, or from the run's last.pth")
    return p.parse_args(argv)


def create_run(output):
    """The folder of a new run. Raises InputError rather than write over an old one."""
    if output is None:
        taken = [int(path.name) for path in Path("runs").glob("*") if path.name.isdecimal()]
        output = Path("runs") / str(max(taken, default=0) + 1)
    folder = Path(output)
    if (folder / "last.pth").exists():
        raise InputError(f"{folder} holds a run already; --resume goes on with it, another --output starts a new one")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def create_model(args, config):
    """A new model with the weights that were asked for."""
    torch.manual_seed(args.seed)
    model = SSD300(config)
    load_base_weights(model.base, args.weights, args.backbone)
    return model


@command
def main(argv=None):
    args = parse(argv)
    device = choose_device(args.device)
    dtype = choose_precision(args.precision, device)
    torch.backends.cudnn.benchmark = True  # every batch has the same shape

    resumed = resumed_checkpoint(args)
    model = load_checkpoint(resumed) if resumed else None
    train_set = PascalVOCDataset(
        args.data, "train", model and model.config, augment=True, recipe=args.augmentation, seed=args.seed
    )
    if not len(train_set):
        raise InputError(f"{args.data}: no image to train on")
    if model is None:
        model = create_model(args, replace(train_set.config, backbone=args.backbone))
    test_set = PascalVOCDataset(args.data, "test", model.config)
    folder = resumed.parent if resumed else create_run(args.output)

    warmup = default_warmup(args.iterations) if args.warmup is None else args.warmup
    recipe = Recipe(
        iterations=args.iterations, batch_size=args.batch_size, lr=args.lr, warmup=warmup, clip_norm=args.clip_norm,
        workers=args.workers, seed=args.seed, save_every=args.save_every,
    )  # fmt: skip
    trainer = Trainer(model, train_set, recipe, device, dtype)
    if resumed:
        trainer.restore(load_training_state(resumed))
    number_format = str(dtype).removeprefix("torch.")
    print(f"{folder}: {len(train_set)} images, {model.config.backbone} on {device} in {number_format}")
    trainer.run(folder / "last.pth")

    save_checkpoint(folder / "best.pth", model)
    found = detect_dataset(model, test_set, args.batch_size, args.workers, device)
    print(format_summary(summarize(match_dataset(found, test_set), found.seconds)))
    print(f"trained model: {folder / 'best.pth'}")


def resumed_checkpoint(args):
    """The checkpoint to go on from, None for a new run."""
    if args.resume is None:
        return None
    if not args.resume and not args.output:
        raise InputError("--resume needs a file, or the run's folder as --output")
    return Path(args.resume or Path(args.output) / "last.pth")


if __name__ == "__main__":
    sys.exit(main())
