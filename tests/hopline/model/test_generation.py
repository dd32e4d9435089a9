import numpy as np
import pytest
import tensorflow as tf

from hopline.model.generation import Draw, draw_word
from hopline.schema import PAD, UNKNOWN

PROBS = np.array([0.2, 0.2, 0.1, 0.3, 0.15, 0.05])  # the first two are <pad> and <unk>


def draw(probs=PROBS, rows=1, place=0, temperature=1.0, top_k=0, top_p=1.0, seed=1, unknown=False):
    log_probs = tf.constant(np.log(np.maximum(np.tile(probs, (rows, 1)), 1e-300)), tf.float32)
    how = Draw(
        tf.constant(temperature), tf.constant(top_k), tf.constant(top_p), tf.constant(seed, tf.int64),
        tf.constant(unknown),
    )  # fmt: skip
    return draw_word(log_probs, how, tf.constant(place))


def shares(**how):
    ids = draw(rows=40_000, **how).ids.numpy()
    return np.bincount(ids, minlength=len(PROBS)) / len(ids)


def expected(weights):
    return np.array(weights) / np.sum(weights)


@pytest.mark.parametrize(
    ("how", "weights"),
    [
        ({}, [0, 0, 0.1, 0.3, 0.15, 0.05]),
        ({"unknown": True}, [0, 0.2, 0.1, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, [0, 0, 0.01, 0.09, 0.0225, 0.0025]),
        ({"top_k": 2}, [0, 0, 0, 0.3, 0.15, 0]),
        ({"top_p": 0.7}, [0, 0, 0, 0.3, 0.15, 0]),  # of 0.6 in all, 0.3 and 0.15 are three quarters
        ({"top_k": 3, "top_p": 0.5}, [0, 0, 0, 0.3, 0, 0]),
        ({"top_p": 1e-6}, [0, 0, 0, 1, 0, 0]),
        ({"temperature": 0.0}, [0, 0, 0, 1, 0, 0]),
        ({"temperature": 2.0, "top_k": 2}, [0, 0, 0, 0.3**0.5, 0.15**0.5, 0]),
    ],
)
def test_words_are_drawn_as_often_as_they_are_likely_among_those_that_may_be(how, weights):
    np.testing.assert_allclose(shares(**how), expected(weights), atol=0.01)


def test_a_word_that_has_no_probability_is_never_drawn():
    probs = np.array([0.0, 0.0, 0.5, 0.0, 0.5, 0.0])
    for how in ({}, {"top_k": 4}, {"top_p": 0.999}):
        assert set(draw(probs, rows=10_000, **how).ids.numpy()) == {2, 4}


def test_the_log_probability_is_the_models_own_whatever_the_temperature():
    drawn = draw(rows=100, temperature=0.3, top_k=3)
    np.testing.assert_allclose(drawn.log_probs, np.log(PROBS)[drawn.ids], rtol=1e-5)


def test_the_likeliest_words_are_told_even_if_fewer_may_be_drawn():
    drawn = draw(top_k=1)
    assert drawn.candidates.numpy()[0].tolist()[:4] == [3, 4, 2, 5]
    assert PAD not in drawn.candidates.numpy()[0][:4]
    assert UNKNOWN not in drawn.candidates.numpy()[0][:4]


def test_a_text_more_in_the_batch_changes_nothing_for_the_others_and_places_differ():
    few, many = draw(rows=5).ids.numpy(), draw(rows=300).ids.numpy()
    assert (few == many[:5]).all()
    assert (draw(rows=300, place=1).ids.numpy() != many).any()
    assert (draw(rows=300, seed=2).ids.numpy() != many).any()
