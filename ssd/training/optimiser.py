"""SGD with the settings of the paper's release."""

import torch
from torch import nn

from ssd.model.network import SSD

BIAS_RATE = 2  # biases learn at twice the rate and do not decay


def create_optimiser(model: nn.Module, momentum: float, weight_decay: float) -> torch.optim.SGD:
    """SGD for three groups of trained parameters: weights, biases, and scales of batch normalisation.

    Each group's "rate" is a factor on the learning rate, which `set_learning_rate` applies. Only weights decay.
    """
    groups: dict[str, list[nn.Parameter]] = {"weights": [], "biases": [], "scales": []}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("bias"):
            groups["biases"].append(parameter)
        else:
            groups["weights" if parameter.ndim > 1 else "scales"].append(parameter)
    options = [
        {"params": groups["weights"], "rate": 1, "weight_decay": weight_decay},
        {"params": groups["biases"], "rate": BIAS_RATE, "weight_decay": 0.0},
        {"params": groups["scales"], "rate": 1, "weight_decay": 0.0},
    ]
    return torch.optim.SGD([group for group in options if group["params"]], lr=0.0, momentum=momentum)


def set_learning_rate(optimiser: torch.optim.SGD, rate: float) -> None:
    """Set each group's rate for the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def train_mode(model: SSD, freeze: int = 0) -> None:
    """Put a model into training mode, but keep its first `freeze` convolutions as they are: neither their parameters
    nor the statistics of their batch normalisation change."""
    model.train()
    for convolution in list(model.base.children())[:freeze]:
        convolution.eval().requires_grad_(False)
