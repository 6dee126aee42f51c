"""Pickles that would do something when they are read: refused or inert, in both kinds of file that torch.save wrote."""

import builtins
import copyreg
import functools
import io
import os
import pickle
import struct
import sys
import tarfile
import zipfile

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssd.commands.convert import main
from ssd.convert import read_weights
from ssd.convert.reading import load_without_running
from ssd.convert.unpickling import CALLABLE, Inert, Refused, Unpickler
from ssd.errors import InputError

PROTO = b"\x80\x02"
PROTO_4 = b"\x80\x04"


def write_zip(path, program):
    """What torch.save writes, with the pickle `program` in it."""
    template = io.BytesIO()
    torch.save({"a": torch.ones(2)}, template)
    with zipfile.ZipFile(template) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, program if name.endswith("data.pkl") else source.read(name))


def write_legacy(path, program):
    """What torch.save wrote before PyTorch 1.6: five pickles, of which the fourth is the content."""
    heads = [pickle.dumps(part, protocol=2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    path.write_bytes(b"".join([*heads, program, pickle.dumps([], protocol=2)]))


WRITERS = {"zip": write_zip, "legacy": write_legacy}


def text(string):
    """The instruction that puts a string on the stack."""
    raw = string.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def imported(module, name):
    """The instructions that import a name, of protocol 4, which takes dots in names as attributes."""
    return text(module) + text(name) + b"\x93"


class Call:
    """An object that is pickled as a call."""

    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def nested(created):
    """A file of torch.save inside the pickle, which a nested torch.load would read."""
    inner = io.BytesIO()
    torch.save(Call(builtins.open, created, "w"), inner, _use_new_zipfile_serialization=False)
    return Call(torch.storage._load_from_bytes, inner.getvalue())


# name: (what is pickled, given the path of the file that it would create; what the refusal names)
CALLS = {
    "system": (lambda path: Call(os.system, f"touch {path}"), f"{os.system.__module__}.system"),
    "open": (lambda path: Call(builtins.open, path, "w"), "open"),
    "eval": (lambda path: Call(eval, f"open({path!r}, 'w')"), "builtins.eval"),
    "exec": (lambda path: Call(exec, f"open({path!r}, 'w')"), "builtins.exec"),
    "partial": (lambda path: Call(functools.partial(open, path, "w")), "functools.partial"),
    "getattr": (lambda path: Call(getattr, Call(__import__, "os"), "system"), "builtins.getattr"),
    "import": (lambda path: Call(__import__, "os"), "builtins.__import__"),
    "torch.load": (nested, "torch.storage._load_from_bytes"),
    "torch.hub": (lambda path: Call(torch.hub.load, path, "x", True, "local"), "torch.hub.load"),
    "torch.save": (lambda path: Call(torch.save, [1], path), "torch.serialization.save"),
    "in a state dict": (
        lambda path: {"model": {"vgg.0.weight": torch.ones(1), "x": Call(os.system, f"touch {path}")}}, "system"
    ),
}  # fmt: skip


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("name", CALLS)
def test_calls_are_refused(name, protocol, zipped, tmp_path, capsys):
    payload, refusal = CALLS[name]
    path, created = tmp_path / "a.pth", tmp_path / "created"
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": zipped}
    torch.save(payload(str(created)), path, **options)
    assert main([str(path), str(tmp_path / "out.pth")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {path}: refused, because to read it ")
    assert refusal in error
    assert error.count("\n") == 1
    assert not created.exists()
    assert not (tmp_path / "out.pth").exists()


def test_the_payloads_are_real(tmp_path):
    """Python's own unpickler runs them, or the tests above show nothing."""
    for name in ("system", "open", "eval", "exec", "torch.load", "torch.save"):
        pickle.loads(pickle.dumps(CALLS[name][0](str(tmp_path / name))))
        assert (tmp_path / name).exists(), name


# programs by hand: dots in names, other instructions that call or set, extensions
PROGRAMS = {
    "dots in a name": imported("torch.nn", "Module.__init__.__globals__") + b".",
    "dots to another module": imported("torch.nn.modules.module", "torch.os.system") + b"(S'touch {}'\ntR.",
    "a module's module": b"ctorch.nn.modules.module\ntorch.os.system\n(S'touch {}'\ntR.",
    "the top of torch": imported("torch", "save") + b".",
    "begins like model": imported("models", "SSD300") + b".",
    "begins like torch.nn": imported("torch.nnx", "f") + b".",
    "instruction INST": b"(S'touch {}'\nios\nsystem\n.",
    "instruction OBJ": b"(cos\nsystem\nS'touch {}'\no.",
    "instruction NEWOBJ": b"cos\nsystem\n(S'touch {}'\nt\x81.",
    "call of a result": b"ctorch._utils\n_rebuild_parameter\n(cbuiltins\nlist\ntR(cos\nsystem\ntR.",
    "call of a string": b"S'touch {}'\n)R.",
    "extension": b"\x82\x07.",
    "default factory": b"ccollections\ndefaultdict\n(cos\nsystem\ntR.",
}


@pytest.fixture
def extension():
    """A name registered for the instruction EXT1, and read before: the cache holds the function itself."""
    copyreg.add_extension("os", "system", 7)
    pickle._loads(b"\x80\x02\x82\x07.")
    yield
    copyreg.remove_extension("os", "system", 7)
    copyreg.clear_extension_cache()


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_refused(name, kind, extension, tmp_path):
    created = tmp_path / "created"
    program = PROGRAMS[name].replace(b"{}", str(created).encode())
    WRITERS[kind](tmp_path / "a.pth", PROTO_4 + program)
    with pytest.raises(InputError, match="a.pth: refused"):
        read_weights(tmp_path / "a.pth")
    assert not created.exists()


INERT_PROGRAMS = {
    "a real function": imported("torch.nn.init", "open") + b"(S'{}'\nS'w'\ntR.",
    "a loader": imported("torch.optim.swa_utils", "deepcopy") + b"(S'{}'\ntR.",
    "instruction OBJ": b"(" + imported("torch.nn", "Module") + b"S'x'\no.",
    "instruction INST": b"(S'x'\nimodel\nSSD300\n.",
    "instruction NEWOBJ_EX": imported("torch.nn", "Module") + b")}\x92.",
    "state of a set": imported("builtins", "set") + b")R}b.",
    "setstate": imported("torch.nn", "Module") + b")\x81}" + text("__setstate__") + imported("model", "f") + b"sb.",
    "state of a class": imported("torch.nn", "Module") + b"N}" + text("dump_patches") + b"\x88s\x86b.",
    "state of a function": imported("torch._utils", "_rebuild_tensor_v2") + b"N}" + text("__defaults__") + b"Ns\x86b.",
    "state of a container": imported("collections", "OrderedDict") + b")R}" + text("get") + b"Nsb.",
    "circle": imported("torch.nn", "Module") + b")\x81q\x00}" + text("_modules") + b"}" + text("a") + b"h\x00ssb.",
}


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", INERT_PROGRAMS)
def test_programs_that_do_nothing(name, kind, tmp_path):
    created = tmp_path / "created"
    program = INERT_PROGRAMS[name].replace(b"{}", str(created).encode())
    WRITERS[kind](tmp_path / "a.pth", PROTO_4 + program)
    defaults = CALLABLE["torch._utils", "_rebuild_tensor_v2"].__defaults__
    with pytest.raises(InputError, match="a.pth: not a known SSD format"):
        read_weights(tmp_path / "a.pth")
    assert not created.exists()
    assert CALLABLE["torch._utils", "_rebuild_tensor_v2"].__defaults__ == defaults


def test_no_patch_is_written(tmp_path, monkeypatch):
    """PyTorch before 1.6 stored the source of classes; reading it back may write NAME.patch to the current folder."""
    monkeypatch.chdir(tmp_path)
    cls = imported("torch.nn", "Linear")
    state = b"N}" + text("dump_patches") + b"\x88s" + text("__module__") + text("pickle") + b"s\x86b"
    reference = b"(" + text("module") + cls + state + text("linear.py") + text("another source") + b"tQ."
    write_legacy(tmp_path / "a.pth", PROTO_4 + reference)
    assert isinstance(load_without_running(tmp_path / "a.pth"), Inert)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_classes_are_not_imported(tmp_path):
    """Not even a module that is there."""
    (tmp_path / "model.py").write_text(f"open({str(tmp_path / 'created')!r}, 'w')")
    sys.path.insert(0, str(tmp_path))
    try:
        write_zip(tmp_path / "a.pth", PROTO_4 + imported("model", "SSD300") + b")\x81.")
        assert load_without_running(tmp_path / "a.pth").name == "model.SSD300"
    finally:
        sys.path.remove(str(tmp_path))
    assert not (tmp_path / "created").exists()


def test_archives_that_pytorch_would_run(tmp_path):
    class Doubled(torch.nn.Module):
        def forward(self, x):
            return 2 * x

    torch.jit.script(Doubled()).save(str(tmp_path / "script.pth"))
    with tarfile.open(tmp_path / "tar.pth", "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(Call(os.system, f"touch {tmp_path / 'created'}"))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for name in ("script.pth", "tar.pth"):
        with pytest.raises(InputError, match=f"{name}: damaged, or no file of weights"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_containers_come_back(zipped, tmp_path):
    """What a tutorial's checkpoint is made of, views of one storage and an optimiser's state included."""
    storage = torch.arange(12.0)
    layer = torch.nn.Linear(2, 3)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    optimizer.state[layer.weight]["momentum_buffer"] = storage.view(3, 4)[:, 1:3]
    content = {
        "model": layer,
        "optimizer": optimizer,
        "set": {1, 2},
        "view": storage.view(3, 4).T,
        "half": storage.half(),
    }
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    loaded = load_without_running(tmp_path / "a.pth")
    assert (loaded["model"].name, loaded["set"]) == ("torch.nn.modules.linear.Linear", {1, 2})
    assert torch.equal(loaded["view"], content["view"])
    assert torch.equal(loaded["half"], content["half"])
    weight = loaded["model"].state["_parameters"]["weight"]
    assert torch.equal(weight, layer.weight)
    state = loaded["optimizer"].state["state"]
    buffers = [value["momentum_buffer"] for value in state.values()]
    assert len(buffers) == 1
    assert torch.equal(buffers[0], storage.view(3, 4)[:, 1:3])


@given(
    st.sampled_from(
        [
            "os",
            "builtins",
            "torch",
            "torch.nn",
            "torch.nn.functional",
            "model",
            "sys",
            "",
            "torch.nnx",
            "numpy.core",
            "numpyx",
            "mmengine",
        ]
    ),
    st.text("abcR._", min_size=1, max_size=12),
)
def test_a_name_is_inert_listed_or_refused(module, name):
    unpickler = Unpickler(io.BytesIO())
    inside = module in ("model", "torch.nn", "torch.nn.functional", "numpy.core", "mmengine")
    if inside and name.isidentifier():
        assert unpickler.find_class(module, name).name == f"{module}.{name}"
    else:
        with pytest.raises(Refused):
            unpickler.find_class(module, name)
