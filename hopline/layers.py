"""The memory of the network, computed for many consecutive targets at once.

Shape suffixes, here and in `hopline.model`:

    B  sequences          T  consecutive targets of a sequence     M  memory slots of a target
    L  = M + T - 1 tokens, the memories of all T targets together  E  width      V  vocabulary

The memory of target t is the M tokens before it, oldest first: tokens t to t + M - 1 of the L.  The
textbook form gathers M embedded tokens for every target, B x T x M x E numbers.  Here every token is
embedded once (B x L x E); all products of T states with L tokens are one matrix product, of which a
target needs a band.  Taking the band and its inverse are reshapes.
"""

from collections.abc import Callable

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
class MemoryHop(keras.layers.Layer):
    """One hop over the memory (Sukhbaatar et al. 2015, equations 1 to 3, and section 5 for u <- H u + o).

        p = softmax over visible slots of u . (A x_i + T_A(i))
        o = sum over i of p_i (C x_i + T_C(i))
        u <- H u + o, then ReLU on the second half of the units

    The same hop is applied K times: H, T_A and T_C are shared (layer-wise tying).  A target that sees no
    slot at all reads o = 0.

    Args:
        memory: M.
        init_stddev: standard deviation of the normal start of every weight.

    Call arguments:
        state_BTE: u; or 1 x 1 x E, one state for all targets, which takes a vector where the others take a matrix.
        keys_BLE: A x of every token.
        values_BLE: C x of every token.
        visible_BTM: see `visible_slots`.

    Returns:
        The new state_BTE, and the attention probs_BTM in float32.
    """

    def __init__(self, memory: int, init_stddev: float = 0.05, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.memory = memory
        self.init_stddev = init_stddev

    def build(self, state_shape: tuple[int | None, ...], *_: object) -> None:
        width = state_shape[-1]
        self.key_time_ME = self._weight((self.memory, width), "T_A")
        self.value_time_ME = self._weight((self.memory, width), "T_C")
        self.state_map_EE = self._weight((width, width), "H")

    def call(
        self,
        state_BTE: keras.KerasTensor,
        keys_BLE: keras.KerasTensor,
        values_BLE: keras.KerasTensor,
        visible_BTM: keras.KerasTensor,
    ) -> tuple[keras.KerasTensor, keras.KerasTensor]:
        weights = [
            ops.convert_to_tensor(weight) for weight in (self.key_time_ME, self.value_time_ME, self.state_map_EE)
        ]

        @ops.custom_gradient
        def hop(*inputs: keras.KerasTensor) -> tuple[tuple[keras.KerasTensor, keras.KerasTensor], Gradient]:
            outputs = _hop(*inputs, visible_BTM)
            return outputs, lambda *upstream: _hop_gradient(*inputs, *outputs, *upstream)

        return hop(state_BTE, keys_BLE, values_BLE, *weights)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return {**super().get_config(), "memory": self.memory, "init_stddev": self.init_stddev}

    def _weight(self, shape: tuple[int | None, ...], name: str) -> keras.Variable:
        # A fresh initializer each: one instance gives the same numbers every time it is called.
        start = keras.initializers.RandomNormal(stddev=self.init_stddev)
        return self.add_weight(shape=shape, initializer=start, name=name)


def _hop(
    state_BTE: keras.KerasTensor,
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    visible_BTM: keras.KerasTensor,
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The equations of `MemoryHop`."""
    memory = key_time_ME.shape[0]
    word_scores_BTL = ops.matmul(state_BTE, _transposed(keys_BLE))
    if state_BTE.shape[1] == 1:
        word_scores_BTL = ops.repeat(word_scores_BTL, visible_BTM.shape[1], axis=1)
    scores_BTM = take_band(word_scores_BTL, memory) + _times(state_BTE, _transposed(key_time_ME))
    probs_BTM = masked_softmax(ops.cast(scores_BTM, "float32"), visible_BTM)

    read_BTM = ops.cast(probs_BTM, values_BLE.dtype)
    output_BTE = ops.matmul(spread_band(read_BTM), values_BLE) + _times(read_BTM, value_time_ME)
    mapped_BTE = _times(state_BTE, state_map_EE) + output_BTE
    linear = mapped_BTE.shape[-1] // 2
    new_state_BTE = ops.concatenate([mapped_BTE[:, :, :linear], ops.relu(mapped_BTE[:, :, linear:])], axis=-1)
    return new_state_BTE, probs_BTM


def _hop_gradient(
    state_BTE: keras.KerasTensor,
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    new_state_BTE: keras.KerasTensor,
    probs_BTM: keras.KerasTensor,
    d_new_state_BTE: keras.KerasTensor,
    d_probs_BTM: keras.KerasTensor,
) -> tuple[keras.KerasTensor, ...]:
    """The chain rule through `_hop`, by hand: automatic differentiation keeps eight tensors a hop where these two do.

    Returns:
        The gradients with respect to state, keys, values, T_A, T_C and H.
    """
    memory, linear = key_time_ME.shape[0], d_new_state_BTE.shape[-1] // 2
    passed_BTE = ops.where(new_state_BTE[:, :, linear:] > 0, d_new_state_BTE[:, :, linear:], 0)
    d_mapped_BTE = ops.concatenate([d_new_state_BTE[:, :, :linear], passed_BTE], axis=-1)

    read_BTM = ops.cast(probs_BTM, values_BLE.dtype)
    d_values_BLE = ops.matmul(_transposed(spread_band(read_BTM)), d_mapped_BTE)
    d_value_time_ME = _summed_outer(read_BTM, d_mapped_BTE)
    d_read_BTM = take_band(ops.matmul(d_mapped_BTE, _transposed(values_BLE)), memory)
    d_read_BTM += _times(d_mapped_BTE, _transposed(value_time_ME))

    d_probs_BTM += ops.cast(d_read_BTM, "float32")
    mean_BT1 = ops.sum(d_probs_BTM * probs_BTM, axis=-1, keepdims=True)
    d_scores_BTM = ops.cast(probs_BTM * (d_probs_BTM - mean_BT1), keys_BLE.dtype)
    d_words_BTL = spread_band(d_scores_BTM)
    if state_BTE.shape[1] == 1:  # what is the same for all targets is summed before it is multiplied
        d_words_BTL = ops.sum(d_words_BTL, axis=1, keepdims=True)
        d_scores_BTM = ops.sum(d_scores_BTM, axis=(0, 1), keepdims=True)
        d_mapped_BTE = ops.sum(d_mapped_BTE, axis=(0, 1), keepdims=True)
    d_state_BTE = ops.matmul(d_words_BTL, keys_BLE)
    if state_BTE.shape[1] == 1:
        d_state_BTE = ops.sum(d_state_BTE, axis=0, keepdims=True)
    d_state_BTE += _times(d_scores_BTM, key_time_ME) + _times(d_mapped_BTE, _transposed(state_map_EE))
    d_keys_BLE = ops.matmul(_transposed(d_words_BTL), state_BTE)
    d_key_time_ME, d_state_map_EE = _summed_outer(d_scores_BTM, state_BTE), _summed_outer(state_BTE, d_mapped_BTE)
    return d_state_BTE, d_keys_BLE, d_values_BLE, d_key_time_ME, d_value_time_ME, d_state_map_EE


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
