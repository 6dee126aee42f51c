"""Reads the .pt2 files of `torch.export` without running what a file may hold.

PyTorch's own reader trusts its file: it unpickles, evaluates texts as Python, and calls functions that the file names.
Here every member of the archive is looked at before, and PyTorch is given a copy of those, and of nothing else.
"""

import contextlib
import io
import json
import logging
import re
import warnings
import zipfile

import torch

from ssd.errors import InputError, first_line

# The members of the archives of PyTorch 2.8 and newer, and of those of 2.6 and 2.7; the first folder is any name.
# Compiled code and pickled objects, which such archives can also hold, are not among them.
MEMBERS = re.compile(
    r"[^/]+/(models/model\.json|data/(weights|constants)/(\w+_config\.json|(weight|tensor)_\d+)"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/(version|serialization_id))"
    r"|serialized_exported_program\.json|serialized_\w+\.pt|version"
)
EXTRA = re.compile(r"([^/]+/extra|extra_files)/[\w.]+")  # texts that come with the network, and that nothing reads
# Words, which evaluated as Python do nothing, and the one expression that a dynamic batch size is written as.
TEXT = re.compile(r"[\w.+-]*|Symbol\('\w+'(, \w+=True)*\)")
# Of the containers that inputs and outputs come in: that of a tuple, of an empty dict, of no container. Others can name
# modules, which would be imported.
CONTEXTS = ("null", "[]", None)
OPERATORS = (
    "_assert_scalar", "_assert_tensor_metadata", "add", "cat", "clamp", "conv2d", "div", "exp", "ge", "le",
    "max_pool2d", "mul", "permute", "relu_", "reshape", "slice", "softmax", "sqrt", "square", "sub", "sum",
    "sym_size", "to",
)  # fmt: skip
TARGET = re.compile(rf"torch\.ops\.aten\.({'|'.join(OPERATORS)})\.\w+")


def read_members(path):
    """The files in a .pt2 archive: name -> bytes. Raises InputError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise zipfile.BadZipFile("compressed, which torch.export never does")
            return {name: archive.read(name) for name in archive.namelist()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: damaged, or no .pt2 file ({error})") from None


def load_program(path, members):
    """The `ExportedProgram` of an archive's files. Raises InputError where they could run something, or do not fit."""
    for name, content in members.items():
        if reason := _refusal(name, content):
            raise InputError(f"{path}: not run, since {name} in it {reason}; run what python -m ssd.export writes")
    copy = io.BytesIO()
    with zipfile.ZipFile(copy, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    copy.seek(0)
    try:
        with quiet():
            return torch.export.load(copy)
    except Exception as error:  # whatever the reader of this PyTorch stumbles on
        reader = f"PyTorch {torch.__version__}"
        raise InputError(f"{path}: {reader} cannot read it ({first_line(error)}); export it again with that") from None


@contextlib.contextmanager
def quiet():
    """No warnings while PyTorch exports or reads an export: they are about its own plans; errors are raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(before)


def _refusal(name, content):
    """Why a member is not given to PyTorch, or None."""
    if EXTRA.fullmatch(name):
        return None
    if not MEMBERS.fullmatch(name):
        return "is not a part of an exported network"
    if name.endswith(".pt") and content and not _is_plain(content):
        return "is a pickle of more than tensors"
    if name.endswith(".json"):
        try:
            return _refusal_of_json(json.loads(content))
        except (ValueError, RecursionError):
            return "is not JSON"
    return None


def _is_plain(content):
    try:
        torch.load(io.BytesIO(content), weights_only=True)
    except Exception:  # the unpickler raises almost anything
        return False
    return True


def _refusal_of_json(value, key=""):
    """Why a JSON value is not given to PyTorch, or None. key: what it is called there."""
    if key == "context":
        return None if value in CONTEXTS else f"has the context {value!r:.80} in it"
    if isinstance(value, dict):
        return _refusal_of_json([*value]) or _first(_refusal_of_json(item, name) for name, item in value.items())
    if isinstance(value, list):
        return _first(_refusal_of_json(item, key) for item in value)
    if key in ("in_spec", "out_spec") and value:
        return _refusal_of_json(json.loads(str(value)))  # JSON once more
    if key == "use_pickle" and value:
        return "says that a tensor is pickled"
    if key == "target" and value is not None and not TARGET.fullmatch(str(value)):
        return f"calls {value!r}"
    if isinstance(value, str) and not TEXT.fullmatch(value):
        return f"has {value!r} in it"
    return None


def _first(reasons):
    return next(filter(None, reasons), None)
