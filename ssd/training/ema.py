"""The exponential moving average of a model's weights."""

import copy

import torch


class Average:
    """A model whose weights follow those of another, smoothed over about 1 / (1 - decay) iterations.

    Early iterations count for more, so that the average soon forgets where it started: the decay is
    (1 + k) / (10 + k) at iteration k until it reaches `decay`. Statistics of batch normalisation are averaged too.
    """

    def __init__(self, model, decay):
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, model, iteration):
        """Follow the model as it is after an iteration (from 0)."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        pairs = list(zip(self.model.state_dict().values(), model.state_dict().values(), strict=True))
        own, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_lerp_(own, new, 1 - decay)
        for counter, value in pairs:
            if not counter.is_floating_point():
                counter.copy_(value)
