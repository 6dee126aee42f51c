"""Trains SSD300 on data lists."""

import sys
from pathlib import Path

from ssd.checkpoint import load_checkpoint, load_training_state
from ssd.commands.arguments import (
    add_device_arguments,
    add_loading_arguments,
    add_picture_arguments,
    command,
    number,
    parser,
)
from ssd.config import BACKBONES
from ssd.data import PascalVOCDataset, read_data_list
from ssd.data.augmentation import RECIPES
from ssd.data.images import lift_pixel_limit
from ssd.errors import InputError
from ssd.inference.device import choose_device, choose_precision, prepare_for_training
from ssd.training import distributed
from ssd.training.run.folder import BEST, LAST, RunFolder, resumed_checkpoint, run_folder
from ssd.training.run.logs import LOGS
from ssd.training.schedule import default_drops, default_iterations, default_rate, default_warmup
from ssd.training.trainer import Best, Recipe, Trainer
from ssd.training.validation import Validation
from ssd.training.weights import initial_model


def arguments():
    p = parser("Train SSD300 on the data lists of create_data_lists.py; evaluate it on the test list as it goes.")
    p.add_argument("--data", default="data", help="folder of the data lists")
    p.add_argument("--output", help="folder of the run (default: the next free runs/N)")
    p.add_argument("--resume", nargs="?", const="", metavar="FILE", help="go on from FILE, or from the run's last.pth")
    start = p.add_argument_group("what it starts from")
    start.add_argument(
        "--weights", default="imagenet",
        help="imagenet, coco (both downloaded), none, or a file: of VGG16, or of an SSD300 whatever its classes",
    )  # fmt: skip
    start.add_argument("--backbone", choices=BACKBONES, help="vgg16_bn trains without weights too (default: vgg16)")
    start.add_argument(
        "--freeze", type=number(int, 0, 15), nargs="?", const=4, default=0, metavar="N",
        help="keep the first N convolutions as they are; 4 without a number",
    )  # fmt: skip
    recipe = p.add_argument_group("recipe", "Defaults are the paper's, scaled to the batch by the linear rule.")
    add_loading_arguments(recipe, batch_size=32)
    recipe.add_argument("--accumulate", type=number(int, 1), default=1, metavar="K", help="parts to compute a batch in")
    recipe.add_argument("--iterations", type=number(int, 1), help="of the whole run (default: 120000 of 32 images)")
    recipe.add_argument("--lr", type=number(float, 0), help="rate of learning (default: 0.001 for 32 images)")
    recipe.add_argument(
        "--drops", type=number(int, 0), nargs="*", metavar="ITERATION",
        help="where the rate falls to a tenth (default: 2/3 and 5/6 of the run)",
    )  # fmt: skip
    recipe.add_argument("--warmup", type=number(int, 0), help="iterations (default: a tenth of the run, at most 1000)")
    recipe.add_argument("--clip-norm", type=number(float, 0), default=0.0, help="largest gradient norm; 0: any")
    recipe.add_argument("--ema", type=number(float, 0, 1), default=0.0, help="decay of a moving average; 0: none")
    recipe.add_argument(
        "--augmentation", choices=RECIPES, default="paper", help="no-expand: never zoom out; flip: for runs of minutes"
    )
    recipe.add_argument("--seed", type=number(int, 0, 2**63 - 1), default=0, help="of the random choices")
    recipe.add_argument(
        "--overfit", type=number(int, 1), metavar="N",
        help="train and evaluate on the first N training images with objects, without augmentation, as a test",
    )  # fmt: skip
    p.add_argument("--save-every", type=number(int, 1), default=1000, help="iterations between checkpoints")
    p.add_argument(
        "--eval-every", type=number(int, 0), help="iterations between evaluations; 0: at the end (default: run / 10)"
    )
    p.add_argument("--patience", type=number(int, 0), default=0, help="evaluations to wait for a better mAP; 0: any")
    p.add_argument("--log", choices=LOGS, default="auto", help="auto is tensorboard where it is installed")
    add_device_arguments(p)
    add_picture_arguments(p)
    return p


def parse(argv):
    """The arguments, and the checkpoint to go on from or None. A run that goes on keeps what it was started with but
    for what is given anew."""
    p = arguments()
    args = p.parse_args(argv)
    if args.resume is None:
        return args, None
    checkpoint = resumed_checkpoint(args.resume, args.output)
    before = load_training_state(checkpoint).get("arguments", {})
    p.set_defaults(**before)
    args = p.parse_args(argv)
    for name in ("weights", "backbone", "freeze"):
        if name in before and getattr(args, name) != before[name]:
            raise InputError(
                f"--{name} {getattr(args, name)}: {checkpoint} goes on with {before[name]}; "
                f"--weights {checkpoint} without --resume starts a new run from it"
            )
    return args, checkpoint


