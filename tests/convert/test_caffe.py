"""Files of Caffe."""

import sys

import numpy as np
import pytest
import torch

from ssd.convert.caffe import MOST_FIELDS, read_caffemodel
from ssd.convert.reading import read_weights
from ssd.errors import InputError
from tests.helpers.caffemodel import caffemodel, record, varint

KERNELS, BIASES = np.arange(24, dtype=np.float32).reshape(4, 3, 1, 2), np.array([0.5, -1, 2, 4], dtype=np.float32)


@pytest.mark.parametrize("old", [False, True])
def test_tensors(old, tmp_path):
    """Also of older files, whose layers and shapes stand elsewhere and whose biases have four dimensions."""
    layers = {"conv1_1": [KERNELS, BIASES], "relu": [], "norm": [np.full(300, 20)]}
    (tmp_path / "a.caffemodel").write_bytes(caffemodel(layers, old))
    tensors = read_caffemodel(tmp_path / "a.caffemodel")
    assert list(tensors) == ["conv1_1.weight", "conv1_1.bias", "norm.weight"]
    assert torch.equal(tensors["conv1_1.weight"], torch.from_numpy(KERNELS))
    assert torch.equal(tensors["conv1_1.bias"], torch.from_numpy(BIASES))
    assert tensors["norm.weight"].flatten().tolist() == [20] * 300


def test_double_precision_beside_gradients(tmp_path):
    blob = record(7, record(1, varint(4))) + record(6, bytes(16)) + record(8, BIASES.astype("<f8").tobytes())
    (tmp_path / "a.caffemodel").write_bytes(record(100, record(1, b"conv") + record(7, blob)))
    tensor = read_caffemodel(tmp_path / "a.caffemodel")["conv.weight"]
    assert (tensor.dtype, tensor.tolist()) == (torch.float32, BIASES.tolist())


WHOLE = caffemodel({"conv1_1": [KERNELS, BIASES]})


def shaped(*sizes):
    """A layer of one blob with four numbers, in the shape of sizes."""
    blob = record(5, BIASES.tobytes()) + record(7, record(1, b"".join(map(varint, sizes))))
    return record(100, record(1, b"conv") + record(7, blob))


@pytest.mark.parametrize("content, message", [
    (WHOLE, "looks like the Caffe release, but lacks conv4_3_norm.weight and .* more"),
    (WHOLE[:-9], "damaged, or no file of weights .not a whole message"),
    (b"\xff" * 50, "damaged, or no file of weights .not a whole message"),
    (b"", "not a known SSD format.*found no names"),
    (b"#!/bin/sh\n", "damaged, or no file of weights"),
    (caffemodel({"ip1": [KERNELS]}), "not a known SSD format.*conv1_1.weight .the Caffe release.*names are ip1"),
    (shaped(5), "damaged.*layer conv has 4 numbers for the shape .5"),
    (shaped(2**40, 2**40), "damaged.*layer conv has 4 numbers for the shape"),
    (shaped(2, 2**64 - 2), "damaged.*layer conv has 4 numbers for the shape .2, -2"),
    (shaped(), "damaged.*layer conv has 4 numbers for the shape"),
    (record(100, record(1, b"\xff\xfe") + record(7, b"")), "damaged, or no file of weights"),
])  # fmt: skip
def test_refused(content, message, tmp_path):
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(InputError, match=rf"^\S+a.caffemodel: {message}"):
        read_weights(tmp_path / "a.caffemodel")


@pytest.mark.parametrize("build", [
    lambda n: record(100, b"") * n,
    lambda n: record(100, record(7, b"") * n),
    lambda n: record(100, record(1, b"a") * n),
    lambda n: shaped(*[1] * n),
    lambda n: record(100, record(7, record(7, b"\x08\x01" * n))),
    lambda n: b"\x08\x01" * n,
])  # fmt: skip
def test_a_file_of_tiny_parts(build, tmp_path):
    """The library would take up to 200 times the size of such a file."""
    (tmp_path / "a.caffemodel").write_bytes(build(MOST_FIELDS + 1))
    with pytest.raises(InputError, match=f"damaged, or no file of weights .more than {MOST_FIELDS} layers"):
        read_weights(tmp_path / "a.caffemodel")


def test_without_protobuf(tmp_path, monkeypatch):
    (tmp_path / "a.caffemodel").write_bytes(WHOLE)
    for name in [name for name in sys.modules if name.startswith("google.protobuf")]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r'protobuf is needed for .caffemodel files \(extra "weights"\): pip install'):
        read_weights(tmp_path / "a.caffemodel")
