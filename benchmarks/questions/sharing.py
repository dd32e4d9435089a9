"""Question 3: one matrix for all examples, used beside other features, and changed only every so many epochs.

    python -m benchmarks.questions.sharing

Builds the model that was asked for (10,000 words of width 50, one common 50 x 128 matrix, other features, one of 25,000
classes, and a second target), trains a few steps on random data and prints when the common matrix changed.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.train.loop.optimizers import Numbers, Optimizer, every, sgd

COMMON = "common"


@dataclasses.dataclass(frozen=True)
class Setting:
    """The sizes of the model that was asked for."""

    words: int = 10_000
    width: int = 50
    common: int = 128
    features: int = 20
    classes: int = 25_000
    second_classes: int = 12


def make_model(setting: Setting, *, targets: int = 1) -> keras.Model:
    """Words and features in; logits of the classes out, and those of a second target.

    The table and the common matrix are the factors of one table, words x 128: `model.factor` of hopline's network.
    """
    ids = keras.Input((None,), dtype="int32", name="ids")
    features = keras.Input((setting.features,), name="features")
    words = keras.layers.Embedding(setting.words, setting.width, name="words")(ids)
    mapped = keras.layers.Dense(setting.common, use_bias=False, name=COMMON)(words)
    score = keras.layers.GlobalAveragePooling1D()(mapped)
    units = keras.layers.Concatenate()([score, features])
    sizes = (setting.classes, setting.second_classes)[:targets]
    return keras.Model([ids, features], [keras.layers.Dense(size)(units) for size in sizes])


class GroupedTraining:
    """Gradient descent in which some layers change only at every n-th step, by the mean of the gradients since.

    Args:
        model: its outputs are logits, one for each target.
        every_steps: n, by the name of a layer; 1 for a layer that is not named.
        rate: the learning rate.
    """

    def __init__(self, model: keras.Model, every_steps: Mapping[str, int], rate: float = 0.1) -> None:
        self._model = model
        self._rate = rate
        self._done = 0
        self._rules: list[Optimizer] = []
        for layer in model.layers:
            rule = every(sgd(), every_steps[layer.name]) if layer.name in every_steps else sgd()
            self._rules += [rule] * len(layer.trainable_variables)
        self.slots = [
            [tf.zeros(variable.shape)] * rule.slots
            for variable, rule in zip(model.trainable_variables, self._rules, strict=True)
        ]

    def step(self, inputs: list[Any], targets: list[Any]) -> float:
        """One step; the sum of the targets' mean losses before it."""
        with tf.GradientTape() as tape:
            loss = sum(
                tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits))
                for target, logits in zip(targets, keras.tree.flatten(self._model(inputs)), strict=True)
            )
        variables = self._model.trainable_variables
        self._done += 1
        numbers = Numbers(*(tf.constant(scalar, tf.float32) for scalar in (self._rate, self._done, 1.0)))
        for index, gradient in enumerate(tape.gradient(loss, variables)):
            update = self._rules[index].update
            new, slots = update(variables[index].value, tf.convert_to_tensor(gradient), self.slots[index], numbers)
            variables[index].assign(new)
            self.slots[index] = list(slots)
        return float(loss)


def main() -> None:
    """Prints the model's size, losses, and the steps at which the common matrix changed."""
    setting, random = Setting(), np.random.Generator(np.random.Philox(1))
    for targets in (1, 2):
        keras.utils.set_random_seed(1)
        model = make_model(setting, targets=targets)
        inputs = [random.integers(setting.words, size=(32, 7)), random.normal(size=(32, setting.features))]
        inputs = [tf.constant(inputs[0], tf.int32), tf.constant(inputs[1], tf.float32)]
        sizes = (setting.classes, setting.second_classes)[:targets]
        wanted = [tf.constant(random.integers(size, size=32)) for size in sizes]
        training, changed, losses = GroupedTraining(model, {COMMON: 4}, rate=1.0), [], []
        for number in range(1, 9):
            before = np.array(model.get_layer(COMMON).kernel)
            losses.append(training.step(inputs, wanted))
            if (before != np.array(model.get_layer(COMMON).kernel)).any():
                changed.append(number)
        print(f"{targets} target{'s'[: targets - 1]}: {model.count_params():,} parameters, of which the common matrix "
              f"{setting.width * setting.common:,}; loss {losses[0]:.2f} to {losses[-1]:.2f} in 8 steps on one batch; "
              f"the common matrix changed at steps {changed}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
