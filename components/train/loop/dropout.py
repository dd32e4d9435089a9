"""Dropout whose masks belong to the slots of the global batch, so that they do not depend on the number of workers.

Their random numbers are Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section
4.2), a stream for each slot.  `tf.random.stateless_uniform` takes one key: a loop over slots, which on a GPU costs a
third of the training step (docs/experiments.md).
"""

import math

import tensorflow as tf

from hopline.config.train import DROP_KEYS, TrainConfig
from hopline.model.drop import Drop, keep_all

# Where units are dropped, and the key of [train] that says how many.
RATES = {
    "words": "drop_embeddings",
    "keys": "drop_memory",
    "values": "drop_memory",
    "read": "drop_read",
    "map": "drop_read",
    "state": "drop_state",
}
_TYPES = "word types"  # dropped in the place "words", before its units
_PLACES = (_TYPES, *RATES)
_MOST_HOPS = 1 << 16  # numbers of a place before those of the next begin

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_SCRAMBLE = (0x3EC8F720, 0x02461E29)  # TensorFlow's key for making a key and half a counter of a seed
_BITS = 23  # of a random number


def make_drop(config: TrainConfig, keys_B2: tf.Tensor, vocabulary_size: int, share: tf.Tensor | float = 1.0) -> Drop:
    """What drops units of `MemoryNetwork` and scales those that it keeps by 1 / (1 - rate).

    A mask is a function of its slot's key, the place and the hop.

    Args:
        config: the rates; with `drop_shared` a sequence has one mask for all its positions.
        keys_B2: int32, a key for each slot of the batch (`Batches.mask_keys`).
        vocabulary_size: V, how many word types there are.
        share: what the rates are multiplied by.
    """
    if not any(getattr(config, key) for key in DROP_KEYS):
        return keep_all

    def kept(shape: tuple[int, ...], full_rate: float, place: str, hop: int) -> tf.Tensor:
        """1 / (1 - rate) where the mask keeps, else 0; one of `shape` for each slot of the batch."""
        rate = full_rate * share
        own_B2 = keys_B2 + tf.constant([0, _MOST_HOPS * _PLACES.index(place) + hop])
        numbers = tf.reshape(uniform(own_B2, math.prod(shape)), (-1, *shape))
        return tf.where(numbers >= rate, 1 / (1 - rate), 0.0)

    def drop(place: str, units: tf.Tensor, *, tokens_BL: tf.Tensor | None = None, hop: int = 0) -> tf.Tensor:
        if place == "words" and config.drop_words:
            types_BV = kept((vocabulary_size,), config.drop_words, _TYPES, 0)
            units *= tf.cast(tf.gather(types_BV, tokens_BL, batch_dims=1)[:, :, None], units.dtype)
        rate = getattr(config, RATES[place])
        if not rate:
            return units
        _, positions, width = units.shape
        mask = kept((1 if config.drop_shared else positions, width), rate, place, hop)
        return units * tf.cast(mask, units.dtype)

    return drop


def uniform(seeds_B2: tf.Tensor, count: int) -> tf.Tensor:
    """`count` numbers in [0, 1) for each seed: what XLA's `tf.random.stateless_uniform(alg="philox")` gives for it.

    Args:
        seeds_B2: int32, not negative.
        count: U, how many numbers.

    Returns:
        float32, B x U.
    """
    first_B1, second_B1 = tf.split(tf.cast(seeds_B2, tf.uint32), 2, axis=1)
    zeros_B1 = tf.zeros_like(first_B1)
    *keys_B1, third_B1, fourth_B1 = _philox(
        [first_B1, zeros_B1, second_B1, zeros_B1], tf.unstack(tf.constant(_SCRAMBLE, tf.uint32))
    )
    numbers_1C = tf.cast(tf.range(math.ceil(count / 4))[None], tf.uint32)
    blocks_BC = _philox([numbers_1C, tf.zeros_like(numbers_1C), third_B1, fourth_B1], keys_B1)
    words_BU = tf.reshape(tf.stack(blocks_BC, axis=2), (len(seeds_B2), -1))[:, :count]
    return tf.cast(tf.bitwise.right_shift(words_BU, tf.constant(32 - _BITS, tf.uint32)), tf.float32) * 2.0**-_BITS


def _philox(block: list[tf.Tensor], keys: list[tf.Tensor]) -> list[tf.Tensor]:
    """Philox4x32-10 of four uint32 under two keys."""
    for _ in range(_ROUNDS):
        products = [tf.cast(block[at], tf.uint64) * by for at, by in zip((0, 2), _MULTIPLIERS, strict=True)]
        highs = [
            tf.cast(tf.bitwise.right_shift(product, tf.constant(32, tf.uint64)), tf.uint32) for product in products
        ]
        lows = [tf.cast(product, tf.uint32) for product in products]
        block = [
            tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(highs[1], block[1]), keys[0]),
            lows[1],
            tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(highs[0], block[3]), keys[1]),
            lows[0],
        ]
        keys = [key + step for key, step in zip(keys, _KEY_STEPS, strict=True)]
    return block
