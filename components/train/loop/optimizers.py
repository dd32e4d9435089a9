"""Update rules as functions of one weight, so that a whole step compiles to one program.

Keras optimizers are not used here: they clip before the exchange between workers and exchange gradients themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from hopline.config.train import TrainConfig
from hopline.model.network import MemoryNetwork

ADAM_EPSILON = 1e-8


class Numbers(NamedTuple):
    """What an update needs besides weight and gradient: scalars, equal on all replicas.

    Attributes:
        rate: the learning rate.
        number: of this update, from 1.
        average_share: of the new weight in the average (`components.train.loop.schedule`).
    """

    rate: tf.Tensor
    number: tf.Tensor
    average_share: tf.Tensor


# (weight, gradient, slots, numbers) to the new weight and slots
Update = Callable[[tf.Tensor, tf.Tensor, Sequence[tf.Tensor], Numbers], tuple[tf.Tensor, tuple[tf.Tensor, ...]]]


@dataclass(frozen=True)
class Optimizer:
    """An update rule, and how many slots (tensors of the weight's shape, zero at first) it keeps for each weight."""

    update: Update
    slots: int


def sgd() -> Optimizer:
    """Plain gradient descent: w <- w - lr g."""

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], numbers: Numbers
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        return weight - numbers.rate * gradient, ()

    return Optimizer(update, slots=0)


def adamw(beta_1: float, beta_2: float, weight_decay: float) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - lr (decay w + m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + epsilon))

    Matrices decay (tables, projections, temporal encodings), vectors do not (biases, gains, a first state): a vector
    has no rows that could grow alike, and its start need not be near 0.
    """

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], numbers: Numbers
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        first, second = slots
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * tf.square(gradient)
        mean = first / (1 - tf.pow(beta_1, numbers.number))
        deviation = tf.sqrt(second / (1 - tf.pow(beta_2, numbers.number)))
        step = mean / (deviation + ADAM_EPSILON)
        if weight_decay and weight.shape.rank >= 2:
            step += weight_decay * weight
        return weight - numbers.rate * step, (first, second)

    return Optimizer(update, slots=2)


def averaged(optimizer: Optimizer) -> Optimizer:
    """The same update rule, with the average of the weights after each update as the last slot.

    average <- (1 - share) average + share w; with share = 1 it is the weight itself, to the bit.
    """

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], numbers: Numbers
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        *own, average = slots
        weight, kept = optimizer.update(weight, gradient, own, numbers)
        share = numbers.average_share
        return weight, (*kept, (1 - share) * average + share * weight)

    return Optimizer(update, slots=optimizer.slots + 1)


def every(optimizer: Optimizer, steps: int) -> Optimizer:
    """The same update rule at each `steps`-th step, by the mean of the gradients since the last: one more slot.

    When a weight changes is a function of the step alone, so a run that starts again changes it when it would have.
    """

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], numbers: Numbers
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        *own, waited = slots
        waiting = waited + gradient / steps
        number = tf.cast(numbers.number, tf.int32)  # XLA divides floats by a constant with its rounded reciprocal
        due = tf.equal(number % steps, 0)
        own_number = tf.cast(tf.maximum(number // steps, 1), numbers.number.dtype)
        updated = optimizer.update(weight, waiting, own, numbers._replace(number=own_number))
        new_weight, new_own = _where(due, updated, (weight, tuple(own)))
        return new_weight, (*new_own, tf.where(due, 0.0, waiting))

    return Optimizer(update, slots=optimizer.slots + 1)


def held(optimizer: Optimizer, steps: int) -> Optimizer:
    """The same update rule, which begins after `steps` steps; until then nothing changes."""

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], numbers: Numbers
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        own_number = numbers.number - steps
        updated = optimizer.update(weight, gradient, slots, numbers._replace(number=tf.maximum(own_number, 1.0)))
        return _where(own_number > 0, updated, (weight, tuple(slots)))

    return Optimizer(update, slots=optimizer.slots)


def make_optimizer(config: TrainConfig, steps: int | None = None, frozen_steps: int = 0) -> Optimizer:
    """The configured update rule of a weight.

    Args:
        config: the rule, and the average.
        steps: from one change of the weight to the next; None for a weight of which the configuration says nothing.
        frozen_steps: before its first change.
    """
    adam = config.adam_beta_1, config.adam_beta_2, config.weight_decay
    rule = sgd() if config.optimizer == "sgd" else adamw(*adam)
    if steps is not None:
        rule = every(rule, steps)
    if frozen_steps:
        rule = held(rule, frozen_steps)
    return rule if config.average == "none" else averaged(rule)


def make_optimizers(config: TrainConfig, model: MemoryNetwork, steps_per_epoch: int) -> list[Optimizer]:
    """The update rule of each trainable weight, in the model's order."""
    units = {"steps": 1, "epochs": steps_per_epoch}
    steps = {group: count * units[unit] for group, (count, unit) in config.update_schedule().items()}
    embedding = {id(model.key_table_VF), id(model.value_table_VF)}
    frozen = config.freeze_epochs * steps_per_epoch
    return [
        make_optimizer(config, steps.get(group), frozen if id(variable) in embedding else 0)
        for variable, group in zip(model.trainable_variables, groups_of(model), strict=True)
    ]


def groups_of(model: MemoryNetwork) -> list[str]:
    """For each trainable weight, in the model's order, its group: one of `hopline.config.train.UPDATE_GROUPS`."""
    named = {
        "tables": [model.key_table_VF, model.value_table_VF, model.logit_table_VF],
        "bias": [model.logit_bias_V],
        "time": [model.hop.key_time_ME, model.hop.value_time_ME],
        "question": [] if model.question is None else model.question.variables,
    }
    groups = {id(variable): group for group, variables in named.items() for variable in variables}
    groups = {id(variable): "hops" for variable in model.hop.variables} | groups
    return [groups.get(id(variable), "projections") for variable in model.trainable_variables]


def _where(
    chosen: tf.Tensor, updated: tuple[tf.Tensor, tuple[tf.Tensor, ...]], kept: tuple[tf.Tensor, tuple[tf.Tensor, ...]]
) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
    """The updated weight and slots if `chosen`, else those that are kept."""
    slots = tuple(tf.where(chosen, new, old) for new, old in zip(updated[1], kept[1], strict=True))
    return tf.where(chosen, updated[0], kept[0]), slots
