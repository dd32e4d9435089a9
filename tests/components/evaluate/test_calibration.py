import numpy as np
import pytest
import tensorflow as tf

from components.evaluate.calibration import calibration
from hopline.model.streams import TokenStream
from hopline.schema import PAD


class Unigram:
    """A model that gives every place the same probabilities."""

    memory = 3

    def __init__(self, probabilities):
        self.logits = tf.constant(np.log(probabilities), tf.float32)

    def __call__(self, windows):
        batch, length = windows.shape[0], windows.shape[1] - self.memory + 1
        return tf.broadcast_to(self.logits, [batch, length, len(self.logits)])


def drawn(probabilities, count):
    ids = np.random.default_rng(0).choice(len(probabilities), size=count, p=probabilities)
    return TokenStream(np.concatenate([[PAD], ids]).astype(np.int32), name="valid")


TRUE = np.array([0.0, 0.55, 0.25, 0.15, 0.05])


def test_a_model_that_knows_the_frequencies_is_calibrated():
    bins = calibration(Unigram(TRUE + 1e-12), drawn(TRUE, 20_000))
    assert [item.predicted for item in bins] == pytest.approx([0.05, 0.15, 0.25, 0.55])
    assert [item.observed for item in bins] == pytest.approx([0.05, 0.15, 0.25, 0.55], abs=0.03)


def test_a_model_that_is_too_sure_is_seen():
    sure = np.array([1e-12, 0.95, 0.03, 0.015, 0.005])
    bins = calibration(Unigram(sure), drawn(TRUE, 20_000))
    assert bins[-1].predicted == pytest.approx(0.95)
    assert bins[-1].observed == pytest.approx(0.55, abs=0.03)


@pytest.mark.parametrize("tokens", [1, 15, 40, 4_096])
def test_every_place_is_counted_at_most_once(tokens):
    bins = calibration(Unigram(TRUE + 1e-12), drawn(TRUE, tokens))
    assert max(item.pairs for item in bins) <= tokens
    if tokens >= 4_096:
        assert min(item.pairs for item in bins) >= 4_000


def test_probabilities_that_are_not_finite_are_left_out():
    assert calibration(Unigram(np.full(5, np.nan)), drawn(TRUE, 40)) == []
