"""What becomes of the state u after a hop has read o.  One map is shared by all hops.

With `norm`, the maps read the layer norm of the state and add to it; gains start at 1, biases at 0.
"""

from typing import Any

import keras
from keras import ops

from hopline.model.band import times
from hopline.model.drop import Drop


class LayerNorm(keras.layers.Layer):
    """Layer normalisation (Ba et al. 2016) with gain and bias, in float32 at least."""

    def build(self, units_shape: tuple[int | None, ...]) -> None:
        self.gain_E = self.add_weight(shape=units_shape[-1:], initializer="ones", autocast=False, name="gain")
        self.shift_E = self.add_weight(shape=units_shape[-1:], initializer="zeros", autocast=False, name="shift")
        self.built = True

    def call(self, units_BTE: keras.KerasTensor) -> keras.KerasTensor:
        exact_BTE = ops.cast(units_BTE, self.variable_dtype)
        centred_BTE = exact_BTE - ops.mean(exact_BTE, axis=-1, keepdims=True)
        variance_BT1 = ops.mean(ops.square(centred_BTE), axis=-1, keepdims=True)
        return ops.cast(centred_BTE * ops.rsqrt(variance_BT1 + 1e-5) * self.gain_E + self.shift_E, self.compute_dtype)


class StateMap(keras.layers.Layer):
    """The base of the maps.

    Args:
        norm: whether the state is normalised.
        hidden: R, the units of `MlpMap` between its two layers.
        init_stddev: standard deviation of the normal start of the paper's H.

    Call arguments:
        state_BTE: u before the hop.
        output_BTE: o, what the hop read, as dropped.
        drop: see `hopline.model.drop`.
        hop: k.

    Returns:
        u after the hop, state_BTE.
    """

    def __init__(self, *, norm: bool, hidden: int, init_stddev: float, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.norm = norm
        self.hidden = hidden
        self.init_stddev = init_stddev
        self.layer_norm: LayerNorm | None = None

    def build_norm(self, width: int) -> None:
        """Makes the layer norm of what the map reads, with `norm`."""
        if self.norm:
            self.layer_norm = LayerNorm(dtype=self.dtype_policy, name="norm")
            self.layer_norm.build((None, None, width))

    def normalised(self, state_BTE: keras.KerasTensor) -> keras.KerasTensor:
        """What the map reads."""
        return state_BTE if self.layer_norm is None else self.layer_norm(state_BTE)

    def matrix(self, rows: int, columns: int, name: str, stddev: float) -> keras.Variable:
        """A matrix of normal numbers."""
        return self.add_weight(
            shape=(rows, columns), initializer=keras.initializers.RandomNormal(0.0, stddev), name=name
        )

    def vector(self, units: int, name: str, start: float = 0.0) -> keras.Variable:
        """A vector of one number."""
        return self.add_weight(shape=(units,), initializer=keras.initializers.Constant(start), name=name)

    def product(self, rows_BTX: keras.KerasTensor, matrix_XY: keras.Variable) -> keras.KerasTensor:
        """The product with a weight."""
        return times(rows_BTX, ops.cast(matrix_XY, self.compute_dtype))

    def plus(self, rows_BTX: keras.KerasTensor, vector_X: keras.Variable) -> keras.KerasTensor:
        """The sum with a weight."""
        return rows_BTX + ops.cast(vector_X, self.compute_dtype)


class HalfReluMap(StateMap):
    """The paper's: m = H u + o, then ReLU on the second half of the units; u <- m, and with `norm` u <- u + m."""

    def build(self, state_shape: tuple[Any, ...], *_: object) -> None:
        width = state_shape[-1]
        self.map_EE = self.matrix(width, width, "H", 0.5 * width**-0.5 if self.norm else self.init_stddev)
        self.built = True

    def call(
        self, state_BTE: keras.KerasTensor, output_BTE: keras.KerasTensor, *, drop: Drop, hop: int
    ) -> keras.KerasTensor:
        mapped_BTE = self.product(state_BTE, self.map_EE) + output_BTE
        linear = state_BTE.shape[-1] // 2
        mapped_BTE = ops.concatenate([mapped_BTE[:, :, :linear], ops.relu(mapped_BTE[:, :, linear:])], axis=-1)
        return state_BTE + mapped_BTE if self.norm else mapped_BTE


class GateMap(StateMap):
    """A highway (Srivastava et al. 2015): u <- u + o, a = LN(u), g = sigmoid(a G + c), u <- g relu(a H) + (1 - g) u.

    The gate's bias c starts at -1, so that at first most of the state is carried.
    """

    def build(self, state_shape: tuple[Any, ...], *_: object) -> None:
        width = state_shape[-1]
        self.build_norm(width)
        self.gate_EE = self.matrix(width, width, "G", width**-0.5)
        self.gate_bias_E = self.vector(width, "c", -1.0)
        self.map_EE = self.matrix(width, width, "H", width**-0.5)
        self.built = True

    def call(
        self, state_BTE: keras.KerasTensor, output_BTE: keras.KerasTensor, *, drop: Drop, hop: int
    ) -> keras.KerasTensor:
        state_BTE = state_BTE + output_BTE
        asked_BTE = self.normalised(state_BTE)
        gate_BTE = ops.sigmoid(self.plus(self.product(asked_BTE, self.gate_EE), self.gate_bias_E))
        return gate_BTE * ops.relu(self.product(asked_BTE, self.map_EE)) + (1 - gate_BTE) * state_BTE


class MlpMap(StateMap):
    """Two layers: u <- u + o, then u <- u + relu(LN(u) W1 + c1) W2 + c2."""

    def build(self, state_shape: tuple[Any, ...], *_: object) -> None:
        width = state_shape[-1]
        self.build_norm(width)
        self.in_ER = self.matrix(width, self.hidden, "W1", width**-0.5)
        self.in_bias_R = self.vector(self.hidden, "c1")
        self.out_RE = self.matrix(self.hidden, width, "W2", 0.5 * self.hidden**-0.5)
        self.out_bias_E = self.vector(width, "c2")
        self.built = True

    def call(
        self, state_BTE: keras.KerasTensor, output_BTE: keras.KerasTensor, *, drop: Drop, hop: int
    ) -> keras.KerasTensor:
        state_BTE = state_BTE + output_BTE
        hidden_BTR = ops.relu(self.plus(self.product(self.normalised(state_BTE), self.in_ER), self.in_bias_R))
        added_BTE = self.plus(self.product(hidden_BTR, self.out_RE), self.out_bias_E)
        return state_BTE + drop("map", added_BTE, hop=hop)


STATE_MAPS: dict[str, type[StateMap]] = {"half_relu": HalfReluMap, "gate": GateMap, "mlp": MlpMap}
