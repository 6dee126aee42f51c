"""SGD as the paper's release sets it up."""

import torch

BIAS_RATE = 2  # biases learn at twice the rate, and do not decay


def create_optimiser(model, momentum=0.9, weight_decay=5e-4):
    """SGD over three groups of parameters: weights, biases, scales of batch normalisation.

    Each group's "rate" is the factor on the learning rate, which `set_learning_rate` applies. Only weights decay.
    """
    groups = {"weights": [], "biases": [], "scales": []}
    for name, parameter in model.named_parameters():
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


def set_learning_rate(optimiser, rate):
    """Give each group its rate for the next step."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["rate"]
