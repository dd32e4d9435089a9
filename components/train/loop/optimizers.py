"""Update rules as functions of one weight, so that a whole step compiles to one program.

Keras optimizers are not used here: they clip before the exchange between workers and exchange gradients themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from hopline.config.train import TrainConfig

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


def make_optimizer(config: TrainConfig) -> Optimizer:
    """The configured update rule."""
    adam = config.adam_beta_1, config.adam_beta_2, config.weight_decay
    rule = sgd() if config.optimizer == "sgd" else adamw(*adam)
    return rule if config.average == "none" else averaged(rule)
