"""Training: `prepare` sets a run up, `trainer` is the loop, `step` one step of it."""
