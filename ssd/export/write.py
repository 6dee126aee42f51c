"""Writes a checkpoint's model for other runtimes: `python -m ssd.export CHECKPOINT OUT.onnx` or `OUT.pt2`."""

import contextlib
import json
import logging
import warnings
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from string import Template
from types import ModuleType
from typing import IO, TYPE_CHECKING

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ssd.data.images import preprocess
from ssd.errors import InputError, optional
from ssd.export.engines import INPUTS, INT8, OUTPUTS, describe
from ssd.export.quantise import quantise
from ssd.files import replacing
from ssd.inference.predictor import for_inference
from ssd.model.network import SSD
from ssd.model.postprocess import MAX_PER_CLASS, decode_predictions

if TYPE_CHECKING:
    from onnx import ModelProto

FACTS = "ssd300.json"  # the file with the description inside a .pt2 file; in .onnx each fact is a metadata property
OPSET = 18  # of ONNX: the newest that the exporter of PyTorch 2.6 writes
DESCRIPTION = """SSD. images: RGB pictures resized to the config's input_size, (value / 255 - mean) / std.
boxes: x_min, y_min, x_max, y_max in fractions of the picture. Labels count from 1 in the order of class_names, and 0 is
the background. The metadata properties are JSON."""
SELECTION_INPUTS = [f"all_{name}" for name in OUTPUTS]

# `ssd.model.postprocess.select_detections` in ONNX's text form, for P priors, K candidates of a class and R rows of
# output. NonMaxSuppression takes each class of each image for a batch of its own, so it compares neither images nor
# classes and the IoUs stay exact.
SELECTION = Template("""
<ir_version: $ir_version, opset_import: ["" : $opset]>
selection (float[batch, $P, 4] all_boxes, float[batch, $P, $columns] all_probabilities)
=> (float[batch, $R, 4] boxes, int64[batch, $R] labels, float[batch, $R] scores, int64[batch] counts)
<int64[1] from_1 = {1}, int64[1] last = {-1}, int64[1] axis_1 = {1}, int64[1] axis_2 = {2},
 int64[1] end = {$columns}, int64[1] k = {$K}, int64[1] rows = {$R}, int64 k_scalar = {$K}, int64 one = {1},
 int64[3] per_image = {0, -1, 1}, int64[3] per_class = {-1, $K, 4}, int64[3] per_class_scores = {-1, 1, $K},
 int64[2] all_classes = {-1, $candidates}, float zero = {0},
 float min_score = {$min_score}, float max_overlap = {$max_overlap},
 float[$columns] used = {$used}>
{
    detectable = Mul (all_probabilities, used)
    of_classes = Slice (detectable, from_1, end, axis_2)
    by_class = Transpose <perm = [0, 2, 1]> (of_classes)
    best, prior = TopK <axis = 2> (by_class, k)
    candidate_prior = Reshape (prior, per_image)
    candidates = GatherND <batch_dims = 1> (all_boxes, candidate_prior)
    class_boxes = Reshape (candidates, per_class)
    class_scores = Reshape (best, per_class_scores)
    kept = NonMaxSuppression (class_boxes, class_scores, k_scalar, max_overlap, min_score)
    kept_scores = GatherND (class_scores, kept)
    shape = Shape (class_scores)
    nothing = ConstantOfShape (shape)
    scores_or_zero = ScatterND (nothing, kept, kept_scores)
    image_scores = Reshape (scores_or_zero, all_classes)
    scores, place = TopK <axis = 1> (image_scores, rows)
    found = Greater (scores, zero)
    found_count = Cast <to = 7> (found)
    counts = ReduceSum <keepdims = 0> (found_count, axis_1)
    class = Div (place, k_scalar)
    label = Add (class, one)
    labels = Mul (label, found_count)
    place_index = Unsqueeze (place, last)
    chosen = GatherND <batch_dims = 1> (candidates, place_index)
    found_float = Cast <to = 1> (found)
    found_column = Unsqueeze (found_float, last)
    boxes = Mul (chosen, found_column)
}
""")


class Decoded(nn.Module):
    """The network that is exported: normalised images -> what `ssd.model.postprocess.decode_predictions` returns."""

    def __init__(self, model: SSD):
        super().__init__()
        self.network = for_inference(model, "cpu", torch.float32).to(memory_format=torch.contiguous_format)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        locs, scores = self.network(images)
        return decode_predictions(locs, scores, self.network.priors_cxcy, self.network.config.variances)


