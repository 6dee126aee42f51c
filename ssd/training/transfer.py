"""Starting from a detector that was trained on other classes."""

from dataclasses import replace

import torch

from ssd.model.network import SSD300


def transfer(config, state, class_names):
    """A new model for `class_names` with all that a trained one knows and can be carried over.

    config, state: of the trained `SSD300`. The new one has its config (priors, normalisation, backbone) but for the
    class names, and every tensor of it but for the scores of classes: those of the background and of classes with the
    same name are carried over, those of new classes keep their initialisation.
    Returns the new model and the names of the classes that are new.
    """
    old_names, new_names = ("background", *config.class_names), ("background", *class_names)
    fresh = SSD300(replace(config, class_names=tuple(class_names)))
    rows = [(new_names.index(name), old_names.index(name)) for name in new_names if name in old_names]
    new, old = (torch.tensor(side) for side in zip(*rows, strict=True))
    for name, tensor in fresh.state_dict().items():
        if name.startswith("pred_convs.cl_"):
            by_class = tensor.unflatten(0, (-1, len(new_names)))  # (n_priors, n_classes, ...)
            by_class[:, new] = state[name].unflatten(0, (-1, len(old_names)))[:, old]
        else:
            tensor.copy_(state[name])
    return fresh, [name for name in class_names if name not in old_names]
