import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.optimizers import Numbers, adamw, averaged, make_optimizer, sgd
from hopline.config.train import TrainConfig

random = np.random.Generator(np.random.Philox(6))
EPSILON = 1e-8


def numbers(number, rate=0.1, share=1.0):
    return Numbers(tf.constant(rate), tf.constant(float(number)), tf.constant(share))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (sgd(), keras.optimizers.SGD(0.1)),
        (adamw(0.9, 0.999, 0.0), keras.optimizers.AdamW(0.1, weight_decay=0.0, epsilon=EPSILON)),
        (adamw(0.8, 0.99, 0.0), keras.optimizers.AdamW(0.1, 0.0, 0.8, 0.99, epsilon=EPSILON)),
        (adamw(0.9, 0.999, 0.3), keras.optimizers.AdamW(0.1, weight_decay=0.3, epsilon=EPSILON)),
    ],
    ids=["sgd", "adamw", "adamw with betas", "adamw with decay"],
)
def test_ten_updates_equal_those_of_keras(ours, theirs):
    start = random.normal(size=(4, 3)).astype("float32")
    variable = keras.Variable(start)
    weight, slots = tf.constant(start), [tf.zeros((4, 3))] * ours.slots
    for number in range(1, 11):
        gradient = tf.constant(random.normal(size=(4, 3)).astype("float32"))
        theirs.apply([gradient], [variable])
        weight, slots = ours.update(weight, gradient, slots, numbers(number))
        np.testing.assert_allclose(weight, variable, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shape", "decays"), [((4, 3), True), ((4,), False)])
def test_matrices_decay_and_vectors_do_not(shape, decays):
    rule, weight = adamw(0.9, 0.999, 0.5), tf.ones(shape)
    new_weight, _ = rule.update(weight, tf.zeros(shape), [tf.zeros(shape)] * 2, numbers(1))
    np.testing.assert_allclose(new_weight, np.full(shape, 0.95 if decays else 1.0), rtol=1e-6)


@pytest.mark.parametrize("rule", [sgd(), adamw(0.9, 0.999, 0.1)], ids=["sgd", "adamw"])
def test_an_average_changes_nothing_of_the_update_itself(rule):
    weight, gradient = tf.constant(random.normal(size=(4, 3))), tf.constant(random.normal(size=(4, 3)))
    slots = [tf.zeros((4, 3), tf.float64)] * rule.slots
    scalars = Numbers(*(tf.constant(scalar, tf.float64) for scalar in (0.1, 1.0, 0.25)))
    plain, kept = rule.update(weight, gradient, slots, scalars)
    same, (*same_kept, average) = averaged(rule).update(
        weight, gradient, [*slots, tf.ones((4, 3), tf.float64)], scalars
    )
    np.testing.assert_array_equal(same, plain)
    np.testing.assert_array_equal(same_kept, kept)
    np.testing.assert_allclose(average, 0.75 + 0.25 * plain)


def test_where_the_new_weight_is_the_whole_average_they_are_equal_to_the_bit():
    weight = tf.constant(random.normal(size=(50, 30)).astype("float32"))
    _, (average,) = averaged(sgd()).update(weight, tf.zeros((50, 30)), [tf.fill((50, 30), 7.7)], numbers(1, share=1.0))
    np.testing.assert_array_equal(average, weight)


@pytest.mark.parametrize(("settings", "slots"), [
    ({}, 0), ({"average": "ema"}, 1), ({"optimizer": "adamw"}, 2), ({"optimizer": "adamw", "average": "ema"}, 3),
])  # fmt: skip
def test_an_optimizer_keeps_no_more_than_it_needs(settings, slots):
    assert make_optimizer(TrainConfig(**settings)).slots == slots