def export(
    model: SSD,
    path: str | Path,
    with_nms: bool = False,
    min_score: float = 0.2,
    max_overlap: float = 0.45,
    top_k: int = 200,
    calibration: Sequence[str | Path] = (),
) -> None:
    """Write an `SSD` to `path`, which ends in .onnx or .pt2, for batches of any size. See `ssd.export.engines`.

    with_nms: the outputs are the final detections, .onnx only: for each image R = `top_k` rows (fewer if the model has
    fewer candidates), best first, of `boxes` (N, R, 4) corner fractions, `labels` (N, R) int64 from 1, and `scores`
    (N, R). The first `counts` (N,) rows are detections, the others zeros.
    min_score, max_overlap, top_k: choose those detections; without with_nms they are only stored as metadata.
    calibration: pictures such as the model will see; with them, the file is an 8-bit one (`ssd.export.quantise`), .onnx
    only.
    Raises InputError on another ending, on a picture that cannot be read, and where a package is missing.
    """
    kind = Path(path).suffix.lower()
    if kind not in (".onnx", ".pt2"):
        raise InputError(f"{path}: cannot tell the format; the file's name must end in .onnx or .pt2")
    if with_nms and kind != ".onnx":
        raise InputError(f"{path}: --with-nms is for .onnx files")
    if calibration and kind != ".onnx":
        raise InputError(f"{path}: --int8 is for .onnx files")
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "top_k": top_k}
    facts = describe(model.config, with_nms, min_score, max_overlap, top_k)
    if calibration:
        facts |= {"precision": INT8, "calibration_pictures": len(calibration)}
    onnx = _onnx(path) if kind == ".onnx" else None
    if calibration:
        optional("onnxruntime.quantization", "onnx", str(path))  # before the work
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:  # before the work, so that a file that cannot be written is refused at once
        if onnx:
            _export_onnx(onnx, model, file, facts, thresholds if with_nms else {}, calibration)
        else:
            torch.export.save(_trace(model), file, extra_files={FACTS: json.dumps(facts)})


def _trace(model: SSD) -> torch.export.ExportedProgram:
    """The program of `Decoded` for any batch size, without the paths of the code that it came from."""
    network = Decoded(model)
    size = model.config.input_size
    batch = {"images": {0: torch.export.Dim("batch")}}
    # not strict: strict tracing lacks Module.get_submodule in PyTorch 2.6
    program = torch.export.export(network, (torch.zeros(2, 3, size, size),), dynamic_shapes=batch, strict=False)
    for node in program.graph.nodes:
        node.meta = {"val": node.meta["val"]} if "val" in node.meta else {}
    return program


def _export_onnx(
    onnx: ModuleType,
    model: SSD,
    file: IO[bytes],
    facts: dict,
    thresholds: dict,
    calibration: Sequence[str | Path],
) -> None:
    """thresholds: choose the final detections; empty for raw outputs. calibration: pictures; empty for float32."""
    outputs = SELECTION_INPUTS if thresholds else OUTPUTS
    proto = _to_onnx(_trace(model), outputs)
    if calibration:
        bar = tqdm(calibration, desc="calibrating", unit="image", dynamic_ncols=True, leave=None)
        with quiet():  # ONNX Runtime recommends what PyTorch's exporter has done already
            proto = quantise(onnx, proto, (preprocess(path, model.config) for path in bar))
    if thresholds:
        sizes = {"n_priors": len(model.priors_cxcy), "columns": model.config.n_classes}
        chosen = selection(onnx, **sizes, **thresholds, unused=model.config.unused_labels, ir_version=proto.ir_version)
        proto = onnx.compose.merge_models(proto, chosen, io_map=[(name, name) for name in outputs])
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.doc_string = DESCRIPTION
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in facts.items()})
    onnx.checker.check_model(proto, full_check=True)
    file.write(proto.SerializeToString())


def _to_onnx(program: torch.export.ExportedProgram, outputs: list[str]) -> "ModelProto":
    with quiet():
        exported = torch.onnx.export(
            program, dynamo=True, input_names=INPUTS, output_names=outputs, opset_version=OPSET, verbose=False
        )
    return exported.model_proto  # type: ignore[union-attr]  # None only without dynamo


def selection(
    onnx: ModuleType,
    n_priors: int,
    columns: int,
    min_score: float,
    max_overlap: float,
    top_k: int,
    unused: Collection[int] = (),
    ir_version: int = 10,
) -> "ModelProto":
    """`ssd.model.postprocess.select_detections` as an ONNX model, see SELECTION. columns: the labels, 0 included."""
    per_class = min(MAX_PER_CLASS, n_priors)
    candidates = (columns - 1) * per_class
    sizes = {"P": n_priors, "K": per_class, "R": min(top_k, candidates), "columns": columns, "candidates": candidates}
    used = ", ".join("0" if label in unused else "1" for label in range(columns))
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "used": used}
    return onnx.parser.parse_model(SELECTION.substitute(sizes, **thresholds, ir_version=ir_version, opset=OPSET))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence PyTorch's warnings while it exports: they are about PyTorch's internals. Errors are raised as ever."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _onnx(path: str | Path) -> ModuleType:
    for module in ("onnxscript", "onnx.compose", "onnx.parser"):  # the first for PyTorch's exporter
        optional(module, "onnx", str(path))
    return optional("onnx", "onnx", str(path))
