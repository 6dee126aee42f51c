"""The checkpoint file: one `.pth` of state dicts and plain containers, safe to read. No other module knows its format.

{"format": "ssd300", "version": 1, "config": SSDConfig as a dict, "model": state dict,
 "training": what a run needs to go on, or None}
"""

from pathlib import Path

import torch

from ssd.config import SSDConfig
from ssd.errors import InputError, first_line
from ssd.files import replacing
from ssd.model.network import SSD300

FORMAT, VERSION = "ssd300", 1
REMEDY = "give the path of a .pth file that train.py or python -m ssd.convert wrote"


def save_checkpoint(path, model, training=None):
    """Write a checkpoint. The file at `path` is replaced at once by a complete one, or stays as it was.

    model: an `SSD300`. training: state of a training run, plain containers and tensors (see `load_training_state`).
    """
    write_checkpoint(path, model.config, model.state_dict(), training)


def write_checkpoint(path, config, state, training=None):
    """`save_checkpoint` of a model that is there only as its config and state dict."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "config": config.to_dict(),
        "model": state,
        "training": training,
    }
    with replacing(path) as file:
        torch.save(content, file)


def load_checkpoint(path, device="cpu"):
    """The model of a checkpoint, with its `.config`, in evaluation mode and float32.

    Raises InputError where the file is missing, damaged or no checkpoint of ours.
    """
    config, state = checkpoint_weights(_read(path), path)
    model = SSD300(config)
    model.load_state_dict(state)
    return model.to(device).eval()


def holds_checkpoint(content, path):
    """Whether the content of the file at `path` is a checkpoint of ours. Raises InputError on another version of it."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        return False
    if content.get("version") != VERSION:
        raise InputError(f"{path}: checkpoint version {content.get('version')}, this program reads {VERSION}")
    return True


def checkpoint_weights(content, path):
    """The `SSDConfig` and the state dict in the content of the checkpoint at `path`.

    Raises InputError where they do not belong to each other.
    """
    try:
        config = SSDConfig.from_dict(content["config"])
        check_tensors(config, content["model"])
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: a checkpoint whose contents do not fit ({first_line(error)}); {REMEDY}") from None
    return config, content["model"]


def load_training_state(path):
    """What `save_checkpoint` was given as `training`. Raises InputError, also where that was nothing."""
    training = _read(path).get("training")
    if training is None:
        raise InputError(f"{path}: holds a model without the state of its training, which cannot go on from it")
    return training


def check_tensors(config, saved):
    """Raises ValueError naming the first tensor of a state dict that is not as in the network of `config`."""
    with torch.device("meta"):  # shapes alone: no memory, no random numbers
        own = SSD300(config).state_dict()
    for name in own | saved:
        own_shape, shape = (tuple(state[name].shape) if name in state else "missing" for state in (own, saved))
        if shape != own_shape:
            raise ValueError(f"tensor {name} is {shape}, in the network of its config {own_shape}")


def load_plain(path):
    """`torch.load` of tensors and plain containers; it raises on anything else."""
    return torch.load(path, map_location="cpu", weights_only=True)


def read_file(path, remedy, load=load_plain):
    """What a `.pth` file holds: tensors and plain containers, anything else is refused.

    Raises InputError; remedy: the end of its sentence, what to do. load: the function that reads the file.
    """
    if Path(path).is_dir():
        raise InputError(f"{path}: a folder, not a file; {remedy}")
    try:
        return load(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {remedy}") from None
    except InputError:
        raise
    except Exception as error:  # the unpickler raises almost anything on a file that is no pickle
        reason = first_line(error)
        if "weights_only" in reason:  # torch.load's advice is to run what the file holds
            reason = "it does not hold tensors and plain containers alone"
        raise InputError(f"{path}: damaged, or no file of weights ({reason}); {remedy}") from None


def _read(path):
    content = read_file(path, REMEDY)
    if not holds_checkpoint(content, path):
        raise InputError(f"{path}: not a checkpoint of this project; {REMEDY}")
    return content
