"""The tied end-to-end memory network language model: the paper, and where its options stand.

Sukhbaatar, Szlam, Weston, Fergus, "End-To-End Memory Networks", 2015: section 2 (the model), section 5
(language modelling: layer-wise tying, T_A and T_C, linear and ReLU units), and for what the paper leaves
open its authors' Torch program.  The options of a hop (docs/network.md) are in `hopline.model.general_hops`,
`state_maps` and `slots`; without them nothing of those files is used.  Shape suffixes are those of
`hopline.model.band`; F is the width of the tables, X that of embedded tokens.
"""

from typing import Any

import keras
from keras import ops

from hopline.model.band import visible_slots
from hopline.model.drop import Drop, keep_all
from hopline.model.general_hops import GeneralHops
from hopline.model.layers import MemoryHops
from hopline.model.slots import Question, Slots, left_neighbours

__all__ = ["QUERIES", "TIES", "Drop", "MemoryNetwork", "keep_all"]

TIES = ("none", "input", "output", "all")
QUERIES = ("constant", "learned", "words")


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
        init_stddev: standard deviation of the normal start of the tables and of all weights of the paper's form;
            b starts at 0.
        heads: G, into how many parts the width is cut that read on their own.
        norm: layer norms, states that are added to, and embedded words of variance 1 (divided by `init_stddev`).
        state_map: "half_relu" (the paper's), "gate" or "mlp", see `hopline.model.state_maps`.
        map_width: R, of the two-layer map "mlp"; 0 for 2 E.
        query: the first state: "constant" (the paper's 0.1), "learned", or "words", the last ones of the memory through
            the table A, see `hopline.model.slots.Question`.
        query_words: how many, for `query = "words"`.
        projections: with `tie = "all"`, one matrix each from the table's width to keys, to values and from the last
            state to the table's width, in the place of `factor`'s one.
        slot_words: n, the words of a slot, see `hopline.model.slots.Slots`.
        time: T_A and T_C: "learned", "sinusoidal" or "none", see `hopline.model.temporal`.

    Call arguments:
        tokens_BL: integer ids of the L = M + T - 1 tokens that the T targets see; `PAD` before a document.
        drop: in training, what drops units, see `hopline.model.drop`.

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
        heads: int = 1,
        norm: bool = False,
        state_map: str = "half_relu",
        map_width: int = 0,
        query: str = "constant",
        query_words: int = 0,
        projections: bool = False,
        slot_words: int = 1,
        time: str = "learned",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        _require_one_of("tie", tie, TIES)
        _require_one_of("query", query, QUERIES)
        if projections and tie != "all":
            raise ValueError(f'projections are of one table, but tie is {tie!r} and not "all"')
        self.vocabulary_size = vocabulary_size
        self.width = width
        self.hops = hops
        self.memory = memory
        self.tie = tie
        self.factor = factor
        self.bias = bias
        self.init_stddev = init_stddev
        self.heads = heads
        self.norm = norm
        self.state_map = state_map
        self.map_width = map_width
        self.query = query
        self.query_words = query_words
        self.projections = projections
        self.slot_words = slot_words
        self.time = time
        self.slots = memory - slot_words + 1  # that a target sees
        self.hop: keras.layers.Layer
        if heads > 1 or norm or state_map != "half_relu" or query != "constant":
            self.hop = GeneralHops(
                self.slots, hops, heads=heads, norm=norm, state_map=state_map, map_width=map_width,
                init_stddev=init_stddev, time=time, dtype=self.dtype_policy, name="hop",
            )  # fmt: skip
        else:
            self.hop = MemoryHops(self.slots, hops, init_stddev, time, dtype=self.dtype_policy, name="hop")
        self.key_slots = self.value_slots = self.question = None
        if slot_words > 1 or projections:
            own_width = width if projections else 0
            self.key_slots = Slots(slot_words, own_width, dtype=self.dtype_policy, name="key_slots")
            self.value_slots = Slots(slot_words, own_width, dtype=self.dtype_policy, name="value_slots")
        if query != "constant":
            self.question = Question(
                query_words, memory, width, 1.0 if norm else 0.1, dtype=self.dtype_policy, name="question"
            )

    def build(self, tokens_shape: tuple[int | None, ...]) -> None:
        """Makes the weights; a tied table is the same variable under two names."""
        rows = self.factor or self.width
        table = (self.vocabulary_size, rows)
        self.key_table_VF = self._weight(table, "A")
        self.value_table_VF = self.key_table_VF if self.tie == "all" else self._weight(table, "C")
        if self.tie == "none":
            self.logit_table_VF = self._weight(table, "W")
        else:
            self.logit_table_VF = self.value_table_VF if self.tie == "output" else self.key_table_VF
        self.projection_FE = self.output_projection_EF = None
        if self.projections:
            self.output_projection_EF = self._weight((self.width, rows), "P_O", self.width**-0.5)
        elif self.factor:
            stddev = self.factor**-0.5 if self.norm else self.init_stddev
            self.projection_FE = self._weight((self.factor, self.width), "P", stddev)
        self.logit_bias_V = (
            self.add_weight(shape=(self.vocabulary_size,), initializer="zeros", name="b") if self.bias else None
        )
        embedded = (None, None, rows if self.projections else self.width)
        for layer in (self.key_slots, self.value_slots, self.question):
            if layer is not None:
                layer.build(embedded)
        self.hop.build((None, None, self.width))
        self.built = True

    def call(self, tokens_BL: keras.KerasTensor, drop: Drop = keep_all) -> keras.KerasTensor:
        return self.logits(self.output_states(tokens_BL, drop))

    def logits(self, states_BTF: keras.KerasTensor) -> keras.KerasTensor:
        """The logits of all words, logits_BTV in float32, from what `output_states` returns."""
        table_VF = ops.cast(self.logit_table_VF, self.compute_dtype)
        logits_BTV = ops.cast(ops.matmul(states_BTF, ops.transpose(table_VF)), "float32")
        return logits_BTV if self.logit_bias_V is None else logits_BTV + ops.cast(self.logit_bias_V, "float32")

    def output_states(self, tokens_BL: keras.KerasTensor, drop: Drop = keep_all) -> keras.KerasTensor:
        """What the output table is multiplied with, states_BTF: u after the last hop, in the table's width."""
        state_BTE = self.hop(*self._memory(tokens_BL, drop), drop=drop)
        if self.output_projection_EF is not None:
            return drop("state", ops.matmul(state_BTE, ops.cast(self.output_projection_EF, self.compute_dtype)))
        state_BTE = drop("state", state_BTE)
        if self.projection_FE is None:
            return state_BTE
        return ops.matmul(state_BTE, ops.transpose(ops.cast(self.projection_FE, self.compute_dtype)))

    def attention(self, tokens_BL: keras.KerasTensor) -> list[keras.KerasTensor]:
        """What every hop reads: K times probs_BTM in float32, 0 in slots that the target does not see.

        With heads it is their mean.  With `slot_words` = n there are M - n + 1 slots, of which slot i ends at word
        i + n - 1 of the M; the last one's last word is the word just before the target in any case.
        """
        return self.hop.attention(*self._memory(tokens_BL, keep_all))

    def _memory(self, tokens_BL: keras.KerasTensor, drop: Drop) -> tuple[keras.KerasTensor, ...]:
        """keys_BLE, values_BLE and visible_BTM of the tokens, and the first state_BTE if it is not the paper's."""
        key_rows_BLX = drop("words", self._embed(self.key_table_VF, tokens_BL), tokens_BL=tokens_BL)
        value_rows_BLX = key_rows_BLX
        if self.tie != "all":
            value_rows_BLX = drop("words", self._embed(self.value_table_VF, tokens_BL), tokens_BL=tokens_BL)
        if self.key_slots is None or self.value_slots is None:
            keys_BLE = drop("keys", key_rows_BLX)
            values_BLE = keys_BLE if self.tie == "all" else drop("values", value_rows_BLX)
        else:
            key_words = left_neighbours(key_rows_BLX, tokens_BL, self.slot_words)
            value_words = key_words
            if self.tie != "all":
                value_words = left_neighbours(value_rows_BLX, tokens_BL, self.slot_words)
            keys_BLE = drop("keys", self.key_slots(key_words))
            values_BLE = drop("values", self.value_slots(value_words))
        memory = keys_BLE, values_BLE, visible_slots(tokens_BL[:, self.slot_words - 1 :], self.slots)
        if self.question is None:
            return memory
        return *memory, self.question(left_neighbours(key_rows_BLX, tokens_BL, max(1, self.query_words)))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = (
            "vocabulary_size", "width", "hops", "memory", "tie", "factor", "bias", "init_stddev", "heads", "norm",
            "state_map", "map_width", "query", "query_words", "projections", "slot_words", "time",
        )  # fmt: skip
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def _weight(self, shape: tuple[int, int], name: str, stddev: float | None = None) -> keras.Variable:
        start = keras.initializers.RandomNormal(stddev=self.init_stddev if stddev is None else stddev)
        return self.add_weight(shape=shape, initializer=start, name=name)

    def _embed(self, table_VF: keras.Variable, tokens_BL: keras.KerasTensor) -> keras.KerasTensor:
        """The table's rows, with `norm` of variance 1 at the start, through the factor's projection: rows_BLX."""
        rows_BLF = ops.cast(ops.take(table_VF, tokens_BL, axis=0), self.compute_dtype)
        if self.norm:
            rows_BLF = rows_BLF / self.init_stddev
        if self.projection_FE is None:
            return rows_BLF
        return ops.matmul(rows_BLF, ops.cast(self.projection_FE, self.compute_dtype))


def _require_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}, but must be one of {allowed}")
