"""One training step: the recipe's arithmetic, and the same update for any number of replicas."""

import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.loop import step as step_module
from components.train.loop.output_layer import summed_nll
from components.train.loop.schedule import average_share
from components.train.loop.step import Inputs, TrainStep, lane_count
from components.train.state.weights import build_model
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from tests.reference.recipe import loss_and_gradients, train_step

V, M, BATCH, STEPS = 20, 5, 16, 50
MODEL = ModelConfig(width=6, hops=3, memory=M, init_stddev=0.4)
# The authors' constants for a batch of BATCH targets; their clip of 50 seldom acts on so small a model, this one does.
SUM_RATE, SUM_CLIP = 0.05, 3.5
RECIPE = TrainConfig(sequences=BATCH, targets=1, learning_rate=SUM_RATE * BATCH, clip_norm=SUM_CLIP / BATCH)


def reference_weights(model):
    variables = {
        "A": model.key_table_VF, "C": model.value_table_VF, "W": model.logit_table_VF,
        "T_A": model.hop.key_time_ME, "T_C": model.hop.value_time_ME, "H": model.hop.state_map_EE,
    }  # fmt: skip
    return {name: keras.ops.convert_to_numpy(value).astype("float64") for name, value in variables.items()}


def test_the_references_gradients_are_those_of_its_loss():
    model = build_model(MODEL, V, RECIPE)
    w, memory, target = reference_weights(model), np.array([3, 1, 4, 1, 5]), 9
    _, gradients = loss_and_gradients(memory, target, w, hops=3)
    random = np.random.Generator(np.random.Philox(2))
    for name, value in w.items():
        direction = random.normal(size=value.shape)
        plus, minus = ({**w, name: value + sign * 1e-6 * direction} for sign in (1, -1))
        slope = (
            loss_and_gradients(memory, target, plus, 3)[0] - loss_and_gradients(memory, target, minus, 3)[0]
        ) / 2e-6
        assert slope == pytest.approx((gradients[name] * direction).sum(), rel=1e-6, abs=1e-8)


def test_fifty_steps_of_the_papers_recipe_equal_the_authors_arithmetic():
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build_model(MODEL, V, RECIPE)
    step = TrainStep(strategy, model, RECIPE)
    w = reference_weights(model)
    random = np.random.Generator(np.random.Philox(8))
    clipped = 0
    for number in range(1, STEPS + 1):
        windows = random.integers(1, V, size=(BATCH, M + 1)).astype("int32")
        result = step(
            lambda *_, windows=windows: windows,
            lambda *_: np.zeros((BATCH, 2), "int32"),
            number=number,
            learning_rate=RECIPE.learning_rate,
            stopping=False,
        )
        loss, norm = train_step(windows[:, :M], windows[:, M], w, hops=3, rate=SUM_RATE, clip=SUM_CLIP)
        assert result.loss == pytest.approx(loss, rel=1e-4)
        assert result.gradient_norm == pytest.approx(norm / BATCH, rel=1e-3)
        clipped += norm > SUM_CLIP
    assert 0 < clipped < STEPS, "both sides of the clip are seen"
    for name, value in reference_weights(model).items():
        np.testing.assert_allclose(value, w[name], atol=2e-4)


def test_lanes_change_neither_loss_nor_weights():
    model_config = ModelConfig(width=8, hops=2, memory=M, tie="output", init_stddev=0.5)
    config = TrainConfig(sequences=4, targets=6, learning_rate=0.5, drop_words=0.2, drop_memory=0.3, drop_state=0.3)
    random = np.random.Generator(np.random.Philox(3))
    windows = random.integers(0, V, size=(4, M + 6)).astype("int32")  # padding here and there
    keys = random.integers(2**30, size=(4, 2)).astype("int32")
    found = []
    for lanes in (1, 2, 4):
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
        with strategy.scope():
            model = build_model(model_config, V, config)
        step = TrainStep(strategy, model, config, lanes)
        result = step(lambda *_: windows, lambda *_: keys, number=1, learning_rate=0.5, stopping=False)
        weights = [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]
        found.append([result.loss, result.gradient_norm, result.targets, *weights])
    for several in found[1:]:
        for one, other in zip(found[0], several, strict=True):
            np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("average", ["ema", "tail"])
