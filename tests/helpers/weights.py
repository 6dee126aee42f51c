"""What tests of weights share: a forward pass of ours, and its comparison."""

import torch

from ssd import SSD300, SSDConfig


def normalise(images, config):
    return (images - torch.tensor(config.mean).view(3, 1, 1)) / torch.tensor(config.std).view(3, 1, 1)


@torch.no_grad()
def predictions(config, state, images):
    """Raw predictions of our network, whose state dict has to fit exactly."""
    model = SSD300(config).eval()
    model.load_state_dict(state)
    return model(normalise(images, config))


def assert_close(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        assert ((a - b).norm() / b.norm()).item() < 1e-5


def shapes_of(layout, n_outputs, n_priors=(4, 6, 6, 6, 4, 4)):
    """A state dict in a layout whose tensors take no memory, though their shapes are right."""
    with torch.device("meta"):
        own = SSD300(SSDConfig(class_names=[f"c{k}" for k in range(n_outputs - 1)])).state_dict()
    state = {theirs: torch.zeros(()).expand(own[ours].shape) for ours, theirs in layout.names.items()}
    state[layout.scale] = torch.zeros(1, 512, 1, 1) if "rescale" in layout.scale else torch.zeros(512)
    return state


def run_lines(lines):
    scope = {}
    exec(lines, scope)
    return scope["model"], scope["names"]
