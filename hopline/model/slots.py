"""What makes slots and the first state of embedded tokens: neighbours, n-gram slots, the question.

Besides the shape suffixes of `hopline.model.band`: X, the width of embedded tokens; n, the words of a slot;
S = M - n + 1 slots of a target.
"""

from typing import Any

import keras
from keras import ops

from hopline.model.band import times
from hopline.schema import PAD


def left_neighbours(rows_BLX: keras.KerasTensor, tokens_BL: keras.KerasTensor, count: int) -> list[keras.KerasTensor]:
    """Each token's embedding, and those of the tokens to its left, which end at the document's start.

    Args:
        rows_BLX: embedded tokens.
        tokens_BL: their ids.
        count: how many, the token itself included.

    Returns:
        `count` times neighbours_BLX: the j-th holds x_(i-j), or zeros where any of the tokens i-j .. i is padding or
        stands before the first of the L.
    """
    length = rows_BLX.shape[1]
    real_BL1 = ops.not_equal(tokens_BL, PAD)[:, :, None]
    together_BL1 = real_BL1
    neighbours = [ops.where(together_BL1, rows_BLX, 0.0)]
    for back in range(1, count):
        shift = ((0, 0), (back, 0), (0, 0))
        earlier_BL1 = ops.cast(ops.pad(ops.cast(real_BL1, "int32"), shift)[:, :length], "bool")
        together_BL1 = ops.logical_and(together_BL1, earlier_BL1)
        neighbours.append(ops.where(together_BL1, ops.pad(rows_BLX, shift)[:, :length], 0.0))
    return neighbours


class Slots(keras.layers.Layer):
    """The keys, or the values, of slots: s_i = sum over j < n of f_j * x_(i-j), unit by unit, then s_i P.

    The first n - 1 of the L tokens are only neighbours, so that all words of a slot are among the M of each target that
    reads it, wherever the target stands in its window: a target has S = M - n + 1 slots.  Neighbours beyond the
    document's start are zeros.

    Args:
        words: n; 1 for no filter f.
        width: E, of the projection P; 0 for none.

    Call arguments:
        neighbours: n times neighbours_BLX, see `left_neighbours`.

    Returns:
        slots_BLE for the L - n + 1 slots of the window.
    """

    def __init__(self, words: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words
        self.width = width

    def build(self, rows_shape: tuple[Any, ...]) -> None:
        units = rows_shape[-1]
        self.filter_NX = None
        if self.words > 1:
            self.filter_NX = self.add_weight(shape=(self.words, units), initializer=_filter_start, name="f")
        self.projection_XE = None
        if self.width:
            start = keras.initializers.RandomNormal(stddev=units**-0.5)
            self.projection_XE = self.add_weight(shape=(units, self.width), initializer=start, name="P")
        self.built = True

    def call(self, neighbours: list[keras.KerasTensor]) -> keras.KerasTensor:
        slots_BLX = neighbours[0][:, self.words - 1 :]
        if self.filter_NX is not None:
            filter_NX = ops.cast(self.filter_NX, self.compute_dtype)
            parts = [row_BLX[:, self.words - 1 :] * filter_NX[j] for j, row_BLX in enumerate(neighbours[: self.words])]
            slots_BLX = sum(parts[1:], parts[0])
        return (
            slots_BLX
            if self.projection_XE is None
            else times(slots_BLX, ops.cast(self.projection_XE, self.compute_dtype))
        )


def _filter_start(shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
    """A slot starts as its own word and a little of its neighbours."""
    first_NX = ops.concatenate([ops.ones((1, *shape[1:])), ops.zeros((shape[0] - 1, *shape[1:]))])
    return ops.cast(first_NX + keras.random.normal(shape, stddev=0.1), dtype or "float32")


class Question(keras.layers.Layer):
    """The first state: u_0 = q + sum over j < m of x_(t-1-j) Q_j, from the m words before the target.

    Section 2 of the paper has u = B q for the words of a question; here it is the end of the text itself.  Words beyond
    the document's start contribute nothing.

    Args:
        words: m; 0 for the learned vector q alone.
        memory: M; target t's last word is token t + M - 1.
        width: E.
        start_stddev: standard deviation of the normal start of q, if it is alone; else q starts at 0.

    Call arguments:
        neighbours: m times (or more) neighbours_BLX, see `left_neighbours`; one if m = 0.

    Returns:
        state_BTE.
    """

    def __init__(self, words: int, memory: int, width: int, start_stddev: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words
        self.memory = memory
        self.width = width
        self.start_stddev = start_stddev

    def build(self, rows_shape: tuple[Any, ...]) -> None:
        units = rows_shape[-1]
        self.word_maps_XE = None
        if self.words:
            start = keras.initializers.RandomNormal(stddev=(self.words * units) ** -0.5)
            self.word_maps_XE = self.add_weight(shape=(self.words * units, self.width), initializer=start, name="Q")
        alone = "zeros" if self.words else keras.initializers.RandomNormal(stddev=self.start_stddev)
        self.learned_E = self.add_weight(shape=(self.width,), initializer=alone, name="q")
        self.built = True

    def call(self, neighbours: list[keras.KerasTensor]) -> keras.KerasTensor:
        learned_E = ops.cast(self.learned_E, self.compute_dtype)
        rows = [row_BLX[:, self.memory - 1 :] for row_BLX in neighbours[: self.words or 1]]
        if self.word_maps_XE is None:
            return ops.zeros_like(rows[0][:, :, :1]) + learned_E
        return times(ops.concatenate(rows, axis=-1), ops.cast(self.word_maps_XE, self.compute_dtype)) + learned_E
