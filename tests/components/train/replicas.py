"""Trains on one and on several replicas in one process and prints what came of it as JSON.

A process of its own, because TensorFlow must be told of its four logical devices before it starts.
"""

import json
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from components.train.loop import step as step_module
from components.train.loop.batches import Batches
from components.train.loop.dropout import make_drop
from components.train.loop.schedule import average_share
from components.train.loop.step import TrainStep
from components.train.state.weights import build_model
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.scoring import window_nll
from hopline.model.streams import TokenStream

V, STEPS = 60, 20
LARGE = 100  # numbers; so the tables are exchanged each by itself, and as rows if only looked up
ADAMW = {"optimizer": "adamw", "learning_rate": 0.01, "adam_beta_2": 0.99}
# The options of a hop, for the recipe of that name.
OPTIONS = {
    "bias": True, "heads": 2, "norm": True, "state_map": "mlp", "query": "words", "query_words": 2, "projections": True,
    "slot_words": 3,
}  # fmt: skip
# Most of the time goes to compilation, once for each replica, so not every recipe runs at every number.
RECIPES = {
    "sgd untied": (4, "none", {"optimizer": "sgd"}),
    "sgd tied dropout": (2, "output", {"optimizer": "sgd", "drop_memory": 0.3, "drop_state": 0.3, "drop_words": 0.2}),
    "adamw untied dropout": (4, "none", {**ADAMW, "drop_embeddings": 0.2, "drop_state": 0.3, "drop_shared": True}),
    "adamw options dropout": (2, "all", {**ADAMW, "drop_embeddings": 0.2, "drop_read": 0.3, "drop_shared": True}),
    "adamw tied averaged sinusoidal": (
        2,
        "all",
        {**ADAMW, "weight_decay": 0.1, "average": "ema", "ema_decay": 0.8, "update_every": ("tables=3",)},
    ),
}


def flat(variables):
    return np.concatenate([keras.ops.convert_to_numpy(v).ravel() for v in variables] or [np.zeros(0)])


def train(count, model_config, config, batches):
    devices = [f"/cpu:{index}" for index in range(count)]
    strategy = tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())
    with strategy.scope():
        model = build_model(model_config, V, config)
    step, before = TrainStep(strategy, model, config), flat(model.trainable_variables)
    run = {"losses": [], "norms": []}
    for number in range(1, STEPS + 1):

        def share(source, number=number):
            def of(replica, replicas):
                size = config.sequences // replicas
                return source(number - 1, replica * size, size)

            return of

        result = step(
            share(batches.windows),
            share(batches.mask_keys),
            number=number,
            learning_rate=config.learning_rate,
            stopping=False,
            average_share=average_share(config, number - 1, STEPS),
        )
        run["losses"].append(result.loss)
        run["norms"].append(result.gradient_norm)
        if number == 1:
            run["first_update"] = (flat(model.trainable_variables) - before).tolist()
    return {**run, "weights": flat(model.trainable_variables).tolist(), "averages": flat(step.averages).tolist()}


def clipped_before_exchange(model_config, config, batches):
    """The first update if two replicas clipped their own mean gradients, and these were then averaged."""
    model = build_model(model_config, V, config)
    size, update = config.sequences // 2, 0.0
    for first in (0, size):
        keys = tf.constant(batches.mask_keys(0, first, size))
        drop = make_drop(config, keys, V)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(window_nll(model, tf.constant(batches.windows(0, first, size)), drop))
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, model.trainable_variables), config.clip_norm)
        parts = [np.ravel(tf.convert_to_tensor(gradient)) for gradient in gradients]
        update = update - config.learning_rate * np.concatenate(parts) / 2
    return update.tolist()


def main():
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 4)
    random = np.random.Generator(np.random.Philox(4))
    stream = TokenStream(random.integers(1, V, size=2000).astype("int32"), "train")
    result = {}
    for name, (count, tie, settings) in RECIPES.items():
        model_config = ModelConfig(
            width=8, hops=2, memory=6, tie=tie, init_stddev=0.5,
            time="sinusoidal" if "sinusoidal" in name else "learned", **(OPTIONS if "options" in name else {}),
        )  # fmt: skip
        config = TrainConfig(**{"sequences": 8, "targets": 6, "learning_rate": 0.5, "clip_norm": 0.05, **settings})
        batches = Batches(stream, config, model_config.memory)
        result[name] = {
            "one": train(1, model_config, config, batches),
            "many": train(count, model_config, config, batches),
        }
        result[name]["clip_norm"] = config.clip_norm
        result[name]["clipped_before_exchange"] = clipped_before_exchange(model_config, config, batches)
    print(json.dumps(result))


if __name__ == "__main__":
    with mock.patch.object(step_module, "_LARGE", LARGE):
        main()
