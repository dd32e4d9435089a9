"""The memory of the network, computed for many consecutive targets at once.

Shape suffixes, here and in `hopline.model.network`:

    B  sequences          T  consecutive targets of a sequence     M  memory slots of a target
    L  = M + T - 1 tokens, the memories of all T targets together  E  width      V  vocabulary

The memory of target t is the M tokens before it, oldest first: tokens t to t + M - 1 of the L.  The
textbook form gathers M embedded tokens for every target, B x T x M x E numbers.  Here every token is
embedded once (B x L x E); all products of T states with L tokens are one matrix product, of which a
target needs a band.  Taking the band and its inverse are reshapes.
"""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import ops

from hopline.schema import PAD

Gradient = Callable[..., tuple[keras.KerasTensor, ...]]  # from the outputs' gradients to the inputs'


def take_band(dense_BTL: keras.KerasTensor, memory: int) -> keras.KerasTensor:
    """The band out[b, t, i] = dense[b, t, t + i] for i in 0 .. M - 1, without a gather.

    Rows of length L laid end to end and cut again at length L + 1 each start one element later.

    Args:
        dense_BTL: one value for each target and token.
        memory: M; L must be M + T - 1.

    Returns:
        band_BTM.
    """
    _, targets, length = dense_BTL.shape
    flat = ops.reshape(dense_BTL, (-1, targets * length))
    flat = ops.pad(flat, ((0, 0), (0, targets)))
    return ops.reshape(flat, (-1, targets, length + 1))[:, :, :memory]


def spread_band(band_BTM: keras.KerasTensor) -> keras.KerasTensor:
    """The inverse of `take_band`: dense_BTL with zeros outside the band."""
    _, targets, memory = band_BTM.shape
    length = memory + targets - 1
    wide = ops.pad(band_BTM, ((0, 0), (0, 0), (0, targets)))
    flat = ops.reshape(wide, (-1, targets * (length + 1)))[:, : targets * length]
    return ops.reshape(flat, (-1, targets, length))


def visible_slots(tokens_BL: keras.KerasTensor, memory: int) -> keras.KerasTensor:
    """Which slots a target may read: those after the last padding before it.

    Padding stands at the start of every document, so a memory never reaches into another one.

    Args:
        tokens_BL: token ids, `PAD` where there is none.
        memory: M.

    Returns:
        visible_BTM, boolean.
    """
    length = tokens_BL.shape[1]
    targets = length - memory + 1
    position_L = ops.arange(length, dtype="int32")
    pad_position_BL = ops.where(ops.equal(tokens_BL, PAD), position_L, -1)
    last_pad_BT = _running_maximum(pad_position_BL)[:, memory - 1 :]
    slot_TM = ops.arange(targets, dtype="int32")[:, None] + ops.arange(memory, dtype="int32")
    return ops.greater(slot_TM, last_pad_BT[:, :, None])


def _running_maximum(values_BL: keras.KerasTensor) -> keras.KerasTensor:
    """out[b, j] = max over k <= j of values[b, k], by doubling (ops.associative_scan loses the static shape)."""
    length = values_BL.shape[1]
    reach = 1
    while reach < length:
        earlier_BL = ops.pad(values_BL[:, :-reach], ((0, 0), (reach, 0)), constant_values=-1)
        values_BL = ops.maximum(values_BL, earlier_BL)
        reach *= 2
    return values_BL


