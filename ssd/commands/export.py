"""`ssd300 export`: writes a checkpoint's model for other runtimes."""

import sys
from argparse import Namespace
from pathlib import Path

from ssd.commands.arguments import add_threshold_arguments, command, parser
from ssd.export.write import export
from ssd.pretrained import find_checkpoint, load_model

EXAMPLES = """\
examples:
  %(prog)s runs/1/best.pth model.onnx                for ssd300 detect and eval, and your own post-processing
  %(prog)s runs/1/best.pth final.onnx --with-nms     for any program that runs ONNX
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser("Write a checkpoint's model for other runtimes, as ONNX or as a torch.export program.", EXAMPLES)
    p.add_argument("checkpoint", metavar="CHECKPOINT", help='trained model, or "coco": torchvision\'s COCO weights')
    p.add_argument("out", metavar="OUT", help="file to write, whose name ends in .onnx or .pt2")
    p.add_argument("--with-nms", action="store_true", help="output final detections, chosen by the thresholds below")
    add_threshold_arguments(p)
    return p.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    model = load_model(find_checkpoint(args.checkpoint), tell=print)
    export(model, args.out, args.with_nms, args.min_score, args.max_overlap, args.top_k)
    gives = "boxes, labels, scores, counts" if args.with_nms else "boxes, probabilities"
    size = model.config.input_size
    print(f"{args.out}: images (N, 3, {size}, {size}) -> {gives}; {Path(args.out).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
