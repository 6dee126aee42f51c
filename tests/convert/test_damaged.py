"""Damaged weights: a sentence for each, and no more memory than three times the file."""

import json
import subprocess
import sys

import numpy as np
import torch

from ssd import SSDConfig
from ssd.checkpoint import write_checkpoint
from ssd.convert.layouts import CAFFE
from tests.helpers.caffemodel import caffemodel

SIZE = 10_000_000
CONVERT = """\
import contextlib, io, json, resource, sys
import google.protobuf.message, safetensors.torch
from ssd.commands.convert import main

def most_memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

before, messages = most_memory(), []
for path, *damages in json.load(sys.stdin):
    whole = open(path, "rb").read()
    for position, replaced, new in damages:
        with open(path, "wb") as file:
            file.writelines([whole[:position], bytes.fromhex(new), whole[position + replaced:]])
        with contextlib.redirect_stderr(io.StringIO()) as error:
            messages.append((path, main([path, path + ".pth"]), error.getvalue()))
json.dump((most_memory() - before, messages), sys.stdout)
"""


def make_caffemodel(path):
    small, large = np.ones(1), np.ones(SIZE // 4)
    names = {name.rpartition(".")[0]: [small, small] for name in CAFFE.names.values()}
    path.write_bytes(caffemodel(names | {"conv4_3_norm": [small], "fc6": [large, small]}))


def make_safetensors(path):
    state = {name: torch.ones(1) for name in CAFFE.names} | {"base.conv6.weight": torch.ones(SIZE // 4)}
    write_checkpoint(path, SSDConfig(), state)


def damages(path):
    """Twenty: cut off, overwritten, or with a byte put in; among the names and sizes at the beginning, or later.

    Each is (position, number of bytes to replace, new bytes in hexadecimal).
    """
    random = np.random.default_rng(0)
    cut = [(position, SIZE * 2, "") for position in (0, 1, 7, 8, 9, 100, 1000, SIZE // 2, path.stat().st_size - 1)]
    early = [(int(random.integers(1000)), 4, random.bytes(4).hex()) for _ in range(8)]
    later = [(int(random.integers(SIZE)), 1000, random.bytes(n).hex()) for n in (1000, 1000, 1001)]
    return [*cut, *early, *later]


def test_twenty_damaged_files_of_each_kind(tmp_path):
    make_caffemodel(tmp_path / "a.caffemodel")
    make_safetensors(tmp_path / "a.safetensors")
    files = [(str(path), *damages(path)) for path in (tmp_path / "a.caffemodel", tmp_path / "a.safetensors")]
    run = subprocess.run(
        [sys.executable, "-c", CONVERT], input=json.dumps(files), capture_output=True, text=True, check=True
    )
    memory, messages = json.loads(run.stdout)
    assert len(messages) == 40
    for path, status, message in messages:
        assert status == 2
        assert message.startswith(f"error: {path}: ")
        assert message.count("\n") == 1
    assert memory < 4 * SIZE  # the test itself holds the whole file once
