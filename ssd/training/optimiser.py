"""SGD with the settings of the paper's release."""

from typing import Any

import torch
from torch import nn

from ssd.model.network import SSD300

BIAS_RATE = 2  # biases learn at twice the rate and do not decay


def create_optimiser(model: nn.Module, momentum: float = 0.9, weight_decay: float = 5e-4) -> torch.optim.SGD:
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
    used = [group for group in options if group["params"]]
    optimiser = torch.optim.SGD(used, lr=0.0, momentum=momentum, fused=True)
    _start_momentum(optimiser)
    return optimiser


def restore_optimiser(optimiser: torch.optim.SGD, state: dict[str, Any]) -> None:
    """Load the state dict of an optimiser from `create_optimiser`, including old ones that were not fused."""
    optimiser.load_state_dict(state)
    for group in optimiser.param_groups:
        group["fused"] = True
    _start_momentum(optimiser)


def _start_momentum(optimiser):
    """Start it at zero: if float16 skips the first step, fused SGD would read memory that nobody has set."""
    for parameter in (p for group in optimiser.param_groups for p in group["params"]):
        if optimiser.state[parameter].get("momentum_buffer") is None:
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def set_learning_rate(optimiser: torch.optim.SGD, rate: float) -> None:
    """Set each group's rate for the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]


def train_mode(model: SSD300, freeze: int = 0) -> None:
    """Put a model into training mode, but keep its first `freeze` convolutions as they are: neither their parameters
    nor the statistics of their batch normalisation change."""
    model.train()
    for convolution in list(model.base.children())[:freeze]:
        convolution.eval().requires_grad_(False)
