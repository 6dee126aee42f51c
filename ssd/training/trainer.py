"""The training loop."""

import time
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ssd.checkpoint import save_checkpoint
from ssd.device import autocast
from ssd.loss import MultiBoxLoss
from ssd.training.batches import training_loader
from ssd.training.optimiser import create_optimiser, set_learning_rate
from ssd.training.schedule import learning_rate

REPORT_SECONDS = 2  # between readings of the loss, each of which waits for the device


@dataclass(frozen=True)
class Recipe:
    """The numbers of a training run.

    iterations, batch_size, lr: as in the paper. warmup: iterations over which the rate rises. clip_norm: largest
    norm of the gradient, 0 for any. workers: processes that load data. save_every: iterations between checkpoints.
    """

    iterations: int
    batch_size: int
    lr: float
    warmup: int
    clip_norm: float = 0.0
    workers: int = 0
    seed: int = 0
    save_every: int = 1000


class Trainer:
    """Trains an `SSD300` on a `PascalVOCDataset`; one process, one device.

    dtype: what matrix products are computed in; weights stay float32, float16 has its loss scaled.
    """

    def __init__(self, model, dataset, recipe, device="cpu", dtype=torch.float32):
        self.model = model.to(device, memory_format=torch.channels_last)
        self.dataset = dataset
        self.recipe = recipe
        self.device = torch.device(device)
        self.dtype = dtype
        self.criterion = MultiBoxLoss(model.priors_cxcy, variances=model.config.variances)
        self.optimiser = create_optimiser(model)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=dtype == torch.float16)
        self.iteration = 0

    def state(self):
        """What `restore` needs to go on from here, beside the model: plain containers and tensors."""
        return {
            "iteration": self.iteration,
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state):
        """Go on where a run's `state` was taken; the model must have been loaded from the same checkpoint."""
        self.iteration = state["iteration"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])

    def run(self, checkpoint):
        """Train from the present iteration to the last, with a progress line; `checkpoint` is the file to save to."""
        recipe = self.recipe
        loader = training_loader(
            self.dataset, recipe.batch_size, recipe.iterations, self.iteration, recipe.seed, recipe.workers,
            pin_memory=self.device.type == "cuda",
        )  # fmt: skip
        self.model.train()
        with Progress(recipe, self.iteration) as progress:
            for batch in progress.timed(loader):
                rate = learning_rate(self.iteration, recipe.lr, recipe.iterations, recipe.warmup)
                sums = self.step(batch, rate)
                self.iteration += 1
                if self.iteration % recipe.save_every == 0 or self.iteration == recipe.iterations:
                    save_checkpoint(checkpoint, self.model, self.state())
                progress.update(sums, rate)

    def step(self, batch, rate):
        """One step of SGD. Returns the sums of the loss (see `MultiBoxLoss.sums`), on the device."""
        images, boxes, labels, _ = batch
        images = images.to(self.device, memory_format=torch.channels_last, non_blocking=True)
        boxes, labels = ([t.to(self.device, non_blocking=True) for t in part] for part in (boxes, labels))
        with autocast(self.device, self.dtype):
            locs, scores = self.model(images)
        sums = self.criterion.sums(locs, scores, boxes, labels)

        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(self.criterion.quotient(*sums)).backward()
        self.scaler.unscale_(self.optimiser)
        if self.recipe.clip_norm:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        set_learning_rate(self.optimiser, rate)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return torch.stack([value.detach() for value in sums])


class Progress:
    """The progress line: loss terms, rate, images per second, share of the time spent waiting for data."""

    def __init__(self, recipe, start):
        self.batch_size = recipe.batch_size
        self.bar = tqdm(total=recipe.iterations, initial=start, desc="training", unit="it", dynamic_ncols=True)
        self._reset()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    def _reset(self):
        self.since, self.waited, self.batches, self.sums = time.perf_counter(), 0.0, 0, 0.0

    def timed(self, loader):
        """The loader's batches; the time it takes to give them counts as waiting."""
        batches = iter(loader)
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.waited += time.perf_counter() - start
            yield batch

    def update(self, sums, rate):
        """Count one iteration. sums: as `Trainer.step` returns them."""
        self.sums = self.sums + sums
        self.batches += 1
        self.bar.update()
        elapsed = time.perf_counter() - self.since
        if elapsed > REPORT_SECONDS or self.bar.n == self.bar.total:
            loc, conf, n_positives = self.sums.tolist()
            n = max(n_positives, 1)
            self.bar.set_postfix_str(
                f"loss {(conf + loc) / n:.2f} = conf {conf / n:.2f} + loc {loc / n:.2f}, lr {rate:.1e}, "
                f"{self.batches * self.batch_size / elapsed:.1f} images/s, {self.waited / elapsed:.0%} waiting for data"
            )
            self._reset()
