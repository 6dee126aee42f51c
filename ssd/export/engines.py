"""Exported models: the .onnx and .pt2 files of `ssd.export.write`, run in place of a checkpoint.

Such a file holds the network with its decoding: normalised `images` (N, 3, 300, 300) in, `boxes` (N, 8732, 4) and
`probabilities` (N, 8732, n_classes) out, as `ssd.model.postprocess.decode_predictions` returns them. What these numbers
mean stands beside the network as JSON (`describe`): the fields of its `SSDConfig`, and the
thresholds min_score, max_overlap and top_k.
"""

import json

import torch
from torch.export.passes import move_to_device_pass

from ssd.config import SSDConfig
from ssd.errors import InputError, first_line
from ssd.export.pt2 import load_program, read_members
from ssd.inference.device import choose_device
from ssd.model.postprocess import select_detections

FORMAT, VERSION = "ssd300 export", 1
FACTS = "ssd300.json"  # what a .pt2 file has as an extra file; in an .onnx file each fact is a metadata property
OWN_FACTS = ("format", "version", "nms", "min_score", "max_overlap", "top_k")  # the others are the config's
INPUTS, OUTPUTS = ["images"], ["boxes", "probabilities"]
REMEDY = "python -m ssd.export CHECKPOINT OUT writes one that does"


def describe(config, nms, min_score, max_overlap, top_k):
    """What an export says of itself, plain data: see above. nms: its outputs are the final detections."""
    thresholds = {"min_score": min_score, "max_overlap": max_overlap, "top_k": top_k}
    return {"format": FORMAT, "version": VERSION, "nms": nms, **thresholds, **config.to_dict()}


class _Exported:
    def detect_objects(self, boxes, probabilities, min_score, max_overlap, top_k):
        """What `SSD300.detect_objects` returns, from what an export has decoded by itself."""
        return select_detections(boxes, probabilities, min_score, max_overlap, top_k, unused=self.config.unused_labels)


class OnnxModel(_Exported):
    """The model of an .onnx file, run by ONNX Runtime."""

    def __init__(self, path, device=None):
        runtime = _onnxruntime(path)
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

    def __call__(self, images):
        """Normalised images (N, 3, 300, 300) -> boxes (N, 8732, 4), probabilities (N, 8732, n_classes)."""
        images = images.float().cpu().contiguous().numpy()
        return tuple(map(torch.from_numpy, self.runtime.run(OUTPUTS, {INPUTS[0]: images})))


class Pt2Model(_Exported):
    """The model of a .pt2 file, run by PyTorch."""

    def __init__(self, path, device=None):
        self.device = choose_device(device)
        members = read_members(path)
        facts = [content for name, content in members.items() if name.rpartition("/")[2] == FACTS]
        self.config = _read_config(path, _from_json(facts[0]) if facts else {})
        program = load_program(path, members)
        if self.device.type != "cpu":
            program = move_to_device_pass(program, str(self.device))
        self.module = program.module().to(memory_format=torch.channels_last)

    def __call__(self, images):
        """Normalised images (N, 3, 300, 300) -> boxes (N, 8732, 4), probabilities (N, 8732, n_classes)."""
        return self.module(images.to(self.device, torch.float32, memory_format=torch.channels_last, non_blocking=True))


def _onnxruntime(path):
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f'{path} needs ONNX Runtime: pip install -e ".[onnx]"') from None
    return onnxruntime


def _provider(runtime, path, device):
    """What ONNX Runtime computes with, and its options: the GPU where it can, unless the device is named."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if "CUDAExecutionProvider" in runtime.get_available_providers():
            return "CUDAExecutionProvider", {"device_id": chosen.index or 0}
        if device is not None:
            raise InputError(f"{path}: this ONNX Runtime has no CUDA; pip install onnxruntime-gpu, or --device cpu")
    return "CPUExecutionProvider", {}


def _read_config(path, facts):
    """The `SSDConfig` that an export's description holds. Raises InputError where the export is not for us to run."""
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise InputError(f"{path}: not a model that this project exported; {REMEDY}")
    if facts.get("version") != VERSION:
        raise InputError(f"{path}: export version {facts.get('version')}, this program reads {VERSION}")
    if facts.get("nms"):
        raise InputError(f"{path}: gives final detections, for other runtimes; export it again without --with-nms")
    try:
        return SSDConfig.from_dict({name: value for name, value in facts.items() if name not in OWN_FACTS})
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: an export whose config does not fit ({error}); {REMEDY}") from None


def _from_json(text):
    try:
        return json.loads(text)
    except ValueError:  # of another program
        return None