@keras.saving.register_keras_serializable(package="hopline")
class MemoryHops(keras.layers.Layer):
    """K hops over the memory (Sukhbaatar et al. 2015, equations 1 to 3, and section 5 for u <- H u + o).

        u_0 = 0.1 in every unit (so the authors' program), and K times:
        p = softmax over visible slots of u . (A x_i + T_A(i))
        o = sum over i of p_i (C x_i + T_C(i))
        u <- H u + o, then ReLU on the second half of the units

    H, T_A and T_C are shared by all hops (layer-wise tying).  A target that sees no slot at all reads o = 0.

    Args:
        memory: M.
        hops: K.
        init_stddev: standard deviation of the normal start of every weight.

    Call arguments:
        keys_BLE: A x of every token.
        values_BLE: C x of every token.
        visible_BTM: see `visible_slots`.

    Returns:
        The last state u, state_BTE.
    """

    def __init__(self, memory: int, hops: int, init_stddev: float = 0.05, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.memory = memory
        self.hops = hops
        self.init_stddev = init_stddev

    def build(self, keys_shape: tuple[int | None, ...], *_: object) -> None:
        width = keys_shape[-1]
        self.key_time_ME = self._weight((self.memory, width), "T_A")
        self.value_time_ME = self._weight((self.memory, width), "T_C")
        self.state_map_EE = self._weight((width, width), "H")

    def call(
        self, keys_BLE: keras.KerasTensor, values_BLE: keras.KerasTensor, visible_BTM: keras.KerasTensor
    ) -> keras.KerasTensor:
        @ops.custom_gradient
        def last_state(*inputs: keras.KerasTensor) -> tuple[keras.KerasTensor, Gradient]:
            done = _all_hops(*inputs, visible_BTM=visible_BTM, hops=self.hops)
            return done[-1].new_state, lambda upstream: _all_hops_gradient(*inputs, done=done, d_state_BTE=upstream)

        return last_state(keys_BLE, values_BLE, *self._weights())

    def attention(
        self, keys_BLE: keras.KerasTensor, values_BLE: keras.KerasTensor, visible_BTM: keras.KerasTensor
    ) -> list[keras.KerasTensor]:
        """What every hop reads: K times probs_BTM in float32, 0 in slots that the target does not see."""
        done = _all_hops(keys_BLE, values_BLE, *self._weights(), visible_BTM=visible_BTM, hops=self.hops)
        return [hop.probs for hop in done]

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {**super().get_config(), "memory": self.memory, "hops": self.hops, "init_stddev": self.init_stddev}

    def _weight(self, shape: tuple[int | None, ...], name: str) -> keras.Variable:
        # A fresh initializer each: one instance gives the same numbers every time it is called.
        start = keras.initializers.RandomNormal(stddev=self.init_stddev)
        return self.add_weight(shape=shape, initializer=start, name=name)

    def _weights(self) -> list[keras.KerasTensor]:
        variables = (self.key_time_ME, self.value_time_ME, self.state_map_EE)
        return [ops.cast(variable, self.compute_dtype) for variable in variables]


class _Hop(NamedTuple):
    """One hop that is done.

    Attributes:
        state: u before it, state_BTE; before the first 1 x 1 x E, where it is the same for all targets.
        probs: the attention probs_BTM, in float32.
        read: the same, spread, read_BTL, in the dtype that is computed in.
        new_state: u after it, state_BTE.
    """

    state: keras.KerasTensor
    probs: keras.KerasTensor
    read: keras.KerasTensor
    new_state: keras.KerasTensor


def _all_hops(
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    *,
    visible_BTM: keras.KerasTensor,
    hops: int,
) -> list[_Hop]:
    """The equations of `MemoryHops`.  The first hop costs little: one state has vectors where many have matrices."""
    memory, linear = key_time_ME.shape[0], state_map_EE.shape[0] // 2
    state_BTE = ops.full((1, 1, state_map_EE.shape[0]), 0.1, dtype=keys_BLE.dtype)
    done: list[_Hop] = []
    for _ in range(hops):
        words_BTL = ops.matmul(state_BTE, _transposed(keys_BLE))
        if not done:
            words_BTL = ops.repeat(words_BTL, visible_BTM.shape[1], axis=1)
        scores_BTM = take_band(words_BTL, memory) + _times(state_BTE, _transposed(key_time_ME))
        probs_BTM = masked_softmax(ops.cast(scores_BTM, "float32"), visible_BTM)

        attention_BTM = ops.cast(probs_BTM, values_BLE.dtype)
        read_BTL = spread_band(attention_BTM)
        output_BTE = ops.matmul(read_BTL, values_BLE) + _times(attention_BTM, value_time_ME)
        mapped_BTE = _times(state_BTE, state_map_EE) + output_BTE
        new_state_BTE = ops.concatenate([mapped_BTE[:, :, :linear], ops.relu(mapped_BTE[:, :, linear:])], axis=-1)
        done.append(_Hop(state_BTE, probs_BTM, read_BTL, new_state_BTE))
        state_BTE = new_state_BTE
    return done


def _all_hops_gradient(
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    *,
    done: list[_Hop],
    d_state_BTE: keras.KerasTensor,
) -> tuple[keras.KerasTensor, ...]:
    """The chain rule through `_all_hops`, written by hand so that it keeps what a `_Hop` holds and no more.

    Returns:
        The gradients with respect to keys, values, T_A, T_C and H.
    """
    memory, linear = key_time_ME.shape[0], state_map_EE.shape[0] // 2
    d_keys_BLE = d_values_BLE = d_key_time_ME = d_value_time_ME = d_state_map_EE = 0.0
    for hop in reversed(done):
        passed_BTE = ops.where(hop.new_state[:, :, linear:] > 0, d_state_BTE[:, :, linear:], 0.0)
        d_mapped_BTE = ops.concatenate([d_state_BTE[:, :, :linear], passed_BTE], axis=-1)

        attention_BTM = ops.cast(hop.probs, values_BLE.dtype)
        d_values_BLE += ops.matmul(_transposed(hop.read), d_mapped_BTE)
        d_value_time_ME += _summed_outer(attention_BTM, d_mapped_BTE)
        d_attention_BTM = take_band(ops.matmul(d_mapped_BTE, _transposed(values_BLE)), memory)
        d_attention_BTM += _times(d_mapped_BTE, _transposed(value_time_ME))

        d_probs_BTM = ops.cast(d_attention_BTM, "float32")
        mean_BT1 = ops.sum(d_probs_BTM * hop.probs, axis=-1, keepdims=True)
        d_scores_BTM = ops.cast(hop.probs * (d_probs_BTM - mean_BT1), keys_BLE.dtype)
        d_words_BTL = spread_band(d_scores_BTM)
        if hop is done[0]:  # what is multiplied with the one state of all targets is summed over them before
            d_words_BTL = ops.sum(d_words_BTL, axis=1, keepdims=True)
            d_scores_BTM = ops.sum(d_scores_BTM, axis=(0, 1), keepdims=True)
            d_mapped_BTE = ops.sum(d_mapped_BTE, axis=(0, 1), keepdims=True)
        else:
            d_state_BTE = ops.matmul(d_words_BTL, keys_BLE) + _times(d_scores_BTM, key_time_ME)
            d_state_BTE += _times(d_mapped_BTE, _transposed(state_map_EE))
        d_keys_BLE += ops.matmul(_transposed(d_words_BTL), hop.state)
        d_key_time_ME += _summed_outer(d_scores_BTM, hop.state)
        d_state_map_EE += _summed_outer(hop.state, d_mapped_BTE)
    return d_keys_BLE, d_values_BLE, d_key_time_ME, d_value_time_ME, d_state_map_EE


def _transposed(matrices: keras.KerasTensor) -> keras.KerasTensor:
    return ops.swapaxes(matrices, -1, -2)


def _times(rows_BTX: keras.KerasTensor, matrix_XY: keras.KerasTensor) -> keras.KerasTensor:
    """The product with one matrix for all sequences: one large product rather than B small ones."""
    _, targets, _ = rows_BTX.shape
    return ops.reshape(ops.matmul(_flat(rows_BTX), matrix_XY), (-1, targets, matrix_XY.shape[-1]))


def _summed_outer(left_BTX: keras.KerasTensor, right_BTY: keras.KerasTensor) -> keras.KerasTensor:
    """Sum over all targets of the outer products of their rows, X x Y."""
    return ops.matmul(_transposed(_flat(left_BTX)), _flat(right_BTY))


def _flat(rows_BTX: keras.KerasTensor) -> keras.KerasTensor:
    return ops.reshape(rows_BTX, (-1, rows_BTX.shape[-1]))


def masked_softmax(scores: keras.KerasTensor, visible: keras.KerasTensor) -> keras.KerasTensor:
    """Softmax over the last axis where `visible`; zero elsewhere, and everywhere in a row that sees nothing."""
    lowest = -1e9  # finite, so that a row without a visible slot gives 0 and not NaN, also in the gradient
    shifted = ops.where(visible, scores, lowest)
    return ops.where(visible, ops.softmax(shifted, axis=-1), 0.0)