def create_recipe(args):
    """The `Recipe` of the arguments, with the paper's numbers, scaled to the batch, for what was not given."""

    def given(value, default):
        return default if value is None else value

    iterations = given(args.iterations, default_iterations(args.batch_size))
    return Recipe(
        iterations=iterations,
        batch_size=args.batch_size,
        lr=given(args.lr, default_rate(args.batch_size)),
        drops=tuple(given(args.drops, default_drops(iterations))),
        warmup=given(args.warmup, default_warmup(iterations)),
        clip_norm=args.clip_norm,
        accumulate=args.accumulate,
        freeze=args.freeze,
        ema=args.ema,
        workers=args.workers,
        seed=args.seed,
        save_every=args.save_every,
        eval_every=given(args.eval_every, max(1, iterations // 10)),
        patience=args.patience,
    )


def create_data_sets(args, config):
    """What is trained on and what is evaluated on."""
    overfit = args.overfit is not None
    train_set = PascalVOCDataset(args.data, "train", config, not overfit, args.augmentation, args.seed)
    if overfit:
        with_objects = [k for k, image in enumerate(train_set.data) if not image.difficulties.all()]
        train_set = test_set = train_set.subset(with_objects[: args.overfit])
    else:
        test_set = PascalVOCDataset(args.data, "test", config)
    if not len(train_set):
        raise InputError(f"{args.data}: no image to train on")
    return train_set, test_set


@command
def main(argv=None):
    args, checkpoint = parse(argv)
    if args.no_pixel_limit:
        lift_pixel_limit()
    with distributed.process_group(choose_device(args.device)) as device:
        prepare_for_training(device)
        return train(args, checkpoint, device)


def train(args, checkpoint, device):
    """Set up a run and carry it out."""
    if checkpoint:
        model, start = load_checkpoint(checkpoint), str(checkpoint)
    else:
        with distributed.first_process_first():
            class_names = read_data_list(args.data, "train").class_names
            model, start = initial_model(class_names, args.weights, args.backbone, args.seed)
    train_set, test_set = create_data_sets(args, model.config)
    recipe, dtype = create_recipe(args), choose_precision(args.precision, device)
    trainer = Trainer(model, train_set, recipe, device, dtype)
    if checkpoint:
        restore(trainer, checkpoint)
    validation = Validation(test_set, min(args.batch_size, 32), args.workers, device)
    if distributed.rank() > 0:
        return exit_status(trainer.run(None, validation))

    path = run_folder(checkpoint, args.output)
    saved = {name: value for name, value in vars(args).items() if name not in ("resume", "output")}
    saved["data"] = str(Path(args.data).absolute())  # a run can go on from anywhere
    saved["backbone"] = model.config.backbone  # which may be the default's, or that of the weights
    with RunFolder(path, model.config, saved, trainer.iteration, device, args.log) as folder:
        describe(path, trainer, start)
        if not checkpoint:
            folder.show_batch(trainer.whole_batch(0))
        if not (path / LAST).exists():  # where the run can go on from, whenever it is killed
            folder.save(trainer)
        status = trainer.run(folder, validation)
    report(path, trainer, status)
    return exit_status(status)


def restore(trainer, checkpoint):
    """Put a `Trainer` where the run of a checkpoint was."""
    trainer.restore(load_training_state(checkpoint))
    if trainer.iteration > trainer.recipe.iterations:
        raise InputError(
            f"{checkpoint}: the run has done {trainer.iteration} iterations, more than --iterations "
            f"{trainer.recipe.iterations}"
        )
    if not (checkpoint.parent / BEST).exists():  # the next validation makes it
        trainer.best = Best()


def exit_status(signal):
    """Of a process that a signal ended, or 0: what a shell would say."""
    return 128 + signal if signal else 0


def describe(path, trainer, start):
    """Say what the run is, the numbers that were not given among them."""
    recipe, processes = trainer.recipe, distributed.n_processes()
    precision = str(trainer.dtype).removeprefix("torch.")
    machines = f"{processes} processes, the first on {trainer.device}" if processes > 1 else str(trainer.device)
    print(f"{path}: {len(trainer.dataset)} images, {trainer.model.config.backbone} on {machines} in {precision}")
    print(f"starts from {start}" + (f", iteration {trainer.iteration}" if trainer.iteration else ""))
    drops = " and ".join(map(str, recipe.drops)) or "none"
    print(
        f"{recipe.iterations} iterations of {recipe.batch_size} images, rate {recipe.lr:g}, "
        f"drops at {drops}, warm-up {recipe.warmup}"
    )


def report(path, trainer, status):
    """Say how the run ended."""
    if trainer.skipped:
        print(f"{trainer.skipped} steps were left out because float16 overflowed")
    if status:
        print(f"stopped after iteration {trainer.iteration}; --resume {path / LAST} goes on", file=sys.stderr)
        return
    if not trainer.best.iteration:
        return  # it was at its end already, its best model is gone
    if trainer.iteration < trainer.recipe.iterations:
        print(f"no better mAP since iteration {trainer.best.iteration}: ended early, at iteration {trainer.iteration}")
    print(f"best of the run, at iteration {trainer.best.iteration}:")
    print(trainer.best.table)
    print(f"trained model: {path / BEST}")


if __name__ == "__main__":
    sys.exit(main())
