"""Eight bits for the network in an ONNX file, chosen after training from pictures (post-training quantisation).

ONNX Runtime's quantiser does the work. The convolutions read their inputs in 256 levels and hold their weights in 255,
with a step of its own for each output channel. Pairs of the nodes QuantizeLinear and DequantizeLinear say so in the
file, and runtimes compute in integers what is between them. What would cost accuracy stays in float: conv1_1, which
reads the picture, and what the prediction convolutions return, with everything after it.
"""

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ssd.data.lists import read_image_paths
from ssd.errors import InputError, optional
from ssd.export.engines import INPUTS
from ssd.text import counted

if TYPE_CHECKING:
    from onnx import ModelProto

FEWEST_PICTURES = 10


def calibration_pictures(data_folder: str | Path, n: int, seed: int = 0) -> list[str]:
    """The paths of n pictures of the training list, drawn with a seed; all of them if there are fewer.

    Raises InputError where there are fewer than FEWEST_PICTURES, and as `read_image_paths` does.
    """
    paths = read_image_paths(file := Path(data_folder) / "TRAIN_images.json")
    if len(paths) < FEWEST_PICTURES:
        raise InputError(
            f"{file}: lists {counted(len(paths), 'picture')}, but 8 bits need at least {FEWEST_PICTURES}; "
            "add pictures, which need no annotations"
        )
    return [paths[k] for k in np.random.default_rng(seed).permutation(len(paths))[:n]]


def quantise(onnx: ModuleType, proto: "ModelProto", images: Iterable[Tensor]) -> "ModelProto":
    """The exported network in eight bits.

    images: normalised, (3, 300, 300) each. What a convolution reads for them, from the least to the largest number, is
    its range.
    Raises InputError where ONNX Runtime is missing.
    """
    library = optional("onnxruntime.quantization", "onnx", "8 bits")
    first = next(node.name for node in proto.graph.node if node.op_type == "Conv")
    with TemporaryDirectory() as folder:
        library.quantize_static(
            proto,
            path := Path(folder, "int8.onnx"),
            _Inputs(images),
            per_channel=True,
            op_types_to_quantize=["Conv", "MaxPool"],
            activation_type=library.QuantType.QUInt8,
            weight_type=library.QuantType.QInt8,
            nodes_to_exclude=[first],
            extra_options={"OpTypesToExcludeOutputQuantization": ["Conv"], "ForceQuantizeNoInputCheck": True},
        )
        return onnx.load(path)


class _Inputs:
    """Images as the inputs of an exported network, one at a time: a `CalibrationDataReader` of the library."""

    def __init__(self, images: Iterable[Tensor]):
        self.images = iter(images)

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next input, None after the last."""
        image = next(self.images, None)
        return None if image is None else {INPUTS[0]: image[None].numpy()}
