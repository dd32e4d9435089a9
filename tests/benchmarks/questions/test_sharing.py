"""Question 3: what sharing a weight means in Keras, one test for each meaning; and when a group of weights changes."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.questions.sharing import COMMON, GroupedTraining, Setting, make_model

SMALL = Setting(words=30, width=5, common=8, features=3, classes=11, second_classes=4)
random = np.random.Generator(np.random.Philox(1))
UNITS = tf.constant(random.normal(size=(6, 5)).astype("float32"))


def gradient_of_kernel(layer, loss):
    with tf.GradientTape() as tape:
        found = loss()
    return np.array(tape.gradient(found, layer.kernel))


@pytest.fixture
def layer():
    dense = keras.layers.Dense(5, use_bias=False, activation="tanh")
    dense.build((None, 5))
    return dense


def test_across_examples_every_layer_shares_and_its_gradient_is_the_sum_over_examples(layer):
    whole = gradient_of_kernel(layer, lambda: tf.reduce_sum(layer(UNITS) ** 2))
    parts = [gradient_of_kernel(layer, lambda row=row: tf.reduce_sum(layer(row[None]) ** 2)) for row in UNITS]
    np.testing.assert_allclose(whole, sum(parts), rtol=1e-4, atol=1e-5)
    assert layer.count_params() == 25


def test_between_layers_sharing_is_calling_one_layer_twice(layer):
    inputs = keras.Input((5,))
    shared = keras.Model(inputs, layer(layer(inputs)))
    twice = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Dense(5)(inputs)))
    assert shared.count_params() == 25
    assert twice.count_params() == 60
    np.testing.assert_allclose(shared(UNITS), layer(layer(UNITS)), rtol=1e-6)


def test_between_inputs_sharing_is_calling_one_layer_on_both(layer):
    one, other = keras.Input((5,)), keras.Input((5,))
    siamese = keras.Model([one, other], keras.layers.Dot(axes=1)([layer(one), layer(other)]))
    assert siamese.count_params() == 25
    swapped = siamese([UNITS[::-1], UNITS])
    np.testing.assert_allclose(siamese([UNITS, UNITS[::-1]]), swapped, rtol=1e-5)


def test_of_whole_sub_models_sharing_is_calling_one_model_twice():
    inputs = keras.Input((5,))
    encoder = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dense(4)(inputs)))
    one, other = keras.Input((5,)), keras.Input((5,))
    pair = keras.Model([one, other], keras.layers.Subtract()([encoder(one), encoder(other)]))
    assert pair.count_params() == encoder.count_params() == 34
    np.testing.assert_array_equal(pair([UNITS, UNITS]), np.zeros((6, 2)))


def batch(targets):
    ids = tf.constant(random.integers(SMALL.words, size=(6, 7)), tf.int32)
    features = tf.constant(random.normal(size=(6, SMALL.features)).astype("float32"))
    sizes = (SMALL.classes, SMALL.second_classes)[:targets]
    return [ids, features], [tf.constant(random.integers(size, size=6)) for size in sizes]


@pytest.mark.parametrize("targets", [1, 2])
def test_the_common_matrix_changes_at_every_third_step_alone_and_all_targets_change_it(targets):
    model = make_model(SMALL, targets=targets)
    training, (inputs, wanted) = GroupedTraining(model, {COMMON: 3}), batch(targets)
    kernels, tables = [], []
    for _ in range(6):
        kernels.append(np.array(model.get_layer(COMMON).kernel))
        tables.append(np.array(model.get_layer("words").embeddings))
        training.step(inputs, wanted)
    kernels.append(np.array(model.get_layer(COMMON).kernel))
    changed = [number for number in range(1, 7) if (kernels[number] != kernels[number - 1]).any()]
    assert changed == [3, 6]
    assert all((tables[number] != tables[number - 1]).any() for number in range(1, 6))


def test_a_table_times_the_common_matrix_is_one_table_of_rank_fifty():
    model = make_model(SMALL)
    table = np.array(model.get_layer("words").embeddings) @ np.array(model.get_layer(COMMON).kernel)
    ids = np.array([[4, 9, 9]])
    mapped = keras.Model(model.inputs[0], model.get_layer(COMMON).output)(ids)
    np.testing.assert_allclose(mapped, table[ids], rtol=1e-5, atol=1e-6)
