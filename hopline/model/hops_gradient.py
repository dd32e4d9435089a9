"""The gradient of the paper's hops, written by hand: it keeps what a `Hop` holds and nothing else.

Shape suffixes are those of `hopline.model.band`.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from hopline.model.band import spread_band, summed_outer, take_band, times, transposed

Gradient = Callable[..., tuple[keras.KerasTensor, ...]]  # from the outputs' gradients to the inputs'


class Hop(NamedTuple):
    """One hop that is done.

    Attributes:
        state: u before it, state_BTE; before the first 1 x 1 x E, where it is the same for all targets.
        probs: the attention probs_BTM, in float32.
        read: the same, spread, read_BTL, in the dtype that is computed in.
        kept: what dropout multiplies o with, kept_BTE; None for nothing.
        new_state: u after it, state_BTE.
    """

    state: keras.KerasTensor
    probs: keras.KerasTensor
    read: keras.KerasTensor
    kept: keras.KerasTensor | None
    new_state: keras.KerasTensor


def all_hops_gradient(
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    *,
    done: list[Hop],
    d_state_BTE: keras.KerasTensor,
) -> tuple[keras.KerasTensor, ...]:
    """The chain rule through `hopline.model.layers.all_hops`.

    Args:
        keys_BLE: an input of it.
        values_BLE: another.
        key_time_ME: T_A.
        value_time_ME: T_C.
        state_map_EE: H.
        done: its result.
        d_state_BTE: the gradient with respect to the last state.

    Returns:
        The gradients with respect to keys, values, T_A, T_C and H.
    """
    memory, linear = key_time_ME.shape[0], state_map_EE.shape[0] // 2
    d_keys_BLE = d_values_BLE = d_key_time_ME = d_value_time_ME = d_state_map_EE = 0.0
    for hop in reversed(done):
        passed_BTE = ops.where(hop.new_state[:, :, linear:] > 0, d_state_BTE[:, :, linear:], 0.0)
        d_mapped_BTE = ops.concatenate([d_state_BTE[:, :, :linear], passed_BTE], axis=-1)
        d_output_BTE = d_mapped_BTE if hop.kept is None else d_mapped_BTE * hop.kept

        attention_BTM = ops.cast(hop.probs, values_BLE.dtype)
        d_values_BLE += ops.matmul(transposed(hop.read), d_output_BTE)
        d_value_time_ME += summed_outer(attention_BTM, d_output_BTE)
        d_attention_BTM = take_band(ops.matmul(d_output_BTE, transposed(values_BLE)), memory)
        d_attention_BTM += times(d_output_BTE, transposed(value_time_ME))

        d_probs_BTM = ops.cast(d_attention_BTM, "float32")
        mean_BT1 = ops.sum(d_probs_BTM * hop.probs, axis=-1, keepdims=True)
        d_scores_BTM = ops.cast(hop.probs * (d_probs_BTM - mean_BT1), keys_BLE.dtype)
        d_words_BTL = spread_band(d_scores_BTM)
        if hop is done[0]:  # all targets share one state: sum over targets before multiplying
            d_words_BTL = ops.sum(d_words_BTL, axis=1, keepdims=True)
            d_scores_BTM = ops.sum(d_scores_BTM, axis=(0, 1), keepdims=True)
            d_mapped_BTE = ops.sum(d_mapped_BTE, axis=(0, 1), keepdims=True)
        else:
            d_state_BTE = ops.matmul(d_words_BTL, keys_BLE) + times(d_scores_BTM, key_time_ME)
            d_state_BTE += times(d_mapped_BTE, transposed(state_map_EE))
        d_keys_BLE += ops.matmul(transposed(d_words_BTL), hop.state)
        d_key_time_ME += summed_outer(d_scores_BTM, hop.state)
        d_state_map_EE += summed_outer(hop.state, d_mapped_BTE)
    return d_keys_BLE, d_values_BLE, d_key_time_ME, d_value_time_ME, d_state_map_EE
