import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hopline.layers import MemoryHop, masked_softmax, spread_band, take_band, visible_slots
from hopline.schema import PAD

random = np.random.Generator(np.random.Philox(7))


@pytest.mark.parametrize(("targets", "memory"), [(1, 1), (1, 6), (5, 1), (4, 7), (7, 4)])
def test_the_band_is_every_target_s_own_memory(targets, memory):
    dense = random.normal(size=(3, targets, memory + targets - 1)).astype("float32")
    expected = [[[dense[b, t, t + i] for i in range(memory)] for t in range(targets)] for b in range(3)]
    np.testing.assert_array_equal(take_band(ops.convert_to_tensor(dense), memory), expected)


@pytest.mark.parametrize(("targets", "memory"), [(1, 1), (1, 6), (5, 1), (4, 7), (7, 4)])
def test_spreading_a_band_is_the_inverse_of_taking_it(targets, memory):
    band = ops.convert_to_tensor(random.normal(size=(2, targets, memory)).astype("float32"))
    dense = spread_band(band)
    np.testing.assert_array_equal(take_band(dense, memory), band)
    assert np.count_nonzero(dense) == np.count_nonzero(band)


def test_a_target_sees_only_what_follows_the_last_padding_before_it():
    tokens = np.array([[5, PAD, 6, 7, PAD, 8]])  # M = 3, T = 4: memories 5_6, _67, 67_, 7_8
    expected = [[[0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 1]]]
    np.testing.assert_array_equal(visible_slots(ops.convert_to_tensor(tokens), 3), np.array(expected, bool))


def test_softmax_over_no_slot_is_zero_and_so_is_its_gradient():
    scores = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    visible = tf.constant([[True, True], [False, False]])
    with tf.GradientTape() as tape:
        probs = masked_softmax(scores, visible)
        loss = tf.reduce_sum(probs * [[1.0, 5.0], [1.0, 5.0]])
    np.testing.assert_allclose(probs[0], np.exp([1, 2]) / np.exp([1, 2]).sum(), rtol=1e-6)
    np.testing.assert_array_equal(probs[1], [0, 0])
    gradient = tape.gradient(loss, scores)
    np.testing.assert_array_equal(gradient[1], [0, 0])
    assert np.all(np.isfinite(gradient))


def gathered_hop(hop, state_BTE, keys_BLE, values_BLE, visible_BTM):
    """The textbook form: M keys and values gathered for every target."""
    targets, memory = state_BTE.shape[1], hop.memory
    index = tf.range(targets)[:, None] + tf.range(memory)
    keys_BTME = tf.gather(keys_BLE, index, axis=1) + hop.key_time_ME
    values_BTME = tf.gather(values_BLE, index, axis=1) + hop.value_time_ME
    scores = tf.einsum("bte,btme->btm", state_BTE, keys_BTME)
    probs = masked_softmax(scores, visible_BTM)
    mapped = state_BTE @ hop.state_map_EE + tf.einsum("btm,btme->bte", probs, values_BTME)
    half = state_BTE.shape[-1] // 2
    return tf.concat([mapped[..., :half], tf.nn.relu(mapped[..., half:])], axis=-1)


def test_the_banded_hop_equals_the_gathered_one_and_so_do_its_gradients():
    keras.utils.set_random_seed(3)
    batch, targets, memory, width = 3, 5, 7, 8
    hop = MemoryHop(memory, init_stddev=0.5)
    hop.build((None, None, width))
    tokens = random.integers(0, 5, size=(batch, memory + targets - 1))  # a fifth of it padding
    visible = visible_slots(ops.convert_to_tensor(tokens), memory)
    inputs = [
        tf.Variable(random.normal(size=shape).astype("float32"))
        for shape in [
            (batch, targets, width),
            (batch, memory + targets - 1, width),
            (batch, memory + targets - 1, width),
        ]
    ]
    direction = random.normal(size=(batch, targets, width)).astype("float32")
    results = []
    for form in (lambda *arguments: hop(*arguments)[0], lambda *arguments: gathered_hop(hop, *arguments)):
        with tf.GradientTape() as tape:
            state = form(*inputs, visible)
            loss = tf.reduce_sum(state * direction)
        weights = [weight.value for weight in hop.trainable_variables]
        results.append([state, *tape.gradient(loss, [*inputs, *weights])])
    for banded, gathered in zip(*results, strict=True):
        np.testing.assert_allclose(banded, gathered, atol=1e-5, rtol=1e-5)
