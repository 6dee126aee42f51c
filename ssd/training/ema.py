"""The exponential moving average of a model's weights."""

import copy

import torch

from ssd.model.network import SSD


class Average:
    """A model whose weights follow those of another, averaged over about 1 / (1 - decay) iterations.

    The average soon forgets its random start: at iteration k the decay is (1 + k) / (10 + k), at most `decay`.
    The statistics of batch normalisation are averaged too.
    """

    def __init__(self, model: SSD, decay: float):
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model: SSD, iteration: int) -> None:
        """Follow the model after an iteration, counted from 0."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if own.is_floating_point():
                own.lerp_(new, 1 - decay)
            else:  # the counters of batch normalisation
                own.copy_(new)
