"""Update rules as functions of one weight, so that a whole step compiles to one program.

Keras optimizers are not used here: they clip before the exchange between workers and exchange gradients themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import tensorflow as tf

from hopline.config.train import TrainConfig

ADAM_BETA_1, ADAM_BETA_2, ADAM_EPSILON = 0.9, 0.999, 1e-7

# (weight, gradient, slots, learning rate, number of this update from 1) to the new weight and slots
Update = Callable[
    [tf.Tensor, tf.Tensor, Sequence[tf.Tensor], tf.Tensor, tf.Tensor], tuple[tf.Tensor, tuple[tf.Tensor, ...]]
]


@dataclass(frozen=True)
class Optimizer:
    """An update rule, and how many slots (tensors of the weight's shape, zero at first) it keeps for each weight."""

    update: Update
    slots: int


def sgd() -> Optimizer:
    """Plain gradient descent: w <- w - lr g."""

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], rate: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        return weight - rate * gradient, ()

    return Optimizer(update, slots=0)


def adamw(weight_decay: float) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2), Keras's constants.

    m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;
    w <- w - lr decay w - lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)
    """

    def update(
        weight: tf.Tensor, gradient: tf.Tensor, slots: Sequence[tf.Tensor], rate: tf.Tensor, number: tf.Tensor
    ) -> tuple[tf.Tensor, tuple[tf.Tensor, ...]]:
        first, second = slots
        first = ADAM_BETA_1 * first + (1 - ADAM_BETA_1) * gradient
        second = ADAM_BETA_2 * second + (1 - ADAM_BETA_2) * tf.square(gradient)
        correction = tf.sqrt(1 - tf.pow(ADAM_BETA_2, number)) / (1 - tf.pow(ADAM_BETA_1, number))
        step = correction * first / (tf.sqrt(second) + ADAM_EPSILON)
        return weight - rate * (weight_decay * weight + step), (first, second)

    return Optimizer(update, slots=2)


def make_optimizer(config: TrainConfig) -> Optimizer:
    """The configured update rule."""
    return sgd() if config.optimizer == "sgd" else adamw(config.weight_decay)
