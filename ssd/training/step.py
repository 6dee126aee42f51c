"""One step of SGD, and everything that it changes."""

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssd import distributed
from ssd.inference.device import autocast
from ssd.model.loss import Figures, MultiBoxLoss
from ssd.model.network import SSD
from ssd.training.batches import Batch
from ssd.training.ema import Average
from ssd.training.optimiser import create_optimiser, set_learning_rate, train_mode
from ssd.training.recipe import Recipe


class StepFigures(NamedTuple):
    """The figures of one step's whole batch, and the norm of its gradient before clipping (a scalar)."""

    figures: Figures
    norm: Tensor


class TrainingStep:
    """Trains an `SSD`, one batch per call.

    A step backpropagates the sums of the loss and divides the gradients once, by the positives of the whole batch. The
    number of processes and parts that a batch is spread over therefore makes no difference.

    dtype: of matrix products. Weights stay float32; with float16 the loss is scaled.
    iteration: number of steps taken so far. average: the moving `Average` of the weights, or None.
    """

    def __init__(
        self, model: SSD, recipe: Recipe, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ):  # fmt: skip
        self.device = torch.device(device)
        self.dtype = dtype
        self.clip_norm = recipe.clip_norm or math.inf
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        train_mode(self.model, recipe.freeze)
        self.network = distributed.parallel(self.model)
        self.criterion = MultiBoxLoss(
            model.priors_cxcy, recipe.match_threshold, recipe.neg_pos_ratio, recipe.alpha, model.config.variances
        )
        self.optimiser = create_optimiser(self.model, recipe.momentum, recipe.weight_decay)
        # The gradient is that of a sum, thousands of times that of a mean: the usual initial scale would overflow.
        self.scaler = torch.amp.GradScaler(self.device.type, init_scale=256.0, enabled=dtype == torch.float16)
        self.average = Average(self.model, recipe.ema) if recipe.ema else None
        self.iteration = 0

    def __call__(self, parts: Sequence[Batch], rate: float) -> StepFigures:
        """Take one step on a batch, given as one or more parts. The figures stay on the device."""
        set_learning_rate(self.optimiser, rate)
        self.optimiser.zero_grad(set_to_none=True)
        zeros = torch.zeros(len(Figures._fields), device=self.device)
        figures = sum((self._backward(part, last=part is parts[-1]) for part in parts), start=zeros)
        figures = Figures(*distributed.total(figures))
        self.scaler.unscale_(self.optimiser)
        norm = self._divide_gradients(figures.n_positives)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average:
            self.average.update(self.model, self.iteration)
        self.iteration += 1
        return StepFigures(figures, norm)

    def _backward(self, part, last):
        """Add the gradients of one part of a batch. Returns its packed figures."""
        part = part.to(self.device)
        with nullcontext() if last else distributed.without_averaging(self.network):
            with autocast(self.device, self.dtype):
                locs, scores = self.network(part.images)
            figures = self.criterion.measure(locs, scores, part.boxes, part.labels, part.crowds)
            self.scaler.scale(figures.conf_sum + self.criterion.alpha * figures.loc_sum).backward()
        return figures.pack().detach()

    def _divide_gradients(self, n_positives):
        """Turn the gradient of the sums, averaged over the processes, into that of the loss; clip it.

        Returns its norm before clipping.
        """
        parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        factor = distributed.n_processes() / n_positives.clamp(min=1)
        for parameter in parameters:
            parameter.grad *= factor
        return nn.utils.clip_grad_norm_(parameters, self.clip_norm)

    @property
    def result(self) -> SSD:
        """The model that the run is about: the moving average if there is one."""
        return self.average.model if self.average else self.model

    def state(self) -> dict[str, Any]:
        """What `restore` needs besides the model: plain containers and tensors."""
        return {
            "iteration": self.iteration,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average and self.average.model.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`, with this recipe. The model must have been loaded from the same checkpoint."""
        self.iteration = state["iteration"]
        numbers = [(group["momentum"], group["weight_decay"]) for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, own in zip(self.optimiser.param_groups, numbers, strict=True):
            group["momentum"], group["weight_decay"] = own  # the saved ones may be those of another recipe
        if state["scaler"]:  # empty if the run has not used float16 so far
            self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.model.load_state_dict(state["average"] or self.model.state_dict())


def read_figures(steps: Sequence[StepFigures]) -> list[StepFigures]:
    """The figures of several steps on the CPU. A GPU is waited for only once."""
    packed = torch.stack([torch.stack([*step.figures, step.norm]) for step in steps]).cpu()  # (n, 6)
    return [StepFigures(Figures(*row[:-1]), row[-1]) for row in packed]
