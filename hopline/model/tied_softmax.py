"""An output layer for any Keras model whose matrix is the table of the model's own Embedding layer.

The tie is kept as a *name*, and the layer of that name is looked for in the graph that leads to this layer: wherever
Keras makes the graph anew (`clone_model`, loading `.keras`), the new output layer finds the new table.  A layer that
keeps the other layer, or its variable, cannot be described by a configuration: Keras then fails to load the model, or
loads two tables for one (docs/questions/2-tied-softmax.md).

Shape suffixes: H the width of what comes in, E the table's, V the vocabulary.
"""

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="hopline")
class TiedSoftmax(keras.layers.Layer):
    """Probabilities of words: activation(x M W^T + b), where W is the table of an Embedding layer before this one.

    The table is the Embedding layer's weight and stays so: freezing that layer freezes it, and it is counted and saved
    once.  This layer's own weights are the map M and the bias b.  A mask goes through.  The result is float32 in mixed
    precision too: a softmax over many words has nothing to spare.

    Args:
        tied_to: the layer with the table (`keras.layers.Embedding`, or any that has `embeddings`, V x E), or its name.
            In a functional or sequential model it must come before this layer; in a model of one's own, pass the layer.
        activation: as in `keras.layers.Dense`; None gives logits.
        use_bias: one number per word, from 0.
        use_map: a matrix M from the width of what comes in to the table's, H x E; None for one where they differ.

    Call arguments:
        units: floating-point numbers, (..., H).

    Returns:
        (..., V).

    Raises:
        ValueError: the layer does not come before this one, has no table, or the widths differ without a map.
    """

    def __init__(
        self,
        tied_to: keras.layers.Layer | str,
        *,
        activation: Any = "softmax",
        use_bias: bool = False,
        use_map: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.tied_to = tied_to if isinstance(tied_to, str) else tied_to.name
        # Held out of sight of Keras: the table's owner saves, counts and freezes it.
        self._found = _Found(None if isinstance(tied_to, str) else tied_to)
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.use_map = use_map
        self.map_HE = self.bias_V = None
        self.supports_masking = True

    def __call__(self, units: Any, *args: Any, **kwargs: Any) -> Any:
        """Finds the table's layer the first time that the layer becomes part of a graph."""
        if isinstance(units, keras.KerasTensor):
            before = [layer for layer in _layers_before(units) if layer.name == self.tied_to]
            given = self._found.layer
            if not before or (given is not None and given not in before):
                raise ValueError(
                    f'{self.name} is tied to "{self.tied_to}", but no layer of that name comes before it: pass an '
                    "Embedding layer whose output leads to this layer's input"
                )
            self._found.layer = given or before[0]
        return super().__call__(units, *args, **kwargs)

    def build(self, units_shape: tuple[Any, ...]) -> None:
        words, width = self._table().shape
        differ = units_shape[-1] != width
        if differ and self.use_map is False:
            raise ValueError(
                f"{self.name} is given {units_shape[-1]} units, but the table of {self.tied_to} is {width} wide: "
                "leave use_map out, or make them equal"
            )
        if self.use_map or (self.use_map is None and differ):
            self.map_HE = self.add_weight(shape=(units_shape[-1], width), initializer="glorot_uniform", name="map")
        if self.use_bias:
            self.bias_V = self.add_weight(shape=(words,), initializer="zeros", autocast=False, name="bias")
        self.built = True

    def call(self, units: keras.KerasTensor) -> keras.KerasTensor:
        units = ops.cast(units, self.compute_dtype)
        if self.map_HE is not None:
            units = ops.matmul(units, ops.cast(self.map_HE, self.compute_dtype))
        table_VE = ops.cast(self._table(), self.compute_dtype)
        logits = ops.cast(ops.matmul(units, ops.transpose(table_VE)), "float32")
        if self.bias_V is not None:
            logits = logits + ops.cast(self.bias_V, "float32")
        return self.activation(logits)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; the tie is a name."""
        return {
            **super().get_config(),
            "tied_to": self.tied_to,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "use_map": self.use_map,
        }

    def get_build_config(self) -> None:
        """Keras is not to build the layer before it is part of a graph: nobody knows the table before that."""
        return

    def _table(self) -> Any:
        """The table, V x E."""
        layer = self._found.layer
        if layer is None:
            raise ValueError(
                f'{self.name} knows of "{self.tied_to}" only the name: outside of a functional or sequential model, '
                "pass the layer itself"
            )
        if getattr(layer, "embeddings", None) is None:
            raise ValueError(f'{self.name} is tied to "{layer.name}", which has no table yet, or is no Embedding layer')
        return layer.embeddings


class _Found:
    """Holds a layer out of sight of Keras, which takes layers in attributes and in lists for parts of their owner."""

    def __init__(self, layer: keras.layers.Layer | None) -> None:
        self.layer = layer


def _layers_before(tensor: keras.KerasTensor) -> Iterator[keras.layers.Layer]:
    """All layers, those inside of models too, that had a part in `tensor`."""
    waiting, seen = [tensor], set()
    while waiting:
        history = getattr(waiting.pop(), "_keras_history", None)
        if history is None or (history.operation, history.node_index) in seen:
            continue
        seen.add((history.operation, history.node_index))
        if isinstance(history.operation, keras.layers.Layer):
            yield from history.operation._flatten_layers()
        waiting += history.operation._inbound_nodes[history.node_index].input_tensors
