"""The model at its start, and between its variables and the arrays of a checkpoint."""

import keras
import numpy as np
import numpy.typing as npt

from components.train.state.checkpoint import Arrays
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.model.network import MemoryNetwork


def build_model(model_config: ModelConfig, vocabulary_size: int, config: TrainConfig) -> MemoryNetwork:
    """The model at its start, built; weights are a function of `config.seed`.  Set the precision before."""
    keras.utils.set_random_seed(config.seed)
    model = MemoryNetwork(vocabulary_size=vocabulary_size, name="memory_network", **model_config.network())
    model.build((None, model_config.memory + config.targets - 1))
    return model


def set_weights(model: MemoryNetwork, weights: Arrays) -> None:
    """Puts a checkpoint's weights into the model."""
    for name, variable in named("model", model.variables):
        variable.assign(weights[name])


def named(prefix: str, variables: list[keras.Variable]) -> list[tuple[str, keras.Variable]]:
    """The variables by their names in a checkpoint; `prefix` is "model" or "slot"."""
    return [(f"{prefix}.{index:03}", variable) for index, variable in enumerate(variables)]


def arrays(prefix: str, variables: list[keras.Variable]) -> dict[str, npt.NDArray[np.generic]]:
    """The variables' values as a checkpoint has them, by the same names."""
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named(prefix, variables)}
