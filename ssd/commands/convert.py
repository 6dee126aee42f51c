"""`ssd300 convert`: other people's weights as a checkpoint, and ours as torchvision's."""

import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import torch

from ssd.checkpoint import chosen_list, write_checkpoint
from ssd.commands.arguments import command, parser
from ssd.convert import building_lines, read_weights, to_torchvision, without_batch_norm
from ssd.convert.classes import describe_classes, read_class_names
from ssd.convert.layouts import LAYOUTS
from ssd.convert.reading import OURS
from ssd.files import check_destination, replacing
from ssd.pretrained import find_checkpoint
from ssd.text import one_line

EXAMPLES = """\
examples:
  %(prog)s ssd300_VOC0712.pth voc.pth
  %(prog)s VGG_VOC0712_SSD_300x300_iter_120000.caffemodel voc.safetensors
  %(prog)s coco coco.pth
  %(prog)s runs/1/best.pth theirs.pth --to-torchvision
"""


def parse(argv: list[str] | None) -> Namespace:
    projects = ", ".join(dict.fromkeys(layout.project for layout in LAYOUTS))
    p = parser(
        f"Make a checkpoint of other people's SSD300 or SSD512 weights ({projects}). Nothing in the file is run.",
        EXAMPLES,
    )
    p.add_argument(
        "source", metavar="SOURCE",
        help="file of weights: of PyTorch, .caffemodel or .safetensors; coco: torchvision's, downloaded",
    )  # fmt: skip
    p.add_argument("destination", metavar="DESTINATION", help="the checkpoint to write, a .pth or .safetensors file")
    p.add_argument(
        "--classes", metavar="FILE",
        help="class names, one a line or label_map.json (default: those that belong to the layout, or class_1, ...)",
    )  # fmt: skip
    p.add_argument(
        "--to-torchvision", action="store_true",
        help="write a state dict of ssd300_vgg16 instead, and print the Python that builds the model",
    )  # fmt: skip
    args = p.parse_args(argv)
    if args.to_torchvision and args.destination.endswith(".safetensors"):
        p.error("--to-torchvision writes a .pth file; name one")  # whose metadata hold the config of the way back
    return args


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    source, destination = find_checkpoint(args.source), Path(args.destination)
    check_destination(source, destination)
    project, config, state = read_weights(source)
    if args.classes:
        config = replace(config, class_names=read_class_names(args.classes, len(config.class_names)))
    description = one_line(f"{destination}: {project}, SSD{config.input_size}, {describe_classes(config)}")
    if args.to_torchvision:
        if config.backbone == "vgg16_bn":
            description += "; batch normalisation, which torchvision's network lacks, is folded into the convolutions"
            config, state = without_batch_norm(config, state)
        with replacing(destination) as file:
            torch.save(to_torchvision(config, state), file)
        print(f"# {description}\n# This builds the model for it:\n{building_lines(config, destination)}")
    else:
        write_checkpoint(destination, config, state, chosen_on=chosen_list(source) if project == OURS else None)
        print(description)


if __name__ == "__main__":
    sys.exit(main())
