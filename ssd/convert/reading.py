"""Reads a file of weights, ours or someone else's, as a config and a state dict, without running anything in it."""

import pickle
import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ssd.checkpoint import check_tensors, checkpoint_weights, holds_checkpoint, load_plain, read_file
from ssd.config import SSDConfig
from ssd.convert import unpickling
from ssd.convert.caffe import CAFFEMODEL, read_caffemodel
from ssd.convert.layouts import LAYOUTS, TORCHVISION, as_reducedfc, convert, find_layout, guessed_priors
from ssd.convert.torchvision import from_torchvision
from ssd.convert.unpickling import Inert, Refused
from ssd.errors import InputError, first_line
from ssd.model.vgg import pretrained_input

OURS = "a checkpoint of ours"
REMEDY = "give the path of a file of SSD weights"
KEYS = ("model", "state_dict", "model_state_dict")  # under which training scripts keep the weights


class Weights(NamedTuple):
    """A detector's weights. project: a few words on the layout they came in. state: a state dict of our `SSD300`.

    Where the priors are a guess, `project` says so too.
    """

    project: str
    config: SSDConfig
    state: dict[str, Tensor]

    @property
    def origin(self) -> str:
        """What was done with weights of others, in words; "" for a checkpoint of ours."""
        return "" if self.project == OURS else f"weights of {self.project}, converted in memory"


def read_weights(source: str | Path, remedy: str = REMEDY) -> Weights:
    """The `Weights` in a file, in any layout of `ssd.convert.layouts` or ours.

    Raises InputError where the file is missing, damaged or none of these, or could only be read by running it.
    remedy: what to do then, the end of the sentence.
    """
    return interpret(read_file(source, remedy, load_without_running), source, remedy)


def interpret(content: object, source: str | Path, remedy: str = REMEDY) -> Weights:
    """`read_weights`, from what `load_without_running` has read from `source`."""
    if holds_checkpoint(content, source):
        weights = Weights(OURS, *checkpoint_weights(content, source))
    else:
        weights = _foreign(content, source, remedy)
    if bad := [name for name, tensor in weights.state.items() if not tensor.isfinite().all()]:
        raise InputError(f"{source}: tensor {bad[0]} holds numbers that are not finite; {remedy}")
    return weights


def _foreign(content: object, source: str | Path, remedy: str) -> Weights:
    """`interpret` for weights of other projects."""
    state = find_state(content)
    layout = find_layout(state)
    if layout is None:
        raise InputError(f"{source}: {_unknown(state, content, source)}")
    names = _stored_names(content)
    try:
        config, ours = from_torchvision(state, *names) if layout is TORCHVISION else convert(layout, state, *names)
        check_tensors(config, ours)
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{source}: looks like {layout.project}, but {first_line(error)}; {remedy}") from None
    guess = guessed_priors(layout, config, *names)
    return Weights(layout.project + (f" with priors taken to be {guess}'s" if guess else ""), config, ours)


def load_without_running(path: str | Path) -> object:
    """What is in a file: `load_plain`, a pickled model by `ssd.convert.unpickling`, or the tensors of a `.caffemodel`.

    PyTorch's own reader comes before the unpickler: it refuses TorchScript and tar archives, which the second would
    open. Raises InputError on a pickle that needs more.
    """
    if Path(path).suffix.lower() == CAFFEMODEL:
        return as_reducedfc(read_caffemodel(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about protocols and sources, which a user cannot change
        try:
            return load_plain(path)
        except pickle.UnpicklingError:
            return _load_pickled(path)


def _load_pickled(path: str | Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=unpickling)
    except Refused as refused:
        raise InputError(
            f"{path}: refused, because to read it {refused} would have to be run, which could do anything; save the "
            "model's state_dict() with the program that it belongs to, and give that"
        ) from None


def _stored_names(content: object) -> list[tuple[str, ...]]:
    """The lists of different class names that mmdetection stores beside the weights, at most four."""
    stored = []
    meta = content.get("meta") if isinstance(content, dict) else None
    for holder in (meta, meta.get("dataset_meta")) if isinstance(meta, dict) else ():
        names = [holder.get(key) for key in ("CLASSES", "classes")] if isinstance(holder, dict) else []
        for found in names:
            if not isinstance(found, list | tuple):
                continue
            different = dict.fromkeys(str(name) for name in found if name != "background")
            if len(found) == len(different):
                stored.append(tuple(different))
    return stored


def find_state(content: object) -> dict[str, Tensor]:
    """The state dict in a file's content: bare, under a usual key, or in a pickled model; {} if there is none.

    Drops the prefix "module." of a model that was trained on several GPUs.
    """
    inside = [content[key] for key in KEYS if isinstance(content, dict) and key in content]
    content = next((value for value in inside if isinstance(value, dict | Inert)), content)
    state = module_state(content) if isinstance(content, Inert) else content
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        return {}
    if state and all(name.startswith("module.") for name in state):
        return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


def module_state(module: Inert) -> dict[str, Tensor]:
    """The state dict of a pickled `nn.Module`, from the attributes in which PyTorch keeps parameters and modules."""
    state: dict[str, Tensor] = {}
    waiting, seen = [("", module)], set()
    while waiting:
        prefix, module = waiting.pop(0)
        if not isinstance(module, Inert) or module in seen:  # a hostile file may have circles
            continue
        seen.add(module)
        tensors = _attributes(module, "_parameters") | _attributes(module, "_buffers")
        state |= {f"{prefix}{name}": tensor for name, tensor in tensors.items() if tensor is not None}
        waiting += [(f"{prefix}{name}.", child) for name, child in _attributes(module, "_modules").items()]
    return state


def _attributes(module: Inert, name: str) -> dict:
    value = module.state.get(name)
    return dict(value) if isinstance(value, dict) else {}


def _unknown(state: dict, content: object, source: str | Path) -> str:
    """What is wrong with a file in no layout."""
    try:
        pretrained_input(state)
        return f"the weights of a VGG16 without a detector; train.py --weights {source} starts from them"
    except ValueError:
        pass
    wanted = ", ".join(dict.fromkeys(f"{layout.convolutions[0]}.weight ({layout.project})" for layout in LAYOUTS))
    names = list(state) or (list(content) if isinstance(content, dict) else [])
    found = "the first names are " + ", ".join(str(name)[:60] for name in names[:4]) if names else "found no names"
    return f"not a known SSD format; looked for {wanted}, and {found}"
