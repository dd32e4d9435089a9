"""One hop's reading of its slots by heads, with a gradient written by hand: it keeps the attention and nothing else.

By hand rather than derived: 6% less time for all hops where XLA compiles them, 13% where it does not
(docs/experiments.md).  Shape suffixes are those of `hopline.model.general_hops`.
"""

import keras
from keras import ops

from hopline.model.band import masked_softmax, spread_band, take_band, transposed
from hopline.model.hops_gradient import Gradient


def read_slots(
    asked_GBTD: keras.KerasTensor,
    keys_GBLD: keras.KerasTensor,
    values_GBLD: keras.KerasTensor,
    key_time_GMD: keras.KerasTensor,
    value_time_GMD: keras.KerasTensor,
    *,
    visible_BTM: keras.KerasTensor,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Equations 1 and 2 of the paper for every head: output_GBTD, and the attention probs_GBTM in float32."""
    dtype, memory = values_GBLD.dtype, key_time_GMD.shape[1]

    @ops.custom_gradient
    def read(
        asked_GBTD: keras.KerasTensor,
        keys_GBLD: keras.KerasTensor,
        values_GBLD: keras.KerasTensor,
        key_time_GMD: keras.KerasTensor,
        value_time_GMD: keras.KerasTensor,
    ) -> tuple[tuple[keras.KerasTensor, keras.KerasTensor], Gradient]:
        words_GBTM = _band(ops.matmul(asked_GBTD, transposed(keys_GBLD)), memory)
        scores_GBTM = words_GBTM + _each_head(asked_GBTD, transposed(key_time_GMD))
        probs_GBTM = masked_softmax(ops.cast(scores_GBTM, "float32"), visible_BTM)
        attention_GBTM = ops.cast(probs_GBTM, dtype)
        output_GBTD = ops.matmul(_spread(attention_GBTM), values_GBLD) + _each_head(attention_GBTM, value_time_GMD)

        def gradient(
            d_output_GBTD: keras.KerasTensor, d_probs_GBTM: keras.KerasTensor
        ) -> tuple[keras.KerasTensor, ...]:
            d_attention_GBTM = _band(ops.matmul(d_output_GBTD, transposed(values_GBLD)), memory)
            d_attention_GBTM += _each_head(d_output_GBTD, transposed(value_time_GMD))
            d_probs_GBTM = d_probs_GBTM + ops.cast(d_attention_GBTM, "float32")
            mean_GBT1 = ops.sum(d_probs_GBTM * probs_GBTM, axis=-1, keepdims=True)
            d_scores_GBTM = ops.cast(probs_GBTM * (d_probs_GBTM - mean_GBT1), dtype)
            d_words_GBTL = _spread(d_scores_GBTM)
            return (
                ops.matmul(d_words_GBTL, keys_GBLD) + _each_head(d_scores_GBTM, key_time_GMD),
                ops.matmul(transposed(d_words_GBTL), asked_GBTD),
                ops.matmul(transposed(_spread(attention_GBTM)), d_output_GBTD),
                _summed_outer(d_scores_GBTM, asked_GBTD),
                _summed_outer(attention_GBTM, d_output_GBTD),
            )

        return (output_GBTD, probs_GBTM), gradient

    return read(asked_GBTD, keys_GBLD, values_GBLD, key_time_GMD, value_time_GMD)


def _band(dense_GBTL: keras.KerasTensor, memory: int) -> keras.KerasTensor:
    """`take_band` of every head."""
    heads, _, targets, length = dense_GBTL.shape
    return ops.reshape(take_band(ops.reshape(dense_GBTL, (-1, targets, length)), memory), (heads, -1, targets, memory))


def _spread(band_GBTM: keras.KerasTensor) -> keras.KerasTensor:
    """`spread_band` of every head."""
    heads, _, targets, memory = band_GBTM.shape
    dense = spread_band(ops.reshape(band_GBTM, (-1, targets, memory)))
    return ops.reshape(dense, (heads, -1, targets, dense.shape[-1]))


def _each_head(rows_GBTX: keras.KerasTensor, matrix_GXY: keras.KerasTensor) -> keras.KerasTensor:
    """The product with one matrix a head for all sequences."""
    heads, _, targets, _ = rows_GBTX.shape
    return ops.reshape(ops.matmul(_flat(rows_GBTX), matrix_GXY), (heads, -1, targets, matrix_GXY.shape[-1]))


def _summed_outer(left_GBTX: keras.KerasTensor, right_GBTY: keras.KerasTensor) -> keras.KerasTensor:
    """For each head the sum over all targets of the outer products of their rows, G x X x Y."""
    return ops.matmul(transposed(_flat(left_GBTX)), _flat(right_GBTY))


def _flat(rows_GBTX: keras.KerasTensor) -> keras.KerasTensor:
    heads, _, _, units = rows_GBTX.shape
    return ops.reshape(rows_GBTX, (heads, -1, units))
