"""A pickle module for `torch.load(pickle_module=...)` that reads a pickled model without running any of it.

A pickle is a program: it imports names and calls them. Here a name is one of three things:
- a tensor rebuilder or a plain container (`CALLABLE`): one of the functions below is called;
- a name under one of `INERT`: becomes an `Inert`, which keeps what the pickle says about an object and does nothing; no
  class is imported for it;
- anything else: `Refused`.

It is based on the pure Python unpickler, where each instruction that calls something can be replaced.
"""

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any, ClassVar

import torch

# The tutorial's own module and what its objects are made of; what mmdetection's files hold beside their tensors.
INERT = ("model", "torch.nn", "torch.optim", "mmengine", "mmcv", "mmdet", "numpy", "_codecs")


class Refused(pickle.UnpicklingError):
    """The pickle needs something that is not listed; the message names it."""


class Inert:
    """What a pickle says about a class or an object: the name of the class, and the object's attributes as data."""

    def __init__(self, name: str):
        self.name = name
        self.state: dict = {}

    def __setitem__(self, key: object, value: object) -> None:
        """Nothing: an item of an object that is a dict."""

    def extend(self, values: object) -> None:
        """Nothing: items of an object that is a list."""

    append = extend


def _tensor(storage, offset, size, stride, *_gradient_and_hooks):
    return torch.empty(0, dtype=storage.dtype).set_(storage._untyped_storage, offset, size, stride)


def _parameter(tensor, *_gradient_and_hooks):
    return tensor


def _dict(_default=None, *items):
    return dict(*items)


CALLABLE: dict[tuple[str, str], Callable] = {
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): _dict,  # without the function that it would call for a missing key
    ("collections", "Counter"): dict,
    ("builtins", "dict"): dict,
    ("builtins", "list"): list,
    ("builtins", "tuple"): tuple,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
}


def _call(function: object, args: tuple) -> Any:
    """What a calling instruction gives: an inert object for an inert class, or the result of a listed function."""
    if isinstance(function, Inert):
        return Inert(function.name)
    for listed in CALLABLE.values():
        if function is listed:
            return listed(*args)
    raise Refused(f"a call of {function!r:.80}")


class Unpickler(pickle._Unpickler):
    """`pickle.Unpickler` for the names above."""

    dispatch: ClassVar[dict] = dict(pickle._Unpickler.dispatch)
    stack: list
    append: Callable[[object], None]

    def find_class(self, module: str, name: str) -> Callable | Inert:
        """The function or the inert class that a pickle imports. Raises Refused."""
        module = {"__builtin__": "builtins"}.get(module, module)  # its name in Python 2 and in protocol 2
        if (module, name) in CALLABLE:
            return CALLABLE[module, name]
        if name.isidentifier() and any(module == top or module.startswith(f"{top}.") for top in INERT):
            return Inert(f"{module}.{name}")
        raise Refused(f"{module}.{name}"[:120])

    def get_extension(self, code: int) -> None:  # for EXT1 to EXT4, whose cache would bypass find_class
        raise Refused(f"extension {code}")

    def _instantiate(self, klass, args):  # for the instructions INST and OBJ
        self.append(_call(klass, args))

    def load_reduce(self) -> None:
        args, function = self.stack.pop(), self.stack.pop()
        self.append(_call(function, args))

    def load_newobj_ex(self) -> None:
        self.stack.pop()  # keyword arguments
        self.load_reduce()

    def load_build(self) -> None:
        """Keep the state of an inert object; that of tensors and containers (hooks, versions) is not needed."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert) and isinstance(state, dict):
            target.state = state

    def load_binpersid(self) -> None:
        """Push a storage, read by torch.load, or the class of a network, which files before PyTorch 1.6 mark as well.

        For a class torch.load would compare its source with the one in the file, and could write a patch.
        """
        reference = self.stack.pop()
        is_class = isinstance(reference, tuple) and len(reference) > 1 and reference[0] == "module"
        self.append(reference[1] if is_class else self.persistent_load(reference))

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_reduce
    dispatch[pickle.NEWOBJ_EX[0]] = load_newobj_ex
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.BINPERSID[0]] = load_binpersid


def load(file: IO[bytes], **options: Any) -> Any:
    """`pickle.load` for the names above."""
    return Unpickler(file, **options).load()
