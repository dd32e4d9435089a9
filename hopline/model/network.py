"""The tied end-to-end memory network language model: the paper, and nothing else.

Sukhbaatar, Szlam, Weston, Fergus, "End-To-End Memory Networks", 2015: section 2 (the model), section 5
(language modelling: layer-wise tying, T_A and T_C, linear and ReLU units), and for what the paper leaves
open its authors' Torch program.  Shape suffixes are those of `hopline.model.layers`, and F is the factor width.
"""

from typing import Any, Protocol

import keras
from keras import ops

from hopline.model.layers import MemoryHops, visible_slots

TIES = ("none", "input", "output", "all")


class Drop(Protocol):
    """Drops units in training (`components.train.loop.dropout`)."""

    def __call__(
        self, place: str, units: keras.KerasTensor, *, tokens_BL: keras.KerasTensor | None = None, hop: int = 0
    ) -> keras.KerasTensor:
        """The units that are kept, and 0 for the others.

        Args:
            place: "words" (embedded words), "keys", "values", "read" (what a hop reads) or "state" (the last one).
            units: of shape B x positions x units.
            tokens_BL: the words, where they are what is dropped.
            hop: which one reads, from 0.
        """


def keep_all(
    place: str, units: keras.KerasTensor, *, tokens_BL: keras.KerasTensor | None = None, hop: int = 0
) -> keras.KerasTensor:
    """No dropout."""
    return units


@keras.saving.register_keras_serializable(package="hopline")
class MemoryNetwork(keras.Model):
    """Predicts each of T consecutive words from the M words before it.

        u = K hops over the memory A x, C x (`hopline.model.layers.MemoryHops`);  logits = u W (+ b)

    A and C are vocabulary tables, V x E.  `tie` chooses the output matrix W: "none" a table of its own (the
    paper), "input" W = A^T, "output" W = C^T, "all" A = C = W^T.  With `factor` = F all tables are V x F times
    one shared projection P, F x E.  A tied table is one variable: counted, trained and saved once.

    Args:
        vocabulary_size: V, with the padding word.
        width: E.
        hops: K.
        memory: M.
        tie: "none", "input", "output" or "all".
        factor: F, or 0 for plain tables.
        bias: adds one number per word to the logits.
        init_stddev: standard deviation of the normal start of all weights but the bias, which starts at 0.

    Call arguments:
        tokens_BL: integer ids of the L = M + T - 1 tokens that the T targets see; `PAD` before a document.
        drop: in training, what drops units of the embedded memory ("keys", "values") and of the last "state".

    Returns:
        logits_BTV for the T targets, that is for the words at positions M .. M + T - 1.
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        width: int,
        hops: int,
        memory: int,
        tie: str = "none",
        factor: int = 0,
        bias: bool = False,
        init_stddev: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if tie not in TIES:
            raise ValueError(f"tie is {tie!r}, but must be one of {TIES}")
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.hops = hops
        self.memory = memory
        self.tie = tie
        self.factor = factor
        self.bias = bias
        self.init_stddev = init_stddev
        self.hop = MemoryHops(memory, hops, init_stddev, dtype=self.dtype_policy, name="hop")

    def build(self, tokens_shape: tuple[int | None, ...]) -> None:
        """Makes the weights; a tied table is the same variable under two names."""
        table = (self.vocabulary_size, self.factor or self.width)
        self.key_table_VF = self._weight(table, "A")
        self.value_table_VF = self.key_table_VF if self.tie == "all" else self._weight(table, "C")
        if self.tie == "none":
            self.logit_table_VF = self._weight(table, "W")
        else:
            self.logit_table_VF = self.value_table_VF if self.tie == "output" else self.key_table_VF
        self.projection_FE = self._weight((self.factor, self.width), "P") if self.factor else None
        self.logit_bias_V = (
            self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="b") if self.bias else None
        )
        self.hop.build((None, None, self.width))
        self.built = True

    def call(self, tokens_BL: keras.KerasTensor, drop: Drop = keep_all) -> keras.KerasTensor:
        states_BTF = self.output_states(tokens_BL, drop)
        table_VF = ops.cast(self.logit_table_VF, self.compute_dtype)
        logits_BTV = ops.cast(ops.matmul(states_BTF, ops.transpose(table_VF)), "float32")
        return logits_BTV if self.logit_bias_V is None else logits_BTV + ops.cast(self.logit_bias_V, "float32")

    def output_states(self, tokens_BL: keras.KerasTensor, drop: Drop = keep_all) -> keras.KerasTensor:
        """What the output table is multiplied with: u after the last hop, or u P^T with a factor; states_BTF."""
        state_BTE = drop("state", self.hop(*self._memory(tokens_BL, drop)))
        if self.projection_FE is None:
            return state_BTE
        return ops.matmul(state_BTE, ops.transpose(ops.cast(self.projection_FE, self.compute_dtype)))

    def attention(self, tokens_BL: keras.KerasTensor) -> list[keras.KerasTensor]:
        """What every hop reads: K times probs_BTM in float32, 0 in slots that the target does not see."""
        return self.hop.attention(*self._memory(tokens_BL, keep_all))

    def _memory(self, tokens_BL: keras.KerasTensor, drop: Drop) -> tuple[keras.KerasTensor, ...]:
        """keys_BLE, values_BLE and visible_BTM of the tokens."""

        def embedded(table_VF: keras.Variable) -> keras.KerasTensor:
            return drop("words", self._embed(table_VF, tokens_BL), tokens_BL=tokens_BL)

        keys_BLE = drop("keys", embedded(self.key_table_VF))
        values_BLE = keys_BLE if self.tie == "all" else drop("values", embedded(self.value_table_VF))
        return keys_BLE, values_BLE, visible_slots(tokens_BL, self.memory)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "width": self.width,
            "hops": self.hops,
            "memory": self.memory,
            "tie": self.tie,
            "factor": self.factor,
            "bias": self.bias,
            "init_stddev": self.init_stddev,
        }

    def _weight(self, shape: tuple[int, int], name: str) -> keras.Variable:
        start = keras.initializers.RandomNormal(stddev=self.init_stddev)
        return self.add_weight(shape=shape, initializer=start, name=name)

    def _embed(self, table_VF: keras.Variable, tokens_BL: keras.KerasTensor) -> keras.KerasTensor:
        rows_BLF = ops.cast(ops.take(table_VF, tokens_BL, axis=0), self.compute_dtype)
        if self.projection_FE is None:
            return rows_BLF
        return ops.matmul(rows_BLF, ops.cast(self.projection_FE, self.compute_dtype))
