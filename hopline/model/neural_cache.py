"""The neural cache (Grave, Joulin, Usunier 2017) of texts that are being drawn; `hopline.use.cache` says what it is.

Suffixes: B texts   W words that the cache holds of each, oldest first   F width of the states   V vocabulary
"""

from typing import NamedTuple

import tensorflow as tf

from hopline.schema import PAD


class NeuralCache(NamedTuple):
    """What a cache holds; with W = 0 there is none.

    Attributes:
        states: (B, W, F), float32, what the output table was multiplied with where each word was predicted.
        ids: (B, W), int32, the words; `PAD` where there is none.
        weight: scalar, float32, the cache's share of the probability.
        flatness: scalar, float32, how much more a similar state counts.
    """

    states: tf.Tensor
    ids: tf.Tensor
    weight: tf.Tensor
    flatness: tf.Tensor


def mixed(log_probs_BV: tf.Tensor, states_BF: tf.Tensor, cache: NeuralCache) -> tf.Tensor:
    """The log-probabilities of the next word with the cache's mixed in, log_probs_BV; of an empty cache the model's."""

    def with_cache() -> tf.Tensor:
        held_BW = tf.not_equal(cache.ids, PAD)
        likeness_BW = tf.einsum("bf,bwf->bw", _directions(states_BF), _directions(cache.states))
        shares_BW = tf.where(held_BW, tf.nn.softmax(tf.where(held_BW, cache.flatness * likeness_BW, -1e9)), 0.0)
        texts, size = tf.shape(log_probs_BV)[0], tf.shape(log_probs_BV)[1]
        places_BW = cache.ids + size * tf.range(texts)[:, None]
        summed = tf.math.unsorted_segment_sum(tf.reshape(shares_BW, [-1]), tf.reshape(places_BW, [-1]), texts * size)
        weight_B = tf.where(tf.reduce_any(held_BW, axis=1), cache.weight, 0.0)[:, None]
        cached_BV = tf.math.log(weight_B * tf.reshape(summed, [texts, size]))
        return tf.reduce_logsumexp(tf.stack([log_probs_BV + tf.math.log1p(-weight_B), cached_BV]), axis=0)

    return tf.cond(tf.shape(cache.ids)[1] > 0, with_cache, lambda: log_probs_BV)


def extended(cache: NeuralCache, states_BF: tf.Tensor, ids_B: tf.Tensor) -> NeuralCache:
    """The cache with one more word for each text, the oldest left out; one of W = 0 holds none still."""
    size = tf.shape(cache.ids)[1]
    states = tf.concat([cache.states, states_BF[:, None]], axis=1)[:, 1:]
    ids = tf.concat([cache.ids, ids_B[:, None]], axis=1)[:, 1:]
    return cache._replace(states=states[:, :size], ids=ids[:, :size])


def _directions(states: tf.Tensor) -> tf.Tensor:
    return states / tf.maximum(tf.norm(states, axis=-1, keepdims=True), 1e-9)
