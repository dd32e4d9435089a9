"""The section [train]: how the model is trained."""

import re
from dataclasses import dataclass
from typing import Any

from hopline.config.section import Section, at_least, fraction, one_of, positive, require

DROP_KEYS = ("drop_words", "drop_embeddings", "drop_memory", "drop_read", "drop_state")
_REPLACED = {"dropout": "drop_memory and drop_state (what it set), drop_words, drop_embeddings and drop_read"}
# The weights of the network by what they are (`components.train.loop.optimizers.groups_of`).
UPDATE_GROUPS = ("tables", "projections", "time", "hops", "question", "bias")
_UPDATE = re.compile(r"(?P<group>\w+) ?= ?(?P<count>[1-9][0-9]*)(?P<epochs> epochs?)?")
_SEEDS = 1 << 32  # what Keras takes
_BELOW_THE_LEAST = {
    "plateau": "training would end after its first validation",
    "cosine": "the learning rate would rise to the end",
}


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Section):
    """How the model is trained.  Batch sizes are those of all workers together."""

    name = "train"
    replaced = _REPLACED

    # "random", or "champion": from the champion's weights, if there is one; its vocabulary and shape must be the same.
    start: str = "random"
    seed: int = 1
    workers: int = 1
    sequences: int = 32  # sequences in the global batch
    targets: int = 100  # consecutive targets in a sequence
    sampling: str = "random"  # positions drawn with replacement (the paper), or "shuffled" without
    epochs: int = 100
    minutes: float = 0.0  # not `epochs` but as many steps as fit, by the speed of the first; 0 for `epochs`
    max_steps: int = 0  # stop after so many steps; 0 for no limit
    optimizer: str = "sgd"  # or "adamw"
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    weight_decay: float = 0.0  # of AdamW, decoupled: of matrices alone, not of biases, gains and other vectors
    clip_norm: float = 0.390625  # of the global gradient of the mean loss; 0 for none
    learning_rate: float = 1.28
    # "plateau" (divided by `anneal` when validation does not improve; training ends below `min_learning_rate`),
    # "cosine" (down to `min_learning_rate` over all steps), or "constant".
    schedule: str = "plateau"
    warmup_steps: int = 0  # over which the learning rate rises in a line from 0
    anneal: float = 1.5  # of the schedule "plateau"
    min_learning_rate: float = 1e-3  # of "plateau" and "cosine"; the learning rate is this or more
    drop_words: float = 0.0  # of all word types: a dropped one is embedded as 0 at each of its places in a sequence
    drop_embeddings: float = 0.0  # of the units of embedded words, before they are keys, values or a question
    drop_memory: float = 0.0  # of the units of keys and of values
    drop_read: float = 0.0  # of the units of what a hop reads
    drop_state: float = 0.0  # of the units of the last state
    drop_shared: bool = False  # one mask of units for all positions of a sequence (Gal and Ghahramani 2016)
    drop_warmup_epochs: float = 0.0  # over which the rates rise in a line from 0 (Morerio et al. 2017)
    # What else is validated and kept where it is better: "ema" (exponential moving average of the weights), "tail"
    # (their mean over the last third of all steps), or "none".
    average: str = "none"
    ema_decay: float = 0.999  # what the average before it weighs beside a step's new weights
    # Weights that change more rarely, by the mean of the gradients since their last change: "GROUP=N" for each N-th
    # step, or "GROUP=N epochs"; groups are tables, projections, time, hops, question, bias.
    update_every: tuple[str, ...] = ()
    freeze_epochs: int = 0  # at the start, in which the tables that embed words stay as they are
    # "float32", or "bfloat16": all layers on a GPU, the output layer on a CPU that can multiply it; weights stay in
    # float32.
    precision: str = "float32"
    checkpoint_seconds: float = 60.0  # between checkpoints; one is written at each epoch's end as well
    restarts: int = 3  # of all workers after one failed, without progress in between; 0 for none

    def __post_init__(self) -> None:
        for key in ("workers", "sequences", "targets", "epochs"):
            at_least(f"train.{key}", getattr(self, key), 1)
        one_of("train.start", self.start, ("random", "champion"))
        require(
            0 <= self.seed < _SEEDS,
            f"train.seed is {self.seed}, but must be at least 0 and below 2^32 = {_SEEDS:,}",
            "set train.seed to such a number",
        )
        at_least("train.minutes", self.minutes, 0)
        at_least("train.max_steps", self.max_steps, 0)
        one_of("train.sampling", self.sampling, ("random", "shuffled"))
        one_of("train.precision", self.precision, ("float32", "bfloat16"))
        self._check_update_rule()
        for key in DROP_KEYS:
            fraction(f"train.{key}", getattr(self, key))
        at_least("train.drop_warmup_epochs", self.drop_warmup_epochs, 0)
        one_of("train.average", self.average, ("none", "ema", "tail"))
        fraction("train.ema_decay", self.ema_decay)
        require(
            self.average != "tail" or self.schedule != "plateau",
            'train.average is "tail", but with train.schedule = "plateau" no one knows when the last third begins',
            'set train.average to "ema", or train.schedule to "cosine" or "constant"',
        )
        self.update_schedule()
        at_least("train.freeze_epochs", self.freeze_epochs, 0)
        at_least("train.checkpoint_seconds", self.checkpoint_seconds, 0)
        at_least("train.restarts", self.restarts, 0)
        require(
            self.sequences % self.workers == 0,
            f"train.sequences is {self.sequences}, but must divide evenly among train.workers = {self.workers}",
            f"set train.sequences to a multiple of {self.workers}",
        )

    def _check_update_rule(self) -> None:
        one_of("train.optimizer", self.optimizer, ("sgd", "adamw"))
        one_of("train.schedule", self.schedule, ("plateau", "cosine", "constant"))
        positive("train.learning_rate", self.learning_rate)
        fraction("train.adam_beta_1", self.adam_beta_1)
        fraction("train.adam_beta_2", self.adam_beta_2)
        at_least("train.weight_decay", self.weight_decay, 0)
        at_least("train.clip_norm", self.clip_norm, 0)
        at_least("train.warmup_steps", self.warmup_steps, 0)
        at_least("train.anneal", self.anneal, 1)
        at_least("train.min_learning_rate", self.min_learning_rate, 0)
        require(
            self.schedule == "constant" or self.learning_rate >= self.min_learning_rate,
            f"train.learning_rate is {self.learning_rate}, but must be at least "
            f"train.min_learning_rate = {self.min_learning_rate}: {_BELOW_THE_LEAST.get(self.schedule)}",
            "lower train.min_learning_rate, such as to a hundredth of the learning rate",
        )

    def update_schedule(self) -> dict[str, tuple[int, str]]:
        """`update_every` as a number and "steps" or "epochs" for each group that it names."""
        schedule: dict[str, tuple[int, str]] = {}
        for entry in self.update_every:
            match = _UPDATE.fullmatch(entry)
            require(
                match is not None,
                f'train.update_every has "{entry}", but an entry is a group and a number of steps or epochs',
                'write, for example, train.update_every = ["tables=4", "hops=1 epochs"]',
            )
            assert match
            group = match["group"]
            one_of("the group of an entry of train.update_every", group, UPDATE_GROUPS)
            require(
                group not in schedule, f"train.update_every names {group} twice", "leave one out of train.update_every"
            )
            schedule[group] = int(match["count"]), "epochs" if match["epochs"] else "steps"
        return schedule

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
        """Updates at which training by `epochs` ends at the latest; where the rate is annealed away it ends before."""
        steps = self.epochs * steps_per_epoch
        return min(steps, self.max_steps) if self.max_steps else steps

    def determining(self) -> dict[str, Any]:
        """What determines the trained model: all but how the run is kept safe, which changes no number of it."""
        return {key: value for key, value in self.to_dict().items() if key not in ("checkpoint_seconds", "restarts")}
