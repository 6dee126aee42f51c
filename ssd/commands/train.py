"""`ssd300 train`: trains SSD300 or SSD512 on data lists. The work is in `ssd.training.prepare`."""

import sys
from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from dataclasses import fields
from pathlib import Path

from ssd import distributed
from ssd.commands.arguments import (
    add_device_arguments,
    add_loading_arguments,
    add_picture_arguments,
    command,
    number,
    parser,
)
from ssd.config import BACKBONES, SCALES
from ssd.data.augmentation import AUGMENTATIONS
from ssd.data.images import lift_pixel_limit
from ssd.files import check_writable
from ssd.inference.device import prepare_for_training
from ssd.training.prepare import describe_end, describe_start, prepare_run
from ssd.training.recipe import Recipe, paper_recipe
from ssd.training.run.folder import LAST, RunFolder, check_start, kept_arguments, resumed_checkpoint
from ssd.training.run.logs import LOGS
from ssd.training.trainer import Trainer
from ssd.training.weights import NetworkOptions

EXAMPLES = """\
examples:
  %(prog)s --iterations 10000 --batch-size 8 --lr 2.5e-4
  %(prog)s --weights coco --batch-size 8 --lr 1e-3 --iterations 500 --freeze    from a detector to other classes
  %(prog)s --resume                               go on with the newest run
  %(prog)s --resume runs/1 --output runs/again    go on with a copy of it, which leaves runs/1 as it is
"""


def arguments() -> ArgumentParser:
    p = parser(
        "Train SSD300 or SSD512 on the data lists of create_data_lists.py and evaluate it along the way, on the "
        "validation list if there is one, else on the test list.",
        EXAMPLES,
    )
    p.add_argument("--data", default="data", help="folder of the data lists")
    p.add_argument("--output", help="folder of the run (default: the next free runs/N)")
    p.add_argument(
        "--resume", nargs="?", const="", metavar="RUN",
        help="continue a run: a checkpoint, or a folder with last.pth (default: --output's, or the newest run's); "
        "arguments that are not given again stay. RUN with another --output goes on there, from a copy",
    )  # fmt: skip
    start = p.add_argument_group("starting point")
    start.add_argument(
        "--weights", default="imagenet",
        help="imagenet, coco (both downloaded), none, or a file with weights of VGG16 (torchvision's or Caffe's) or of "
        "an SSD of any classes",
    )  # fmt: skip
    start.add_argument("--backbone", choices=BACKBONES, help="vgg16_bn also trains without weights (default: vgg16)")
    start.add_argument(
        "--size", type=int, choices=SCALES, help="of the input: SSD300 or SSD512 (default: that of the weights, or 300)"
    )
    start.add_argument(
        "--scales", type=number(float, 0, 1), nargs="+", metavar="S",
        help="prior scales of the maps, as report.txt of create_data_lists.py suggests (default: the paper's)",
    )  # fmt: skip
    start.add_argument(
        "--ratios", type=number(float, 1), nargs="+", metavar="R",
        help="ratios of the priors, each with its inverse; the first map and the last two have only the one nearest to "
        "1 (default: 2 3)",
    )  # fmt: skip
    start.add_argument(
        "--freeze", type=number(int, 0, 15), nargs="?", const=4, default=Recipe.freeze, metavar="N",
        help="do not train the first N convolutions; 4 without a number",
    )  # fmt: skip
    recipe = p.add_argument_group("recipe", "The defaults are the paper's, scaled to the batch by the linear rule.")
    add_loading_arguments(recipe, batch_size=32)
    recipe.add_argument(
        "--accumulate", type=number(int, 1), default=Recipe.accumulate, metavar="K",
        help="compute each batch in K parts to save memory",
    )  # fmt: skip
    recipe.add_argument("--iterations", type=number(int, 1), help="of the whole run (default: 120000 of 32 images)")
    recipe.add_argument("--lr", type=number(float, 0), help="learning rate (default: 0.001 for 32 images)")
    recipe.add_argument("--momentum", type=number(float, 0, 1, without=1), default=Recipe.momentum, help="of SGD")
    recipe.add_argument(
        "--weight-decay", type=number(float, 0), default=Recipe.weight_decay, help="of SGD; biases do not decay"
    )
    recipe.add_argument(
        "--drops", type=number(int, 0), nargs="*", metavar="ITERATION",
        help="when the rate falls to a tenth (default: 2/3 and 5/6 of the run)",
    )  # fmt: skip
    recipe.add_argument("--warmup", type=number(int, 0), help="iterations (default: a tenth of the run, at most 1000)")
    recipe.add_argument(
        "--clip-norm", type=number(float, 0), default=Recipe.clip_norm, help="clip gradients to this norm; 0: no limit"
    )
    recipe.add_argument(
        "--ema", type=number(float, 0, 1), default=Recipe.ema, help="decay of the weights' moving average; 0: none"
    )
    recipe.add_argument("--alpha", type=number(float, 0), default=Recipe.alpha, help="weight of the localisation loss")
    recipe.add_argument(
        "--neg-pos-ratio", type=number(int, 1), default=Recipe.neg_pos_ratio, metavar="N",
        help="hard negatives for each positive prior",
    )  # fmt: skip
    recipe.add_argument(
        "--match-threshold", type=number(float, 0, 1, without=0), default=Recipe.match_threshold, metavar="IOU",
        help="overlap with an object from which a prior is positive",
    )  # fmt: skip
    recipe.add_argument(
        "--difficult", action=BooleanOptionalAction, default=Recipe.difficult,
        help="train on difficult objects, or not: then the priors on them are no negatives either",
    )  # fmt: skip
    recipe.add_argument(
        "--augmentation", choices=AUGMENTATIONS, default="paper",
        help="no-expand: never zoom out; flip: for trial runs of a few minutes (docs/training.md: what they can show)",
    )  # fmt: skip
    recipe.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=Recipe.seed, help="of all random choices")
    recipe.add_argument(
        "--overfit", type=number(int, 1), metavar="N",
        help="as a test, train and evaluate on the first N training images with objects, without augmentation",
    )  # fmt: skip
    p.add_argument(
        "--save-every", type=number(int, 1), default=Recipe.save_every, help="iterations between checkpoints"
    )
    p.add_argument(
        "--eval-every", type=number(int, 0), help="iterations between evaluations; 0: at the end (default: run / 10)"
    )
    p.add_argument(
        "--patience", type=number(int, 0), default=Recipe.patience, metavar="N",
        help="stop after N evaluations without a better mAP; 0: never",
    )  # fmt: skip
    p.add_argument("--log", choices=LOGS, default="auto", help="auto: tensorboard if it is installed")
    add_device_arguments(p)
    add_picture_arguments(p)
    return p


