"""The output layer's loss and gradient against TensorFlow's own, which hold all logits at once."""

import numpy as np
import pytest
import tensorflow as tf

from components.train.loop import output_layer
from components.train.loop.output_layer import chunk_size, fused_nll, summed_nll
from hopline.schema import PAD

random = np.random.Generator(np.random.Philox(5))
N, V, F = 37, 50, 6


def normal(*shape):
    return tf.constant(random.normal(size=shape).astype("float32"))


def plain(states, table, bias, targets):
    weights = [states, table] + ([] if bias is None else [bias])
    with tf.GradientTape() as tape:
        tape.watch(weights)
        logits = tf.matmul(states, table, transpose_b=True)
        logits = logits if bias is None else logits + bias
        nll = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits)
        total = tf.reduce_sum(tf.where(targets == PAD, 0.0, nll))
    return total, tape.gradient(total, weights)


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(output_layer, "NUMBERS_AT_ONCE", 1)
    monkeypatch.setattr(output_layer, "FUSED_AT_ONCE", 1)
    monkeypatch.setattr(output_layer, "LEAST_TARGETS", 16)


@pytest.mark.parametrize("bias", [None, normal(V)])
@pytest.mark.parametrize("form", [summed_nll, tf.function(summed_nll), tf.function(fused_nll)])
@pytest.mark.usefixtures("small_chunks")
def test_sum_and_gradients_in_chunks_are_those_of_the_whole(bias, form):
    assert chunk_size(N, V, output_layer.NUMBERS_AT_ONCE) < N
    targets = tf.constant(random.integers(0, V, size=N), tf.int32)
    targets = tf.where(tf.range(N) % 5 == 0, PAD, targets)
    states = tf.where(targets[:, None] == PAD, 0.0, normal(N, F))
    table = normal(V, F)
    total, gradients = form(states, table, bias, targets_N=targets)
    expected, expected_gradients = plain(states, table, bias, targets)
    assert float(total) == pytest.approx(float(expected), rel=1e-6)
    real = (targets != PAD).numpy()
    np.testing.assert_allclose(gradients[0][real], expected_gradients[0][real], atol=3e-6)
    assert len(gradients) == len(expected_gradients)
    for gradient, expected_gradient in zip(gradients[1:], expected_gradients[1:], strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [summed_nll, fused_nll])
def test_a_word_whose_probability_float32_cannot_hold_has_its_exact_loss(form):
    table = tf.constant([[0.0], [1.0], [0.0]])
    total, _ = form(tf.constant([[200.0]]), table, targets_N=tf.constant([2]))
    assert float(total) == pytest.approx(200.0, rel=1e-6)


@pytest.mark.parametrize("form", [summed_nll, fused_nll])
def test_what_is_not_finite_stays_so(form):
    total, _ = form(tf.constant([[np.nan]]), normal(3, 1), targets_N=tf.constant([1]))
    assert np.isnan(total)


@pytest.mark.parametrize("targets", [1, 16, 17, 500, 3200, 3201])
@pytest.mark.parametrize("vocabulary", [10, 10_001, 1_000_000])
def test_chunks_cover_the_targets_and_are_of_about_the_same_size(targets, vocabulary):
    size = chunk_size(targets, vocabulary, output_layer.NUMBERS_AT_ONCE)
    chunks = -(-targets // size)
    assert size % 16 == 0
    assert (
        size * vocabulary < 2 * max(output_layer.NUMBERS_AT_ONCE, output_layer.LEAST_TARGETS * vocabulary) or size <= 16
    )
    assert targets - (chunks - 1) * size > size / 2 - 16 * chunks


@pytest.mark.parametrize("form", [summed_nll, fused_nll])
def test_in_bfloat16_the_loss_is_within_a_percent(form):
    states, table, targets = normal(N, F), normal(V, F), tf.constant(random.integers(1, V, size=N), tf.int32)
    total, gradients = form(tf.cast(states, tf.bfloat16), table, targets_N=targets)
    expected, expected_gradients = plain(states, table, None, targets)
    assert total.dtype == tf.float32
    assert float(total) == pytest.approx(float(expected), rel=0.01)
    assert gradients[1].dtype == tf.float32
    np.testing.assert_allclose(gradients[1], expected_gradients[1], atol=0.1)
