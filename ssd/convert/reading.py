"""Files of weights, ours and other people's, as a config and a state dict; nothing in them is run."""

import pickle
import warnings

import torch

from ssd.checkpoint import check_tensors, checkpoint_weights, holds_checkpoint, load_plain, read_file
from ssd.convert import unpickling
from ssd.convert.layouts import LAYOUTS, TORCHVISION, convert, find_layout
from ssd.convert.torchvision_format import from_torchvision
from ssd.convert.unpickling import Inert, Refused
from ssd.errors import InputError, first_line
from ssd.model.vgg import pretrained_input

REMEDY = "give the path of a file of SSD300 weights"
KEYS = ("model", "state_dict", "model_state_dict")  # under which a training's file keeps the weights


def read_weights(source, remedy=REMEDY):
    """The `SSDConfig` and our state dict of a file of SSD300 weights in any layout of `ssd.convert.layouts`, or ours.

    Raises InputError where the file is missing, damaged or none of these, or would have to be run to be read; remedy:
    the end of its sentence, what to do.
    """
    _, config, state = read(source, remedy)
    return config, state


def read(source, remedy=REMEDY):
    """As `read_weights`, after a few words on whose layout it is: (whose, config, state dict)."""
    return interpret(read_file(source, remedy, load_without_running), source, remedy)


def interpret(content, source, remedy=REMEDY):
    """As `read`, from what `load_without_running` has read from `source`."""
    if holds_checkpoint(content, source):
        return "a checkpoint of ours", *checkpoint_weights(content, source)
    state = find_state(content)
    layout = find_layout(state)
    if layout is None:
        raise InputError(f"{source}: {_unknown(state, content, source)}")
    try:
        config, ours = from_torchvision(state) if layout is TORCHVISION else convert(layout, state)
        check_tensors(config, ours)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{source}: begins as {layout.project}, but {first_line(error)}; {remedy}") from None
    return layout.project, config, ours


def load_without_running(path):
    """`torch.load` of tensors and plain containers, or else of a pickled model by `ssd.convert.unpickling`.

    The first attempt is PyTorch's own and refuses TorchScript and tar archives, which only the second would open.
    Raises InputError on a pickle that wants more.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of protocols and sources, which a user can do nothing about
        try:
            return load_plain(path)
        except pickle.UnpicklingError:
            return _load_pickled(path)


def _load_pickled(path):
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=unpickling)
    except Refused as refused:
        raise InputError(
            f"{path}: refused, because to read it {refused} would have to be run, which could do anything; save the "
            "model's state_dict() with the program that it belongs to, and give that"
        ) from None


def find_state(content):
    """The state dict in what a file holds: bare, under a usual key, or in a pickled model; {} where there is none.

    The prefix "module.", of a model that was trained on several GPUs, is left out.
    """
    inside = [content[key] for key in KEYS if isinstance(content, dict) and key in content]
    content = next((value for value in inside if isinstance(value, dict | Inert)), content)
    state = module_state(content) if isinstance(content, Inert) else content
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        return {}
    if state and all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def module_state(module):
    """The state dict of a pickled `nn.Module`, from the attributes in which PyTorch keeps parameters and modules."""
    state, waiting, seen = {}, [("", module)], set()
    while waiting:
        prefix, module = waiting.pop(0)
        if not isinstance(module, Inert) or module in seen:  # a hostile file may have circles
            continue
        seen.add(module)
        tensors = _attributes(module, "_parameters") | _attributes(module, "_buffers")
        state |= {f"{prefix}{name}": tensor for name, tensor in tensors.items() if tensor is not None}
        waiting += [(f"{prefix}{name}.", child) for name, child in _attributes(module, "_modules").items()]
    return state


def _attributes(module, name):
    value = module.state.get(name)
    return dict(value) if isinstance(value, dict) else {}


def _unknown(state, content, source):
    """What to say of a file in no layout."""
    try:
        pretrained_input(state)
        return f"the weights of a VGG16 without a detector; train.py --weights {source} starts from them"
    except ValueError:
        pass
    wanted = ", ".join(f"{layout.convolutions[0]}.weight ({layout.project})" for layout in LAYOUTS)
    names = list(state) or (list(content) if isinstance(content, dict) else [])
    found = "the first names are " + ", ".join(str(name)[:60] for name in names[:4]) if names else "found no names"
    return f"holds no SSD300 that is known; looked for {wanted}, and {found}"
