"""The learning rate as a function of the iteration: there is no state to save."""

DROP_POINTS = (2 / 3, 5 / 6)  # of the iterations: 80,000 and 100,000 of 120,000
DROP_FACTOR = 0.1


def learning_rate(iteration, base, iterations, warmup):
    """The rate of an iteration (from 0): a linear rise over `warmup` of them, then `base`, a tenth after each drop."""
    drops = sum(iteration >= point * iterations for point in DROP_POINTS)
    return base * min(1.0, (iteration + 1) / (warmup + 1)) * DROP_FACTOR**drops


def default_warmup(iterations):
    """A tenth of the run, 1,000 iterations at most."""
    return min(1000, iterations // 10)
