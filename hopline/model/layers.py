"""The hops of the paper.  Shape suffixes are those of `hopline.model.band`."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from hopline.model.band import masked_softmax, spread_band, take_band, times, transposed
from hopline.model.drop import Drop, keep_all
from hopline.model.hops_gradient import Gradient, Hop, all_hops_gradient
from hopline.model.temporal import temporal_encodings


@keras.saving.register_keras_serializable(package="hopline")
class MemoryHops(keras.layers.Layer):
    """K hops over the memory (Sukhbaatar et al. 2015, equations 1 to 3, and section 5 for u <- H u + o).

        u_0 = 0.1 in every unit (so the authors' program), and K times:
        p = softmax over visible slots of u . (A x_i + T_A(i))
        o = sum over i of p_i (C x_i + T_C(i))
        u <- H u + o, then ReLU on the second half of the units

    H, T_A and T_C are shared by all hops (layer-wise tying).  A target that sees no slot at all reads o = 0.
    `hopline.model.general_hops` has the same hops with options.

    Args:
        memory: M.
        hops: K.
        init_stddev: standard deviation of the normal start of every weight.
        time: T_A and T_C, see `hopline.model.temporal`.

    Call arguments:
        keys_BLE: A x of every token.
        values_BLE: C x of every token.
        visible_BTM: see `visible_slots`.
        drop: in training, what drops units of "read", o.

    Returns:
        The last state u, state_BTE.
    """

    def __init__(
        self, memory: int, hops: int, init_stddev: float = 0.05, time: str = "learned", **kwargs: object
    ) -> None:
        super().__init__(**kwargs)
        self.memory = memory
        self.hops = hops
        self.init_stddev = init_stddev
        self.time = time
        self.trainable_form = True  # an export, which nobody trains, goes without the gradient written by hand

    def build(self, keys_shape: tuple[Any, ...], *_: object) -> None:
        width = keys_shape[-1]
        self.key_time_ME, self.value_time_ME = temporal_encodings(
            self, self.time, (self.memory, width), self.init_stddev, self.init_stddev
        )
        start = keras.initializers.RandomNormal(stddev=self.init_stddev)
        self.state_map_EE = self.add_weight(shape=(width, width), initializer=start, name="H")

    def call(
        self,
        keys_BLE: keras.KerasTensor,
        values_BLE: keras.KerasTensor,
        visible_BTM: keras.KerasTensor,
        drop: Drop = keep_all,
    ) -> keras.KerasTensor:
        kept: list[keras.KerasTensor | None] = [None] * self.hops
        if drop is not keep_all:
            ones_BTE = ops.ones_like(keys_BLE[:, : visible_BTM.shape[1]])
            kept = [drop("read", ones_BTE, hop=hop) for hop in range(self.hops)]

        if not self.trainable_form:
            weights = self._weights()
            return all_hops(keys_BLE, values_BLE, *weights, visible_BTM=visible_BTM, kept=kept)[-1].new_state

        @ops.custom_gradient
        def last_state(*inputs: keras.KerasTensor) -> tuple[keras.KerasTensor, Gradient]:
            done = all_hops(*inputs, visible_BTM=visible_BTM, kept=kept)
            return done[-1].new_state, lambda upstream: all_hops_gradient(*inputs, done=done, d_state_BTE=upstream)

        return last_state(keys_BLE, values_BLE, *self._weights())

    def attention(
        self, keys_BLE: keras.KerasTensor, values_BLE: keras.KerasTensor, visible_BTM: keras.KerasTensor
    ) -> list[keras.KerasTensor]:
        """What every hop reads: K times probs_BTM in float32, 0 in slots that the target does not see."""
        kept = [None] * self.hops
        done = all_hops(keys_BLE, values_BLE, *self._weights(), visible_BTM=visible_BTM, kept=kept)
        return [hop.probs for hop in done]

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        own = ("memory", "hops", "init_stddev", "time")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}

    def _weights(self) -> list[keras.KerasTensor]:
        variables = (self.key_time_ME, self.value_time_ME, self.state_map_EE)
        return [ops.cast(variable, self.compute_dtype) for variable in variables]


def all_hops(
    keys_BLE: keras.KerasTensor,
    values_BLE: keras.KerasTensor,
    key_time_ME: keras.KerasTensor,
    value_time_ME: keras.KerasTensor,
    state_map_EE: keras.KerasTensor,
    *,
    visible_BTM: keras.KerasTensor,
    kept: Sequence[keras.KerasTensor | None],
) -> list[Hop]:
    """The equations of `MemoryHops`.  The first hop costs little: one state has vectors where many have matrices.

    Args:
        keys_BLE: see `MemoryHops`.
        values_BLE: see `MemoryHops`.
        key_time_ME: T_A.
        value_time_ME: T_C.
        state_map_EE: H.
        visible_BTM: see `visible_slots`.
        kept: for each of the K hops what dropout multiplies o with, kept_BTE, or None.
    """
    memory, linear = key_time_ME.shape[0], state_map_EE.shape[0] // 2
    state_BTE = ops.full((1, 1, state_map_EE.shape[0]), 0.1, dtype=keys_BLE.dtype)
    done: list[Hop] = []
    for kept_BTE in kept:
        words_BTL = ops.matmul(state_BTE, transposed(keys_BLE))
        if not done:
            words_BTL = ops.repeat(words_BTL, visible_BTM.shape[1], axis=1)
        scores_BTM = take_band(words_BTL, memory) + times(state_BTE, transposed(key_time_ME))
        probs_BTM = masked_softmax(ops.cast(scores_BTM, "float32"), visible_BTM)

        attention_BTM = ops.cast(probs_BTM, values_BLE.dtype)
        read_BTL = spread_band(attention_BTM)
        output_BTE = ops.matmul(read_BTL, values_BLE) + times(attention_BTM, value_time_ME)
        if kept_BTE is not None:
            output_BTE *= kept_BTE
        mapped_BTE = times(state_BTE, state_map_EE) + output_BTE
        new_state_BTE = ops.concatenate([mapped_BTE[:, :, :linear], ops.relu(mapped_BTE[:, :, linear:])], axis=-1)
        done.append(Hop(state_BTE, probs_BTM, read_BTL, kept_BTE, new_state_BTE))
        state_BTE = new_state_BTE
    return done
