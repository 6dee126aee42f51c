"""Runs exported models: one class for each runtime, all of them `ssd.inference.predictor.Predictor`s.

A file of `ssd.export.write` holds the network and the decoding of its outputs: normalised `images` (N, 3, 300, 300) in,
`boxes` (N, 8732, 4) and `probabilities` (N, 8732, n_classes) out, as `ssd.model.postprocess.decode_predictions` returns
them. The file also describes these numbers, as JSON (`describe`): the fields of its `SSDConfig`, and the
thresholds min_score, max_overlap and top_k.
"""

import json
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from ssd.config import SSDConfig
from ssd.errors import InputError, first_line, optional
from ssd.inference.device import choose_device
from ssd.model.postprocess import Detected, select_detections

FORMAT, VERSION = "ssd300 export", 1
OWN_FACTS = ("format", "version", "nms", "min_score", "max_overlap", "top_k")  # the others are the config's
INPUTS, OUTPUTS = ["images"], ["boxes", "probabilities"]
REMEDY = "python -m ssd.export CHECKPOINT OUT.onnx writes a new one"


def describe(config: SSDConfig, nms: bool, min_score: float, max_overlap: float, top_k: int) -> dict:
    """The description that an export carries, as plain data. nms: the outputs are the final detections."""
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "top_k": top_k}
    return {"format": FORMAT, "version": VERSION, "nms": nms, **thresholds, **config.to_dict()}


class OnnxModel:
    """The model of an .onnx file, run by ONNX Runtime. Raises InputError where it cannot be run.

    device: as for `choose_device`; without one, the GPU where ONNX Runtime can use it.
    """

    def __init__(self, path: str | Path, device: str | None = None):
        runtime = optional("onnxruntime", "onnx", str(path))
        provider = _provider(runtime, path, device)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # no messages beside the exceptions
        try:
            self.runtime = runtime.InferenceSession(path, options, [provider])
        except Exception as error:  # of a dozen classes that are not public
            raise InputError(f"{path}: damaged, or no ONNX model ({first_line(error)}); {REMEDY}") from None
        properties = self.runtime.get_modelmeta().custom_metadata_map
        self.config = _read_config(path, {name: _from_json(text) for name, text in properties.items()})
        self.device = torch.device("cpu")  # ONNX Runtime returns its results there, wherever it computes

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (N, 3, 300, 300) -> boxes (N, 8732, 4), probabilities (N, 8732, n_classes)."""
        array = images.float().cpu().contiguous().numpy()
        boxes, probabilities = self.runtime.run(OUTPUTS, {INPUTS[0]: array})
        return torch.from_numpy(boxes), torch.from_numpy(probabilities)

    def detect_objects(
        self, boxes: Tensor, probabilities: Tensor, min_score: float | Tensor, max_overlap: float, top_k: int
    ) -> Detected:
        """What `SSD.detect_objects` returns, from predictions that are decoded already."""
        return select_detections(boxes, probabilities, min_score, max_overlap, top_k, unused=self.config.unused_labels)


def _provider(runtime: ModuleType, path: str | Path, device: str | None) -> tuple[str, dict]:
    """What ONNX Runtime computes with, and its options: the GPU where it can, unless the device is named."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if "CUDAExecutionProvider" in runtime.get_available_providers():
            return "CUDAExecutionProvider", {"device_id": chosen.index or 0}
        if device is not None:
            raise InputError(f"{path}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu, or --device cpu")
    return "CPUExecutionProvider", {}


def _read_config(path: str | Path, facts: dict) -> SSDConfig:
    """The `SSDConfig` in an export's description. Raises InputError where the export is not for us to run."""
    if facts.get("format") != FORMAT:
        raise InputError(f"{path}: not a model that this project exported; {REMEDY}")
    if facts.get("version") != VERSION:
        raise InputError(f"{path}: export version {facts.get('version')}, this program reads {VERSION}")
    if facts.get("nms"):
        raise InputError(
            f"{path}: was exported with --with-nms, which only other programs can run; export it again without"
        )
    try:
        return SSDConfig.from_dict({name: value for name, value in facts.items() if name not in OWN_FACTS})
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: an export whose config does not fit ({error}); {REMEDY}") from None


def _from_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:  # of another program
        return None
