"""Dropout whose masks belong to the slots of the global batch, so that they do not depend on the number of workers."""

import tensorflow as tf

from hopline.model.network import Drop

PLACES = ("keys", "values", "state")  # where `MemoryNetwork` drops


def slot_dropout(rate: float, keys_BP2: tf.Tensor) -> Drop:
    """A function for `MemoryNetwork` that drops units with probability `rate` and scales the others by 1 / (1 - rate).

    Args:
        rate: the share of units set to 0.
        keys_BP2: int32, a key for each slot of the batch and each of `PLACES` (`Batches.mask_keys`).
    """

    def drop(place: str, units: tf.Tensor, *, tokens_BL: tf.Tensor | None = None, hop: int = 0) -> tf.Tensor:
        if place not in PLACES:
            return units

        def uniform(key: tf.Tensor) -> tf.Tensor:
            # Philox by name: what the default is depends on the device.  Compiled, it gives other numbers than plain
            # (docs/decisions.md), so masks are only ever made in compiled code.
            return tf.random.stateless_uniform(units.shape[1:], seed=key, alg="philox")

        keys_B2 = keys_BP2[:, PLACES.index(place)]
        spec = tf.TensorSpec(units.shape[1:], tf.float32)
        kept = tf.map_fn(uniform, keys_B2, fn_output_signature=spec) >= rate
        return tf.where(kept, units / tf.cast(1 - rate, units.dtype), tf.zeros([], units.dtype))

    return drop
