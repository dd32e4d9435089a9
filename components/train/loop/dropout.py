"""Dropout whose masks belong to the slots of the global batch, so that they do not depend on the number of workers."""

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


def make_drop(config: TrainConfig, keys_B2: tf.Tensor, vocabulary_size: int) -> Drop:
    """What drops units of `MemoryNetwork` and scales those that it keeps by 1 / (1 - rate).

    A mask is a function of its slot's key, the place and the hop.  Masks are only ever made in compiled code: compiled,
    TensorFlow gives other random numbers than plain (docs/decisions.md).

    Args:
        config: the rates; with `drop_shared` a sequence has one mask for all its positions.
        keys_B2: int32, a key for each slot of the batch (`Batches.mask_keys`).
        vocabulary_size: V, how many word types there are.
    """
    if not any(getattr(config, key) for key in DROP_KEYS):
        return keep_all

    def kept(shape: tuple[int, ...], rate: float, place: str, hop: int) -> tf.Tensor:
        """1 / (1 - rate) where the mask keeps, else 0; one of `shape` for each slot of the batch."""
        own_B2 = keys_B2 + tf.constant([0, _MOST_HOPS * _PLACES.index(place) + hop])

        def uniform(key: tf.Tensor) -> tf.Tensor:
            return tf.random.stateless_uniform(shape, seed=key, alg="philox")  # what the default is the device decides

        numbers = tf.map_fn(uniform, own_B2, fn_output_signature=tf.TensorSpec(shape, tf.float32))
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
