"""Examples to a model: workers, checkpoints, the best weights, export."""
