"""Runs exported models: one class for each engine, all of them `ssd.inference.predictor.Predictor`s.

A file of `ssd.export.write` holds the network and the decoding of its outputs: normalised `images` (N, 3, 300, 300) in,
`boxes` (N, 8732, 4) and `probabilities` (N, 8732, n_classes) out, as `ssd.model.postprocess.decode_predictions` returns
them. The file also describes these numbers, as JSON (`describe`): the fields of its `SSDConfig`, and the
thresholds min_score, max_overlap and top_k.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ssd.config import SSDConfig
from ssd.errors import InputError, first_line, optional
from ssd.inference.device import choose_device, choose_precision, cpu_has, precision_name
from ssd.inference.predictor import images_at_once
from ssd.model.postprocess import Detected, select_detections

FORMAT, VERSION, INT8 = "ssd300 export", 1, "int8"
OWN_FACTS = (  # the others are the config's
    "format", "version", "nms", "min_score", "max_overlap", "top_k", "precision", "calibration_pictures",
)  # fmt: skip
CPU_PROVIDER = "CPUExecutionProvider"
INPUTS, OUTPUTS = ["images"], ["boxes", "probabilities"]
REMEDY = "python -m ssd.export CHECKPOINT OUT.onnx writes a new one"


def describe(config: SSDConfig, nms: bool, min_score: float, max_overlap: float, top_k: int) -> dict:
    """The description that an export carries, as plain data. nms: the outputs are the final detections."""
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "top_k": top_k}
    return {"format": FORMAT, "version": VERSION, "nms": nms, **thresholds, **config.to_dict()}


def open_export(path: str | Path, device: str | None = None, precision: str = "auto") -> "ExportedModel":
    """The model of an .onnx file: run by OpenVINO on a CPU where that is installed, else by ONNX Runtime.

    device: as for `choose_device`; without one, the GPU where ONNX Runtime can use it. precision: as for `Detector`; of
    an 8-bit model only what is not in 8 bits.
    Raises InputError where it cannot be run, or not like that.
    """
    if choose_device(device).type == "cpu" and find_spec("openvino"):
        return OpenVinoModel(path, precision)
    return OnnxRuntimeModel(path, device, precision)


class ExportedModel(ABC):
    """What the models of all runtimes share. `run` is the runtime's own. Threads may share a model."""

    device = torch.device("cpu")  # where the results lie, wherever they were computed
    computes_on_gpu = False

    def __init__(self, path: str | Path, properties: Mapping[str, str], runtime: str, precision: str):
        facts = {name: _from_json(text) for name, text in properties.items()}
        self.config = _read_config(path, facts)
        self.engine = (
            f"{runtime}, int8 and {precision}" if facts.get("precision") == INT8 else f"{runtime}, {precision}"
        )

    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised images (N, 3, 300, 300) -> boxes (N, 8732, 4), probabilities (N, 8732, n_classes)."""
        at_once = len(images) if self.computes_on_gpu else images_at_once()
        parts = images.float().cpu().contiguous().split(at_once)
        boxes, probabilities = zip(*(self.run(part.numpy()) for part in parts), strict=True)
        return torch.from_numpy(np.concatenate(boxes)), torch.from_numpy(np.concatenate(probabilities))

    @abstractmethod
    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """OUTPUTS for `images`."""

    def detect_objects(
        self, boxes: Tensor, probabilities: Tensor, min_score: float | Tensor, max_overlap: float, top_k: int
    ) -> Detected:
        """What `SSD.detect_objects` returns, from predictions that are decoded already."""
        return select_detections(boxes, probabilities, min_score, max_overlap, top_k, unused=self.config.unused_labels)


class OnnxRuntimeModel(ExportedModel):
    """The model of an .onnx file, run by ONNX Runtime in the precision of the file. See `open_export`."""

    def __init__(self, path: str | Path, device: str | None = None, precision: str = "auto"):
        if precision not in ("auto", "fp32"):
            raise InputError(
                f"{path}: ONNX Runtime computes in fp32; --precision {precision} needs the checkpoint, or OpenVINO "
                "(pip install openvino) and --device cpu"
            )
        runtime = optional("onnxruntime", "onnx", str(path))
        provider = _provider(runtime, path, device)
        self.computes_on_gpu = provider[0] != CPU_PROVIDER
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # no messages beside the exceptions
        if not cpu_has("vnni"):  # 8-bit products are added in 16 bits, which overflow; this is slower and exact
            options.add_session_config_entry("session.x64quantprecision", "1")
        try:
            self.session = runtime.InferenceSession(path, options, [provider])
        except Exception as error:  # of a dozen classes that are not public
            raise _damaged(path, first_line(error)) from None
        super().__init__(path, self.session.get_modelmeta().custom_metadata_map, "ONNX Runtime", "fp32")

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """OUTPUTS for `images`."""
        return self.session.run(OUTPUTS, {INPUTS[0]: images})


class OpenVinoModel(ExportedModel):
    """The model of an .onnx file, run by OpenVINO on the CPU. See `open_export`."""

    def __init__(self, path: str | Path, precision: str = "auto"):
        runtime = optional("openvino", "openvino", str(path))
        chosen = precision_name(choose_precision(precision, "cpu"))
        hint = chosen.replace("fp", "f")  # its names are f32, bf16 and f16
        settings = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": hint}
        try:
            reader = runtime.frontend.FrontEndManager().load_by_framework("onnx")  # `read_model` would try others too
            model = reader.convert(reader.load(str(path)))
            properties = model.get_rt_info(["framework"]).value if model.has_rt_info(["framework"]) else {}
            if not model.outputs:
                raise ValueError("an empty file")
        except Exception as error:  # of classes that are not public
            raise _damaged(path, str(error).strip().splitlines()[-1]) from None
        super().__init__(path, properties, "OpenVINO", chosen)
        self.compiled = runtime.Core().compile_model(model, "CPU", settings)
        if (computes := self.compiled.get_property("INFERENCE_PRECISION_HINT").to_string()) != hint:
            raise InputError(f"{path}: OpenVINO computes in {computes} on this CPU; leave out --precision {precision}")

    def run(self, images: np.ndarray) -> Sequence[np.ndarray]:
        """OUTPUTS for `images`."""
        found = self.compiled.create_infer_request().infer({INPUTS[0]: images})
        return [found[name] for name in OUTPUTS]


def _provider(runtime: ModuleType, path: str | Path, device: str | None) -> tuple[str, dict]:
    """What ONNX Runtime computes with, and its options: the GPU where it can, unless the device is named."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if "CUDAExecutionProvider" in runtime.get_available_providers():
            return "CUDAExecutionProvider", {"device_id": chosen.index or 0}
        if device is not None:
            raise InputError(f"{path}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu, or --device cpu")
    return CPU_PROVIDER, {}


def _damaged(path: str | Path, reason: str) -> InputError:
    return InputError(f"{path}: damaged, or no ONNX model ({reason}); {REMEDY}")


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
