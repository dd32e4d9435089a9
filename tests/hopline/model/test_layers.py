import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from hopline.model.band import masked_softmax, spread_band, take_band, visible_slots
from hopline.model.layers import MemoryHops
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


def gathered_hops(layer, keys_BLE, values_BLE, visible_BTM):
    """The textbook form: M keys and values gathered for every target."""
    _, targets, memory = visible_BTM.shape
    index = tf.range(targets)[:, None] + tf.range(memory)
    keys_BTME = tf.gather(keys_BLE, index, axis=1) + layer.key_time_ME
    values_BTME = tf.gather(values_BLE, index, axis=1) + layer.value_time_ME
    state = tf.fill([keys_BLE.shape[0], targets, keys_BLE.shape[2]], 0.1)
    for _ in range(layer.hops):
        probs = masked_softmax(tf.einsum("bte,btme->btm", state, keys_BTME), visible_BTM)
        mapped = state @ layer.state_map_EE + tf.einsum("btm,btme->bte", probs, values_BTME)
        half = state.shape[-1] // 2
        state = tf.concat([mapped[..., :half], tf.nn.relu(mapped[..., half:])], axis=-1)
    return state


@pytest.mark.parametrize("hops", [1, 2, 3])
@pytest.mark.parametrize("targets", [1, 5])
def test_the_banded_hops_equal_the_gathered_ones_and_so_do_their_gradients(hops, targets):
    keras.utils.set_random_seed(3)
    batch, memory, width = 3, 7, 9
    layer = MemoryHops(memory, hops, init_stddev=0.5)
    layer.build((None, None, width))
    tokens = random.integers(0, 5, size=(batch, memory + targets - 1))  # a fifth of it padding
    visible = visible_slots(ops.convert_to_tensor(tokens), memory)
    shape = (batch, memory + targets - 1, width)
    inputs = [tf.constant(random.normal(size=shape).astype("float32")) for _ in range(2)]
    direction = random.normal(size=(batch, targets, width)).astype("float32")
    weights = [weight.value for weight in layer.trainable_variables]
    results = []
    for form in (layer, lambda *arguments: gathered_hops(layer, *arguments)):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            state = form(*inputs, visible)
            loss = tf.reduce_sum(state * direction)
        results.append([state, *tape.gradient(loss, [*inputs, *weights], unconnected_gradients="zero")])
    for banded, gathered in zip(*results, strict=True):
        np.testing.assert_allclose(banded, gathered, atol=1e-5, rtol=1e-5)
