"""What a training run keeps: checkpoints, here or in an object store, and where it starts from."""
