"""Measures a model's VOC mAP, or that of the detections in result files."""

import json
import sys
from argparse import Namespace
from pathlib import Path

import torch

from ssd import distributed
from ssd.commands.arguments import (
    add_device_arguments,
    add_loading_arguments,
    add_picture_arguments,
    add_threshold_arguments,
    command,
    parser,
)
from ssd.data import DataList, PascalVOCDataset, read_data_list
from ssd.data.images import lift_pixel_limit
from ssd.data.lists import validation_split
from ssd.errors import InputError
from ssd.evaluation.constant_box import constant_box_map
from ssd.evaluation.evaluate import (
    PAPER,
    DataSetDetections,
    Thresholds,
    dataset_for,
    detect_dataset,
    match_dataset,
    own_share,
    put_together,
)
from ssd.evaluation.report.page import write_report
from ssd.evaluation.result_files import check_names, load_results, save_results, save_truth
from ssd.evaluation.summary import best_thresholds, format_summary, summarize
from ssd.files import check_writable, write_text
from ssd.inference.device import choose_precision
from ssd.inference.predictor import Predictor, as_predictor
from ssd.pretrained import CHECKPOINT_HELP, find_checkpoint, load_trained, model_line, was_chosen_on
from ssd.text import counted
from ssd.visualize import figure_class

CHOSEN_HERE = "the model is the best of its run's evaluations on this list, so the figures are optimistic"

EXAMPLES = """\
examples:
  %(prog)s                                          the newest model of yours on data/
  %(prog)s --checkpoint coco --data birds --report report
  %(prog)s --results results --json figures.json    result files of any detector, without a model
"""


def parse(argv: list[str] | None) -> Namespace:
    p = parser(
        "Evaluate a checkpoint on the test list or the validation list by the rules of the VOC devkit.", EXAMPLES
    )
    p.add_argument("--checkpoint", help=CHECKPOINT_HELP)
    p.add_argument("--data", default="data", help="folder of the data lists")
    p.add_argument(
        "--split", choices=("test", "val"),
        help="the list to evaluate on (default: test; with --save-thresholds val if there is one)",
    )  # fmt: skip
    p.add_argument(
        "--results", metavar="PATH",
        help="score these instead: a folder of VOC files comp4_det_test_<class>.txt, or COCO results JSON, where the "
        "image id is the place in the list, from 0, and the category id is the label in label_map.json",
    )  # fmt: skip
    p.add_argument("--json", metavar="FILE", help="write every figure to this file")
    p.add_argument("--save-results", metavar="DIR", help="write the detections as VOC files and as COCO JSON")
    p.add_argument("--report", metavar="DIR", help="write report.html: tables, curves, errors and pictures")
    p.add_argument(
        "--save-thresholds", metavar="FILE",
        help="write the score of the best F1 of each class, for detect.py --thresholds FILE",
    )  # fmt: skip
    chosen = p.add_argument_group("detections", "The defaults are the paper's; others give another mAP.")
    add_threshold_arguments(chosen, PAPER.min_score)
    add_loading_arguments(p, batch_size=8)
    add_device_arguments(p, precision="fp32")
    add_picture_arguments(p)
    args = p.parse_args(argv)
    for option in ("checkpoint", "save_results", *Thresholds._fields):
        if args.results and getattr(args, option) != p.get_default(option):
            p.error(f"--results already holds the detections; leave out --{option.replace('_', '-')}")
    args.split = args.split or (validation_split(args.data) if args.save_thresholds else "test")
    return args


@command
def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    if args.no_pixel_limit:
        lift_pixel_limit()
    with distributed.process_group(args.device) as device:
        with distributed.first_process_first():  # it alone says what is wrong
            data = read_data_list(args.data, args.split)
            check_outputs(args, data)
            source = Path(args.results) if args.results else find_checkpoint(args.checkpoint)
            predictor = None if args.results else open_model(args, source, device)
            dataset = dataset_for(predictor.config, args.data, args.split) if predictor else None
            if distributed.rank() == 0:
                where = f"{args.split} list of {args.data}: {counted(len(data), 'image')}"
                print(f"{describe(source, predictor)}; {where}", flush=True)
        if predictor and dataset is not None:
            found = detect_together(args, predictor, dataset)
        else:
            found = load_results(source, data) if distributed.rank() == 0 else None
    if found is not None:
        write_outputs(args, data, source, found)


def write_outputs(args: Namespace, data: DataList, source: Path, found: DataSetDetections) -> None:
    """Print and write what was asked for. source: what the detections are of."""
    details: dict[str, object] = {"detections_of": str(source), f"{args.split}_list": str(args.data)}
    if not args.results:
        details |= thresholds(args)._asdict()
        details |= {"remark": CHOSEN_HERE} if was_chosen_on(source, data.digest) else {}
    matches = match_dataset(found, data)
    summary = summarize(matches, found.seconds) | {"constant_box_map_voc07": constant_box_map(args.data, data)}
    print(format_summary(summary), *filter(None, [details.get("remark")]), sep="\n")
    if args.json:
        write_text(args.json, json.dumps(details | summary, indent=1) + "\n")
        print(f"figures: {args.json}")
    if args.save_thresholds:
        scores = best_thresholds(matches)
        write_text(args.save_thresholds, json.dumps(scores, indent=1) + "\n")
        classes = counted(len(data.class_names), "class", "classes")
        print(f"thresholds of {len(scores)} of {classes}: {args.save_thresholds}")
    if args.save_results:
        save_results(args.save_results, found, data)
        notes = save_truth(args.save_results, data)
        print(*map(str, notes), f"detections: {args.save_results}", sep="\n")
    if args.report:
        shown = [(name.replace("_", " "), str(value)) for name, value in details.items()]
        print(f"report: {write_report(args.report, matches, summary, data.paths, shown)}")


def check_outputs(args: Namespace, data: DataList) -> None:
    """Make the folders of the outputs. Raise InputError on what cannot be written, before the evaluation."""
    if args.report:
        figure_class()
    if args.save_results:
        check_names(data)
    files = [Path(name) for name in (args.json, args.save_thresholds) if name]
    for file in files:
        if file.is_dir():
            raise InputError(f"{file}: is a folder; name a file")
    for folder in filter(None, (*(file.parent for file in files), args.save_results, args.report)):
        check_writable(folder)
        Path(folder).mkdir(parents=True, exist_ok=True)


def describe(source: Path, predictor: Predictor | None) -> str:
    """What is evaluated, in words."""
    return f"{model_line(source, predictor.config)}; {predictor.engine}" if predictor else f"detections in {source}"


def open_model(args: Namespace, checkpoint: Path, device: torch.device) -> Predictor:
    """The model of a checkpoint, on a device."""
    name = args.device if distributed.n_processes() == 1 else str(device)
    model = load_trained(checkpoint, name, args.precision, tell=print if distributed.rank() == 0 else None)
    return as_predictor(model, device, choose_precision(args.precision, device))


def detect_together(args: Namespace, predictor: Predictor, dataset: PascalVOCDataset) -> DataSetDetections | None:
    """The model's detections in the whole list, to which each process contributes; None in all but the first."""
    own = detect_dataset(predictor, own_share(dataset), args.batch_size, args.workers, thresholds=thresholds(args))
    shares = distributed.gathered_by_first(own)
    return put_together(shares) if shares else None


def thresholds(args: Namespace) -> Thresholds:
    """What becomes a detection."""
    return Thresholds(args.min_score, args.max_overlap, args.top_k)


if __name__ == "__main__":
    sys.exit(main())