def test_the_average_is_the_weighted_mean_of_the_weights_after_each_step(average):
    config = TrainConfig(
        sequences=BATCH, targets=1, optimizer="adamw", learning_rate=0.05, schedule="constant", average=average,
        ema_decay=0.7,
    )  # fmt: skip
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build_model(MODEL, V, config)
    step = TrainStep(strategy, model, config)
    random = np.random.Generator(np.random.Philox(9))
    steps, weights = 9, []
    for number in range(1, steps + 1):
        windows = random.integers(1, V, size=(BATCH, M + 1)).astype("int32")
        step(
            lambda *_, windows=windows: windows,
            lambda *_: np.zeros((BATCH, 2), "int32"),
            number=number,
            learning_rate=0.05,
            stopping=False,
            average_share=average_share(config, number - 1, steps),
        )
        weights.append([keras.ops.convert_to_numpy(variable) for variable in model.trainable_variables])
    shares = [0.7 ** (steps - number) for number in range(1, steps + 1)] if average == "ema" else [0] * 6 + [1] * 3
    for at, found in enumerate(step.averages):
        expected = np.average([after[at] for after in weights], axis=0, weights=shares)
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert np.abs(expected - weights[-1][at]).max() > 1e-3, "the average is not the last weights"


@pytest.mark.parametrize(("sequences", "threads", "lanes"), [(16, 2, 2), (15, 2, 1), (16, 6, 4), (1, 8, 1), (3, 16, 3)])
def test_lanes_are_equal_and_no_more_than_cores(sequences, threads, lanes):
    assert lane_count(sequences, threads) == lanes


@pytest.mark.parametrize(("vocabulary", "tie", "kinds"), [
    (20, "none", "dense dense dense"), (60, "none", "rows rows dense"),
    (60, "output", "rows dense"), (60, "all", "dense"),
])  # fmt: skip
def test_rows_travel_of_tables_that_are_only_looked_up_if_they_are_few(monkeypatch, vocabulary, tie, kinds):
    monkeypatch.setattr(step_module, "_LARGE", 100)
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build_model(ModelConfig(width=8, hops=2, memory=6, tie=tie), vocabulary, RECIPE)
    step = TrainStep(strategy, model, RECIPE)
    scalars = Inputs(tf.constant(0.0), tf.constant(1.0))
    inputs = tf.ones([4, 12], tf.int32), tf.zeros([4, 2], tf.int32), scalars  # 4 x 11 tokens, 44 rows
    *large, _ = tf.function(step.packed_gradients)(*inputs)
    assert ["rows" if isinstance(part, tf.IndexedSlices) else "dense" for part in large] == kinds.split()


@pytest.fixture(scope="module")
def replicas():
    """Losses and weights of every recipe with one and with several replicas (tests/components/train/replicas.py)."""
    command = [sys.executable, "-m", "tests.components.train.replicas"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe",
    [
        "sgd untied",
        "sgd tied dropout",
        "adamw untied dropout",
        "adamw options dropout",
        "adamw tied averaged sinusoidal",
    ],
)
def test_the_number_of_replicas_changes_neither_losses_nor_weights(replicas, recipe):
    one, many = replicas[recipe]["one"], replicas[recipe]["many"]
    np.testing.assert_allclose(many["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(many["weights"], one["weights"], atol=1e-5)
    assert bool(one["averages"]) == ("averaged" in recipe)
    np.testing.assert_allclose(many["averages"], one["averages"], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sgd untied", "sgd tied dropout"])
def test_the_clip_acts_and_acting_before_the_exchange_would_have_been_noticed(replicas, recipe):
    """Clipping each replica's own gradient, as a Keras optimizer does, gives other weights after the first step."""
    runs = replicas[recipe]
    assert min(runs["one"]["norms"]) > runs["clip_norm"]
    right, wrong = np.array(runs["many"]["first_update"]), np.array(runs["clipped_before_exchange"])
    assert np.abs(right - wrong).max() > 1e-3 * np.abs(right).max()


@pytest.mark.parametrize(
    ("on_gpu", "cpu_can", "low"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_the_output_layer_is_in_bfloat16_where_there_are_instructions_for_it(monkeypatch, on_gpu, cpu_can, low):
    seen = []

    def spied(states_NF, *weights, targets_N):
        seen.append(states_NF.dtype)
        return summed_nll(states_NF, *weights, targets_N=targets_N)

    monkeypatch.setattr(step_module, "summed_nll", spied)
    monkeypatch.setattr(step_module, "fused_nll", spied)
    monkeypatch.setattr(step_module, "multiplies_bfloat16", lambda: cpu_can)
    config = dataclasses.replace(RECIPE, precision="bfloat16")
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = build_model(MODEL, V, config)
    step = TrainStep(strategy, model, config, on_gpu=on_gpu)
    windows, keys = np.ones((BATCH, M + 1), "int32"), np.zeros((BATCH, 2), "int32")
    step(lambda *_: windows, lambda *_: keys, number=1, learning_rate=0.1, stopping=False)
    assert seen == [tf.bfloat16 if low else tf.float32]
