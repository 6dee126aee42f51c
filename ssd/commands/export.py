"""`ssd300 export`: writes a checkpoint's model for other runtimes."""

import sys
from argparse import Namespace
from pathlib import Path

from ssd.commands.arguments import add_picture_arguments, add_threshold_arguments, command, number, parser
from ssd.data import PascalVOCDataset
from ssd.data.images import lift_pixel_limit
from ssd.evaluation.evaluate import dataset_for, detect_dataset, match_dataset
from ssd.evaluation.summary import summarize, summary_lines
from ssd.export.quantise import FEWEST_PICTURES, calibration_pictures
from ssd.export.write import export
from ssd.model.network import SSD
from ssd.pretrained import find_checkpoint, load_model, load_trained
from ssd.text import counted, text_table

EXAMPLES = """\
examples:
  %(prog)s runs/1/best.pth model.onnx                for ssd300 detect and eval, and your own post-processing
  %(prog)s runs/1/best.pth final.onnx --with-nms     for any program that runs ONNX
  %(prog)s runs/1/best.pth int8.onnx --int8 data     8 bits: a quarter of the size, and faster on most processors
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Write a checkpoint's model for other runtimes, as ONNX or as a torch.export program.", EXAMPLES)
    p.add_argument("checkpoint", metavar="CHECKPOINT", help='trained model, or "coco": torchvision\'s COCO weights')
    p.add_argument("out", metavar="OUT", help="file to write, whose name ends in .onnx or .pt2")
    p.add_argument("--with-nms", action="store_true", help="output final detections, chosen by the thresholds below")
    add_threshold_arguments(p)
    eight_bit = p.add_argument_group("8 bits")
    eight_bit.add_argument(
        "--int8", metavar="DATA", help="write an 8-bit model, calibrated with training pictures of these data lists"
    )
    eight_bit.add_argument(
        "--calibration", type=number(int, FEWEST_PICTURES), default=200, metavar="N",
        help=f"how many of them, at least {FEWEST_PICTURES}",
    )  # fmt: skip
    eight_bit.add_argument("--seed", type=number(int, 0), default=0, help="of the random choice of pictures")
    eight_bit.add_argument(
        "--evaluate", action="store_true", help="then compare it with the checkpoint on the test list of DATA"
    )
    add_picture_arguments(eight_bit)
    args = p.parse_args(argv)
    if args.evaluate and not args.int8:
        p.error("--evaluate needs --int8 DATA")
    if args.evaluate and args.with_nms:
        p.error("--evaluate cannot run a file with --with-nms; leave out one of the two")
    return args


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.no_pixel_limit:
        lift_pixel_limit()
    model = load_model(find_checkpoint(args.checkpoint), tell=print)
    dataset = dataset_for(model.config, args.int8) if args.evaluate else None
    pictures = calibration_pictures(args.int8, args.calibration, args.seed) if args.int8 else []
    export(model, args.out, args.with_nms, args.min_score, args.max_overlap, args.top_k, pictures)
    gives = "boxes, labels, scores, counts" if args.with_nms else "boxes, probabilities"
    side, size = model.config.input_size, Path(args.out).stat().st_size / 1e6
    how = f"; 8 bits, calibrated with {counted(len(pictures), 'picture')}" if pictures else ""
    print(f"{args.out}: images (N, 3, {side}, {side}) -> {gives}; {size:.1f} MB{how}", flush=True)
    if dataset:
        print(compare(model, args.out, dataset))


def compare(model: SSD, exported: str, dataset: PascalVOCDataset) -> str:
    """The figures of a model and of its export on a data set, as a table. Both run on the CPU."""
    contenders = {"checkpoint": model, Path(exported).name: load_trained(exported, "cpu", "fp32")}
    found = [detect_dataset(each, dataset) for each in contenders.values()]
    figures = [summary_lines(summarize(match_dataset(each, dataset.data))) for each in found]
    rows = [(name, text, other) for (name, text), (_, other) in zip(*figures, strict=True)]
    return text_table([("", *contenders), *rows])


if __name__ == "__main__":
    sys.exit(main())
