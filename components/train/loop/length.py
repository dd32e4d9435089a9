"""How many steps a training of `train.minutes` has: as many as fit, by the speed of its first ones."""

import tensorflow as tf

UNKNOWN = 1 << 62  # steps, while it is not known how many fit: no schedule falls yet
_COMPILING = 5  # first steps, which say nothing about the others
_MEASURED = 30  # steps after them
# A validation's token costs about half of a training's target (a forward pass of two passes and an update).
_VALIDATION_COST = 0.5


class TimedLength:
    """Measures the first steps of a training that is to take a number of minutes, and then says when it ends.

    Every worker measures, and the slowest one's time counts, so that all of them end at the same step.

    Args:
        strategy: of the workers.
        minutes: that training is to take, with its validations, from the first step of this process.
        done: steps before it.
        validation_steps: what the validations of an epoch cost, in steps, divided by the steps of an epoch.
    """

    def __init__(self, strategy: tf.distribute.Strategy, minutes: float, done: int, validation_steps: float) -> None:
        self._strategy = strategy
        self._minutes = minutes
        self._done = done
        self._validation_steps = validation_steps
        self._seconds: list[float] = []

    def after_step(self, seconds: float, elapsed: float) -> int | None:
        """Takes the time of one more step.

        Args:
            seconds: that the step took.
            elapsed: seconds since the first step of this process began.

        Returns:
            The step at which training ends, or None while too few are measured.
        """
        self._seconds.append(seconds)
        if len(self._seconds) < _COMPILING + _MEASURED:
            return None
        step, elapsed = self._slowest(sum(self._seconds[_COMPILING:]) / _MEASURED, elapsed)
        left = max(0.0, 60 * self._minutes - elapsed)
        return self._done + len(self._seconds) + int(left / (step * (1 + self._validation_steps)))

    def _slowest(self, *seconds: float) -> tuple[float, ...]:
        """The greatest of the workers' values, each by itself."""
        own = tf.constant([seconds], tf.float32)
        per_replica = self._strategy.experimental_distribute_values_from_function(lambda context: own)
        return tuple(self._strategy.gather(per_replica, axis=0).numpy().max(axis=0).tolist())


def validation_steps(valid_targets: int, train_targets: int, *, averages: bool) -> float:
    """What an epoch's validations cost beside its steps.

    Args:
        valid_targets: tokens of the validation split.
        train_targets: of all steps of an epoch.
        averages: whether the averaged weights are validated as well.
    """
    return _VALIDATION_COST * (1 + averages) * valid_targets / train_targets
