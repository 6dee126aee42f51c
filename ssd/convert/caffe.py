"""Reads the weights in a `.caffemodel` with the `protobuf` library.

Such a file is one message of protocol buffers, `NetParameter`. Of Caffe's description of it, only the few fields that
hold weights are described here; the library skips the others.
"""

from math import prod
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssd.errors import optional

CAFFEMODEL = ".caffemodel"
MOST_FIELDS = 100_000  # in a file; an SSD has some thousand
NOT_WHOLE = "not a whole message of protocol buffers"

# Message -> field -> number and type. Packed numbers are described as bytes, which is the same in the file, because
# the library would make a Python object of each number. Older files have other layers, and blobs with other shapes.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "Shape": {"dim": (1, "repeated int64")},
    "Blob": {
        "num": (1, "optional int32"), "channels": (2, "optional int32"), "height": (3, "optional int32"),
        "width": (4, "optional int32"), "data": (5, "optional bytes"), "shape": (7, "optional Shape"),
        "double_data": (8, "optional bytes"),
    },
    "Layer": {"name": (1, "optional bytes"), "blobs": (7, "repeated Blob")},
    "OldLayer": {"name": (4, "optional bytes"), "blobs": (6, "repeated Blob")},
    "Net": {"layer": (100, "repeated Layer"), "layers": (2, "repeated OldLayer")},
}  # fmt: skip


def read_caffemodel(path: str | Path) -> dict[str, Tensor]:
    """The tensors in a `.caffemodel`, float32, under the names LAYER.weight (also for scales) and LAYER.bias.

    Raises ValueError if it is damaged, InputError if `protobuf` is not installed.
    """
    net = _parsed(Path(path).read_bytes())
    tensors = {}
    for layer in (*net.layer, *net.layers):
        name = layer.name.decode()
        for kind, blob in zip(("weight", "bias"), layer.blobs, strict=False):
            tensors[f"{name}.{kind}"] = _tensor(blob, name, kind)
    return tensors


def _parsed(content: bytes) -> Any:
    """The message `Net` in a file."""
    net = _message_class()()
    try:
        _count_fields(memoryview(content))
        net.MergeFromString(content)
    except optional("google.protobuf.message", "weights", ".caffemodel files", "protobuf").DecodeError:
        raise ValueError(NOT_WHOLE) from None
    return net


def _count_fields(content: memoryview, message: str = "Net", n: int = 0) -> int:
    """n and the number of fields in a message, and in those of FIELDS in it. Raises ValueError above MOST_FIELDS.

    The library makes an object of each, so that a file of millions of empty ones would take 200 times its size.
    """
    kinds = {number: text.split()[1] for number, text in FIELDS[message].values()}
    position = 0
    while position < len(content):
        tag, position = _varint(content, position)
        number, wire_type = divmod(tag, 8)
        size = {1: 8, 5: 4}.get(wire_type, 0)
        if wire_type in (0, 2):
            value, position = _varint(content, position)
            size = value if wire_type == 2 else 0
        kind = kinds.get(number)
        n += 1 + (size if kind == "int64" else 0)  # packed, perhaps one number in a byte
        if n > MOST_FIELDS:
            raise ValueError(f"more than {MOST_FIELDS} layers, tensors and other fields")
        if kind in FIELDS and wire_type == 2:
            n = _count_fields(content[position : position + size], kind, n)
        position += size
    return n


def _varint(content: memoryview, start: int) -> tuple[int, int]:
    """The number, seven bits in each byte, that begins at a position, and the position after it."""
    number = 0
    for k, byte in enumerate(content[start : start + 10]):
        number |= (byte & 127) << 7 * k
        if byte < 128:
            return number, start + k + 1
    raise ValueError(NOT_WHOLE)


def _tensor(blob: Any, layer: str, kind: str) -> Tensor:
    """The tensor in a `Blob`. Biases have one dimension here; older files give them four."""
    data = blob.data  # a copy
    values = np.frombuffer(data, "<f4") if data else np.frombuffer(blob.double_data, "<f8")
    shape = list(blob.shape.dim) if blob.HasField("shape") else [blob.num, blob.channels, blob.height, blob.width]
    if min(shape, default=0) < 1 or prod(shape) != len(values):
        raise ValueError(f"layer {layer} has {len(values)} numbers for the shape {short(shape)}")
    return torch.from_numpy(values.astype(np.float32)).reshape(-1 if kind == "bias" else shape)


def _message_class() -> Any:
    """The class of the message `Net`, made from FIELDS."""
    names = ("descriptor_pb2", "descriptor_pool", "message_factory")
    pb2, pools, factory = (
        optional(f"google.protobuf.{name}", "weights", ".caffemodel files", "protobuf") for name in names
    )
    file = pb2.FileDescriptorProto(name="ssd_weights.proto", package="ssd")
    kinds = pb2.FieldDescriptorProto
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, text) in fields.items():
            label, kind = text.split()
            field = described.field.add(name=name, number=number, label=kinds.Label.Value(f"LABEL_{label.upper()}"))
            if kind in FIELDS:
                field.type_name = f".ssd.{kind}"
            else:
                field.type = kinds.Type.Value(f"TYPE_{kind.upper()}")
    pool = pools.DescriptorPool()
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName("ssd.Net"))
