"""The checkpoint file: one `.pth` of state dicts and plain containers, safe to read. No other module knows its format.

{"format": "ssd300", "version": 1, "config": SSDConfig as a dict, "model": state dict,
 "training": what a run needs to continue, or None,
 "chosen_on": the data list by which a run chose this model (`chosen_list`), or None; older files lack it}

A `.safetensors` file holds the state dict. The rest but "training" is JSON in its metadata, under the format's name.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeGuard

import torch
from torch import Tensor

from ssd.config import SSDConfig
from ssd.errors import InputError, first_line, optional
from ssd.files import replacing
from ssd.model.network import SSD, SSD300, SSD512, create_network

FORMAT, VERSION = "ssd300", 1
EXPORTS = (".onnx", ".pt2")
SAFETENSORS = ".safetensors"
REMEDY = "give the path of a checkpoint that train.py or python -m ssd.convert wrote"


def save_checkpoint(
    path: Path | str,
    model: SSD,
    training: dict[str, Any] | None = None,
    chosen_on: dict[str, str] | None = None,
) -> None:
    """Write a model to a checkpoint. A complete file replaces the one at `path` at once, or that one stays as it was.

    training: the state of a training run, plain containers and tensors (see `load_training_state`).
    chosen_on: the data list by which a run chose this model among others (see `chosen_list`).
    """
    write_checkpoint(path, model.config, model.state_dict(), training, chosen_on)


def write_checkpoint(
    path: Path | str,
    config: SSDConfig,
    state: dict[str, Tensor],
    training: dict[str, Any] | None = None,
    chosen_on: dict[str, str] | None = None,
) -> None:
    """Write a checkpoint from a model's config and state dict. Otherwise as `save_checkpoint`."""
    description = {"format": FORMAT, "version": VERSION, "config": config.to_dict(), "chosen_on": chosen_on}
    if Path(path).suffix.lower() == SAFETENSORS:
        _write_safetensors(path, description, state, training)
        return
    with replacing(path) as file:
        torch.save(description | {"model": state, "training": training}, file)


def _write_safetensors(path, description, state, training):
    if training is not None:
        raise InputError(f"{path}: a {SAFETENSORS} file cannot hold the state of a training run; name a .pth file")
    library = optional("safetensors.torch", "weights", f"{SAFETENSORS} files")
    tensors = {name: tensor.contiguous() for name, tensor in state.items()}
    with replacing(path) as file:
        file.write(library.save(tensors, {"format": "pt", FORMAT: json.dumps(description)}))


def load_checkpoint(path: Path | str, device: torch.device | str = "cpu") -> SSD300 | SSD512:
    """The model of a checkpoint, with its `.config`, in evaluation mode and float32.

    Raises InputError if the file is missing, damaged or not a checkpoint of this project.
    """
    return network_with(*checkpoint_weights(_read(path), path)).to(device)


def network_with(config: SSDConfig, state: dict[str, Tensor]) -> SSD300 | SSD512:
    """The network of a config with the weights of a state dict, in evaluation mode and float32."""
    model = create_network(config)
    model.load_state_dict(state)
    return model.eval()


def holds_checkpoint(content: object, path: Path | str) -> TypeGuard[dict[str, Any]]:
    """Whether the content of the file at `path` is a checkpoint of this project.

    Raises InputError if it is one of a version that this program cannot read.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return False
    if content.get("version") != VERSION:
        raise InputError(f"{path}: checkpoint version {content.get('version')!r}, but this program reads {VERSION}")
    return True


def checkpoint_weights(content: dict[str, Any], path: Path | str) -> tuple[SSDConfig, dict[str, Tensor]]:
    """The `SSDConfig` and the state dict in the content of the checkpoint at `path`.

    Raises InputError if they do not fit together.
    """
    try:
        config, state = SSDConfig.from_dict(content["config"]), _current_names(content["model"])
        check_tensors(config, state)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        ours = isinstance(error, ValueError | RuntimeError)  # the others have Python's words
        reason = first_line(error) if ours else "a part is missing or of another type"
        raise InputError(f"{path}: the checkpoint's contents do not fit ({reason}); {REMEDY}") from None
    return config, state


def load_training_state(path: Path | str) -> dict[str, Any]:
    """What `save_checkpoint` was given as `training`. Raises InputError, also if there was none."""
    training = _read(path).get("training")
    if training is None:
        raise InputError(f"{path}: contains a model but no training state, so it cannot be resumed")
    if training.get("average"):  # the state dict of the weights' moving average
        training["average"] = _current_names(training["average"])
    return training


def chosen_list(path: Path | str) -> dict[str, str] | None:
    """The data list by which a run chose the model of a checkpoint: its "split" and "digest" (see `DataList`).

    None if there was no choice or it is not known. Raises InputError as `load_checkpoint` does.
    """
    chosen_on = _read(path).get("chosen_on")
    return chosen_on if isinstance(chosen_on, dict) and chosen_on.keys() >= {"split", "digest"} else None


def check_tensors(config: SSDConfig, saved: dict[str, Tensor]) -> None:
    """Raise ValueError naming the first tensor of `saved` that does not fit the network of `config`, or is missing."""
    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        own = create_network(config).state_dict()
    for name in own | saved:
        if name not in saved:
            raise ValueError(f"tensor {name} is missing")
        if name not in own:
            raise ValueError(f"tensor {name} is unknown")
        if (shape := tuple(saved[name].shape)) != (needed := tuple(own[name].shape)):
            raise ValueError(f"tensor {name} has shape {shape}, but this config needs {needed}")


def load_plain(path: Path | str) -> Any:
    """The tensors and plain containers in a `.pth` or `.safetensors` file; it raises on anything else."""
    if Path(path).suffix.lower() == SAFETENSORS:
        return _load_safetensors(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _load_safetensors(path):
    """What a `.pth` file of the same model holds: a checkpoint of ours, or a state dict."""
    library = optional("safetensors", "weights", f"{SAFETENSORS} files")
    with library.safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it has no `__iter__`
        description = (file.metadata() or {}).get(FORMAT)
    return state if description is None else _json_object(description) | {"model": state}


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError(f"the metadata {FORMAT} is no JSON object")
    return value


def read_file(path: Path | str, remedy: str, load: Callable[[Path | str], Any] = load_plain) -> Any:
    """What a file of weights holds: tensors and plain containers, anything else is refused.

    Raises InputError. remedy: the end of its message, what to do. load: the function that reads the file.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder, not a file; {remedy}")
    if Path(path).suffix.lower() in EXPORTS and Path(path).exists():
        raise InputError(f"{path}: an exported model, which can only be run; give the checkpoint that it was made from")
    try:
        return load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except InputError:
        raise
    except Exception as error:  # the unpickler raises almost anything on a file that is not a pickle
        reason = first_line(error).partition(". ")[0]  # sentences of advice about miniz follow
        if "weights_only" in reason:  # torch.load would advise to run what the file holds
            reason = "it holds more than tensors and plain containers"
        detail = "" if reason == type(error).__name__ else f" ({reason})"
        raise InputError(f"{path}: damaged, or no file of weights{detail}; {remedy}") from None


def _read(path: Path | str) -> dict[str, Any]:
    content = read_file(path, REMEDY)
    if not holds_checkpoint(content, path):
        raise InputError(f"{path}: not a checkpoint of this project; {REMEDY}")
    return content


def _current_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict under today's names. Older ones have "base.bn1_1.weight" for "base.conv1_1.norm.weight"."""
    return {re.sub(r"\.bn(\w+)\.", r".conv\1.norm.", name): tensor for name, tensor in state.items()}
