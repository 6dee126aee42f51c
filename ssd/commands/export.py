"""`ssd300 export`: writes a checkpoint's model for other runtimes."""

import sys
from pathlib import Path

from ssd.checkpoint import load_checkpoint
from ssd.commands.arguments import command, number, parser
from ssd.export.write import export
from ssd.pretrained import find_checkpoint


def parse(argv):
    p = parser("Write a checkpoint's model for other runtimes, as ONNX or as a torch.export program.")
    p.add_argument("checkpoint", metavar="CHECKPOINT", help='trained model, or "coco": torchvision\'s COCO weights')
    p.add_argument("out", metavar="OUT", help="file to write, whose name ends in .onnx or .pt2")
    p.add_argument("--with-nms", action="store_true", help="give final detections, chosen by the three numbers below")
    p.add_argument("--min-score", type=number(float, 0, 1), default=0.2, help="score a detection must exceed")
    p.add_argument(
        "--max-overlap", type=number(float, 0, 1), default=0.45, help="IoU above which the better one is kept"
    )
    p.add_argument("--top-k", type=number(int, 1), default=200, help="most detections in a picture")
    return p.parse_args(argv)


@command
def main(argv=None):
    args = parse(argv)
    model = load_checkpoint(find_checkpoint(args.checkpoint))
    export(model, args.out, args.with_nms, args.min_score, args.max_overlap, args.top_k)
    gives = "boxes, labels, scores, counts" if args.with_nms else "boxes, probabilities"
    print(f"{args.out}: images (N, 3, 300, 300) -> {gives}; {Path(args.out).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    sys.exit(main())
