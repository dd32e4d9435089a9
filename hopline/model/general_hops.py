"""The hops with options: heads, layer norm, another map of the state, another first state.

Besides the shape suffixes of `hopline.model.band`: G heads, of D = E / G units each.  Heads come first and sequences
second, so that products with T_A and T_C, which all sequences share, are one for each head.
"""

from typing import Any

import keras
from keras import ops

from hopline.model.drop import Drop, keep_all
from hopline.model.read_gradient import read_slots
from hopline.model.state_maps import STATE_MAPS, LayerNorm
from hopline.model.temporal import Encoding, temporal_encodings

FIRST_STATE = 0.1  # in every unit (so the authors' program)


@keras.saving.register_keras_serializable(package="hopline")
class GeneralHops(keras.layers.Layer):
    """K hops as in `hopline.model.layers.MemoryHops`, with options; with none of them the numbers are the same.

    For every hop, with a_g, k_g, ... the units of head g:

        a = LN(u) with `norm`, else u
        p_g = softmax over visible slots of a_g . (k_gi + T_A(i)_g), divided by sqrt(D) with `norm`
        o_g = sum over i of p_gi (v_gi + T_C(i)_g);  o is all heads side by side
        u <- one of `hopline.model.state_maps`

    After the last hop u <- LN(u) with `norm`, by a norm of its own.  All weights are shared by all hops.

    Args:
        memory: M.
        hops: K.
        heads: G; must divide E.
        norm: layer norms, and states that are added to rather than replaced.
        state_map: a key of `STATE_MAPS`.
        map_width: R, of the two-layer map; 0 for 2 E.
        init_stddev: standard deviation of the normal start of T_A, T_C and the paper's H.
        time: T_A and T_C, see `hopline.model.temporal`.

    Call arguments:
        keys_BLE, values_BLE: of every token.
        visible_BTM: see `visible_slots`.
        state_BTE: the first state u_0, or None for the paper's.
        drop: in training, what drops units of "read" and of "map".

    Returns:
        The last state u, state_BTE.
    """

    def __init__(
        self,
        memory: int,
        hops: int,
        *,
        heads: int = 1,
        norm: bool = False,
        state_map: str = "half_relu",
        map_width: int = 0,
        init_stddev: float = 0.05,
        time: str = "learned",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if state_map not in STATE_MAPS:
            raise ValueError(f"state_map is {state_map!r}, but must be one of {tuple(STATE_MAPS)}")
        self.memory = memory
        self.hops = hops
        self.heads = heads
        self.norm = norm
        self.state_map = state_map
        self.map_width = map_width
        self.init_stddev = init_stddev
        self.time = time

    def build(self, keys_shape: tuple[Any, ...], *_: object) -> None:
        width = keys_shape[-1]
        if width % self.heads:
            raise ValueError(f"heads is {self.heads}, but must divide the width {width}")
        words_stddev = 1.0 if self.norm else self.init_stddev
        self.key_time_ME, self.value_time_ME = temporal_encodings(
            self, self.time, (self.memory, width), self.init_stddev, words_stddev
        )
        self.map = STATE_MAPS[self.state_map](
            norm=self.norm,
            hidden=self.map_width or 2 * width,
            init_stddev=self.init_stddev,
            dtype=self.dtype_policy,
            name="map",
        )
        self.map.build((None, None, width))
        if self.norm:
            self.ask_norm = LayerNorm(dtype=self.dtype_policy, name="ask_norm")
            self.last_norm = LayerNorm(dtype=self.dtype_policy, name="last_norm")
            self.ask_norm.build((None, None, width))
            self.last_norm.build((None, None, width))

    def call(
        self,
        keys_BLE: keras.KerasTensor,
        values_BLE: keras.KerasTensor,
        visible_BTM: keras.KerasTensor,
        state_BTE: keras.KerasTensor | None = None,
        drop: Drop = keep_all,
    ) -> keras.KerasTensor:
        return self._all_hops(keys_BLE, values_BLE, visible_BTM, state_BTE, drop)[0]

    def attention(
        self,
        keys_BLE: keras.KerasTensor,
        values_BLE: keras.KerasTensor,
        visible_BTM: keras.KerasTensor,
        state_BTE: keras.KerasTensor | None = None,
    ) -> list[keras.KerasTensor]:
        """What every hop reads, the mean over its heads: K times probs_BTM in float32, 0 in slots not visible."""
        _, probs = self._all_hops(keys_BLE, values_BLE, visible_BTM, state_BTE, keep_all)
        return [ops.mean(probs_GBTM, axis=0) for probs_GBTM in probs]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "memory": self.memory,
            "hops": self.hops,
            "heads": self.heads,
            "norm": self.norm,
            "state_map": self.state_map,
            "map_width": self.map_width,
            "init_stddev": self.init_stddev,
            "time": self.time,
        }

    def _all_hops(
        self,
        keys_BLE: keras.KerasTensor,
        values_BLE: keras.KerasTensor,
        visible_BTM: keras.KerasTensor,
        state_BTE: keras.KerasTensor | None,
        drop: Drop,
    ) -> tuple[keras.KerasTensor, list[keras.KerasTensor]]:
        """The last state, and every hop's probs_GBTM."""
        if state_BTE is None:
            state_BTE = ops.full_like(keys_BLE[:, : visible_BTM.shape[1]], FIRST_STATE)
        memory = self._heads(keys_BLE), self._heads(values_BLE)
        places = self._places(self.key_time_ME), self._places(self.value_time_ME)
        scale = (state_BTE.shape[-1] // self.heads) ** -0.5
        probs = []
        for hop in range(self.hops):
            asked_BTE = self.ask_norm(state_BTE) * scale if self.norm else state_BTE
            output_GBTD, probs_GBTM = read_slots(self._heads(asked_BTE), *memory, *places, visible_BTM=visible_BTM)
            output_BTE = drop("read", self._side_by_side(output_GBTD), hop=hop)
            state_BTE = self.map(state_BTE, output_BTE, drop=drop, hop=hop)
            probs.append(probs_GBTM)
        return self.last_norm(state_BTE) if self.norm else state_BTE, probs

    def _heads(self, units_BTE: keras.KerasTensor) -> keras.KerasTensor:
        """units_GBTD."""
        _, length, width = units_BTE.shape
        units_BTGD = ops.reshape(units_BTE, (-1, length, self.heads, width // self.heads))
        return ops.transpose(units_BTGD, (2, 0, 1, 3))

    def _side_by_side(self, units_GBTD: keras.KerasTensor) -> keras.KerasTensor:
        """The inverse of `_heads`: units_BTE."""
        heads, _, length, units = units_GBTD.shape
        return ops.reshape(ops.transpose(units_GBTD, (1, 2, 0, 3)), (-1, length, heads * units))

    def _places(self, time_ME: Encoding) -> keras.KerasTensor:
        """T_A or T_C for each head, time_GMD."""
        return self._heads(ops.cast(time_ME, self.compute_dtype)[None])[:, 0]
