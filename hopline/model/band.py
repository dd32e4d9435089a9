"""The memory of many consecutive targets at once: a band of one matrix, who sees what, and products.

Shape suffixes, here and in `hopline.model`:

    B  sequences          T  consecutive targets of a sequence     M  memory slots of a target
    L  = M + T - 1 tokens, the memories of all T targets together  E  width      V  vocabulary

The memory of target t is the M tokens before it, oldest first: tokens t to t + M - 1 of the L.  The
textbook form gathers M embedded tokens for every target, B x T x M x E numbers.  Here every token is
embedded once (B x L x E); all products of T states with L tokens are one matrix product, of which a
target needs a band.  Taking the band and its inverse are reshapes.
"""

import keras
from keras import ops

from hopline.schema import PAD


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


def masked_softmax(scores: keras.KerasTensor, visible: keras.KerasTensor) -> keras.KerasTensor:
    """Softmax over the last axis where `visible`; zero elsewhere, and everywhere in a row that sees nothing."""
    lowest = -1e9  # finite, so that a row without a visible slot gives 0 and not NaN, also in the gradient
    shifted = ops.where(visible, scores, lowest)
    return ops.where(visible, ops.softmax(shifted, axis=-1), 0.0)


def transposed(matrices: keras.KerasTensor) -> keras.KerasTensor:
    """The last two axes exchanged."""
    return ops.swapaxes(matrices, -1, -2)


def times(rows_BTX: keras.KerasTensor, matrix_XY: keras.KerasTensor) -> keras.KerasTensor:
    """The product with one matrix for all sequences: one large product rather than B small ones."""
    _, targets, _ = rows_BTX.shape
    return ops.reshape(ops.matmul(_flat(rows_BTX), matrix_XY), (-1, targets, matrix_XY.shape[-1]))


def summed_outer(left_BTX: keras.KerasTensor, right_BTY: keras.KerasTensor) -> keras.KerasTensor:
    """Sum over all targets of the outer products of their rows, X x Y."""
    return ops.matmul(transposed(_flat(left_BTX)), _flat(right_BTY))


def _flat(rows_BTX: keras.KerasTensor) -> keras.KerasTensor:
    return ops.reshape(rows_BTX, (-1, rows_BTX.shape[-1]))