def parse(argv: list[str] | None) -> tuple[Namespace, Path | None]:
    """The arguments, and the checkpoint to continue from or None. A run that continues keeps its arguments, except for
    those that are given again."""
    p = arguments()
    args = p.parse_args(argv)
    if args.resume is None:
        return args, None
    checkpoint = resumed_checkpoint(args.resume, args.output)
    kept = kept_arguments(checkpoint)
    p.set_defaults(**kept)
    args = p.parse_args(argv)
    check_start(checkpoint, kept, vars(args))
    return args, checkpoint


@command
def main(argv: list[str] | None = None) -> int:
    args, checkpoint = parse(argv)
    if args.output:
        check_writable(args.output)
    if args.no_pixel_limit:
        lift_pixel_limit()
    network = NetworkOptions(**{option.name: getattr(args, option.name) for option in fields(NetworkOptions)})
    recipe = paper_recipe(**{number.name: getattr(args, number.name) for number in fields(Recipe)})
    kept = {name: value for name, value in vars(args).items() if name not in ("resume", "output")}
    with distributed.process_group(args.device) as device:
        prepare_for_training(device)
        with prepare_run(
            args.data, recipe, device, output=args.output, checkpoint=checkpoint, weights=args.weights,
            network=network, augmentation=args.augmentation, overfit=args.overfit,
            precision=args.precision, log=args.log, arguments=kept,
        ) as run:  # fmt: skip
            if run.folder:
                print(describe_start(run, run.folder.path))
            signal = run.train()
        if run.folder:
            report(run.trainer, run.folder, signal)
    return 128 + signal if signal else 0  # what a shell would return


def report(trainer: Trainer, folder: RunFolder, signal: int) -> None:
    """Print how a run ended. signal: number of the one that stopped it, or 0."""
    if trainer.health.skipped:
        print(f"{trainer.health.skipped} steps were skipped because float16 overflowed")
    if signal:
        print(f"stopped after iteration {trainer.iteration}; --resume {folder.path / LAST} continues", file=sys.stderr)
    else:
        print(describe_end(trainer, folder))


if __name__ == "__main__":
    sys.exit(main())
