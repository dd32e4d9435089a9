import keras
import numpy as np
import pytest
import tensorflow as tf

from components.train.loop.optimizers import (
    Numbers,
    adamw,
    averaged,
    every,
    groups_of,
    held,
    make_optimizer,
    make_optimizers,
    sgd,
)
from hopline.config.train import UPDATE_GROUPS, TrainConfig
from tests.hopline.model.forms import OPTIONS, make_model

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


def run(rule, gradients, first=1):
    weight, slots = tf.zeros((4, 3)), [tf.zeros((4, 3))] * rule.slots
    weights = []
    for number, gradient in enumerate(gradients, start=first):
        weight, slots = rule.update(weight, gradient, slots, numbers(number))
        weights.append(np.array(weight))
    return weights


GRADIENTS = [tf.constant(random.normal(size=(4, 3)).astype("float32")) for _ in range(6)]
each_rule = pytest.mark.parametrize("rule", [sgd(), adamw(0.9, 0.99, 0.1)], ids=["sgd", "adamw"])


@each_rule
def test_a_weight_of_each_third_step_is_updated_by_the_mean_of_three_gradients(rule):
    rare = run(every(rule, 3), GRADIENTS)
    means = [sum(GRADIENTS[at : at + 3], tf.zeros((4, 3))) / 3 for at in (0, 3)]
    expected = run(rule, means)
    assert not np.any(rare[:2])
    np.testing.assert_allclose(rare[2], expected[0], rtol=1e-5)
    np.testing.assert_array_equal(rare[3], rare[2])
    np.testing.assert_array_equal(rare[4], rare[2])
    np.testing.assert_allclose(rare[5], expected[1], rtol=1e-5)


@each_rule
def test_a_weight_that_is_held_starts_as_a_fresh_one(rule):
    late = run(held(rule, 2), GRADIENTS)
    assert not np.any(late[:2])
    np.testing.assert_allclose(late[2:], run(rule, GRADIENTS[2:]), rtol=1e-5)


def test_the_average_of_a_rare_weight_is_of_every_step():
    config = TrainConfig(average="ema")
    rule, plain = make_optimizer(config, steps=2), make_optimizer(config)
    assert (plain.slots, rule.slots, make_optimizer(config, steps=2, frozen_steps=4).slots) == (1, 2, 2)
    weight, (waiting, average) = rule.update(tf.ones(2), tf.ones(2), [tf.zeros(2)] * 2, numbers(1, share=0.25))
    np.testing.assert_array_equal(weight, [1, 1])
    np.testing.assert_allclose(waiting, [0.5, 0.5])
    np.testing.assert_allclose(average, [0.25, 0.25])


def test_each_weight_has_the_group_that_says_what_it_is():
    model = make_model(**OPTIONS["all"])
    found = {}
    for variable, group in zip(model.trainable_variables, groups_of(model), strict=True):
        found.setdefault(group, set()).add(variable.path.split("/", 1)[-1])
    assert set(found) == set(UPDATE_GROUPS)
    assert found["tables"] == {"A"}
    assert found["bias"] == {"b"}
    assert found["time"] == {"hop/T_A", "hop/T_C"}
    assert found["question"] == {"question/Q", "question/q"}
    assert found["projections"] == {"P_O", "key_slots/f", "key_slots/P", "value_slots/f", "value_slots/P"}
    assert {"hop/map/W1", "hop/ask_norm/gain"} < found["hops"]


def test_groups_have_their_own_steps_and_embedding_tables_wait_for_their_epochs():
    config = TrainConfig(update_every=("tables=2", "hops = 1 epochs"), freeze_epochs=1)
    model = make_model()
    slots = dict(zip(groups_of(model), (rule.slots for rule in make_optimizers(config, model, 5)), strict=True))
    assert slots == {"tables": 1, "time": 0, "hops": 1}
    changed_at = {}
    for variable, rule in zip(model.trainable_variables, make_optimizers(config, model, 5), strict=True):
        weights = [np.zeros(3), *run_ones(rule, 12)]
        changed_at[variable.path.split("/")[-1]] = [
            number for number in range(1, 13) if (weights[number] != weights[number - 1]).any()
        ]
    assert changed_at["A"] == changed_at["C"] == [7, 9, 11]
    assert changed_at["W"] == [2, 4, 6, 8, 10, 12]
    assert changed_at["H"] == [5, 10]
    assert changed_at["T_A"] == list(range(1, 13))


def run_ones(rule, steps):
    weight, slots = tf.zeros(3), [tf.zeros(3)] * rule.slots
    for number in range(1, steps + 1):
        weight, slots = rule.update(weight, tf.ones(3), slots, numbers(number))
        yield np.array(weight)
