"""The training loop: batches, the step, the optimizers."""
