"""The section [train]: how the model is trained."""

from dataclasses import dataclass
from typing import Any

from hopline.config.section import Section, at_least, fraction, one_of, positive, require


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section):
    """How the model is trained.  Batch sizes are those of all workers together."""

    name = "train"

    # "random", or "champion": from the champion's weights, if there is one; its vocabulary and shape must be the same.
    start: str = "random"
    seed: int = 1
    workers: int = 1
    sequences: int = 32  # sequences in the global batch
    targets: int = 100  # consecutive targets in a sequence
    sampling: str = "random"  # positions drawn with replacement (the paper), or "shuffled" without
    epochs: int = 100
    max_steps: int = 0  # stop after so many steps; 0 for no limit
    optimizer: str = "sgd"  # or "adamw"
    learning_rate: float = 1.28
    weight_decay: float = 0.0  # of AdamW
    dropout: float = 0.0  # of embedded words and of the last state
    clip_norm: float = 0.390625  # of the global gradient of the mean loss; 0 for none
    anneal: float = 1.5  # divides the learning rate when validation does not improve
    min_learning_rate: float = 1e-3  # training stops below it
    precision: str = "float32"  # or "bfloat16": mixed, the weights stay in float32
    checkpoint_seconds: float = 60.0  # between checkpoints; one is written at each epoch's end as well
    restarts: int = 3  # of all workers after one fell, without progress in between; 0 for none

    def __post_init__(self) -> None:
        for key in ("workers", "sequences", "targets", "epochs"):
            at_least(f"train.{key}", getattr(self, key), 1)
        one_of("train.start", self.start, ("random", "champion"))
        at_least("train.seed", self.seed, 0)
        at_least("train.max_steps", self.max_steps, 0)
        one_of("train.sampling", self.sampling, ("random", "shuffled"))
        one_of("train.optimizer", self.optimizer, ("sgd", "adamw"))
        one_of("train.precision", self.precision, ("float32", "bfloat16"))
        positive("train.learning_rate", self.learning_rate)
        at_least("train.weight_decay", self.weight_decay, 0)
        fraction("train.dropout", self.dropout)
        at_least("train.clip_norm", self.clip_norm, 0)
        at_least("train.anneal", self.anneal, 1)
        at_least("train.min_learning_rate", self.min_learning_rate, 0)
        at_least("train.checkpoint_seconds", self.checkpoint_seconds, 0)
        at_least("train.restarts", self.restarts, 0)
        require(
            self.sequences % self.workers == 0,
            f"train.sequences is {self.sequences}, but must divide evenly among train.workers = {self.workers}",
            f"set train.sequences to a multiple of {self.workers}",
        )

    def steps_per_epoch(self, targets: int, documents: int) -> int:
        """Updates after which every token was, or may have been, a target once (`components.train.loop.batches`).

        Args:
            targets: tokens of the training split.
            documents: of the training split.
        """
        if self.sampling == "random":
            return -(-targets // (self.sequences * self.targets))
        # The stream has one padding a document, and a random offset cuts its first and last window short.
        windows = -(-(targets + documents) // self.targets) + 1
        return -(-windows // self.sequences)

    def most_steps(self, steps_per_epoch: int) -> int:
        """Updates at which training ends at the latest; it ends before where the learning rate is annealed away."""
        steps = self.epochs * steps_per_epoch
        return min(steps, self.max_steps) if self.max_steps else steps

    def determining(self) -> dict[str, Any]:
        """What determines the trained model: all but how the run is kept safe, which changes no number of it."""
        return {key: value for key, value in self.to_dict().items() if key not in ("checkpoint_seconds", "restarts")}
