"""What a training run tells: log, events, pictures, and the exported model."""
