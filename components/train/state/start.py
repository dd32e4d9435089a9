"""Training that starts with a promoted model's weights.

They become the checkpoint of step 0 in the training folder: workers load it as any other, wherever they run, and a
run that was killed goes on from a later one.
"""

from pathlib import Path
from typing import Any

from components.train.state import checkpoint
from hopline import artifacts
from hopline.artifacts import Manifest
from hopline.config.model import ModelConfig
from hopline.config.section import require
from hopline.config.train import TrainConfig
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.schema import MODEL_FILE, VOCABULARY_FILE

# The keys of [model] that two models must share.
_SHAPE = (
    "width", "hops", "memory", "tie", "factor", "bias", "heads", "norm", "state_map", "map_width", "query",
    "query_words", "projections", "slot_words", "time",
)  # fmt: skip


def promoted_model(registry: str, model_id: str, examples: Manifest, model_config: ModelConfig, copy: Path) -> Path:
    """The folder of the model to start with.

    Args:
        registry: where the model is or was champion.
        model_id: of its manifest.
        examples: manifest of what is trained on.
        model_config: the shape of what is trained.
        copy: where to copy the model to, if it is in an object store.

    Raises:
        UserError: the model is missing or damaged, or has another vocabulary or shape, which is named.
    """
    promoted = Registry(registry)
    version = promoted.version(model_id)
    manifest, _ = promoted.read(version, VOCABULARY_FILE)
    require_same_model(f"champion {version}", manifest, examples, model_config)
    folder = promoted.fetch(version, copy, "train")
    if artifacts.verify(folder, manifest.kind).id != model_id:
        raise UserError(
            f"{promoted.location(version)} is not model {model_id}",
            remedy=f"restore it from a copy, or go back: `hopline models rollback --registry {registry}`",
        )
    return folder


def require_same_model(name: str, other: Manifest, examples: Manifest, model_config: ModelConfig) -> None:
    """Raises `UserError` unless the promoted model `other` has the vocabulary of `examples` and the shape to train."""
    require(
        other.files[VOCABULARY_FILE] == examples.files[VOCABULARY_FILE],
        f'train.start is "champion", but the vocabulary of {name} ({other.facts["vocabulary_size"]:,} words) is '
        f"not that of the examples ({examples.facts['vocabulary_size']:,} words)",
        'set preprocess.vocabulary = "champion", or train.start = "random"',
    )
    mine = model_config.to_dict()
    theirs = {**ModelConfig().to_dict(), **other.config["model"]}  # an older one's manifest does not name newer options
    # Embedded words are divided by it, or sinusoids multiplied with it.
    scaled = model_config.norm or model_config.time == "sinusoidal"
    shape = (*_SHAPE, "init_stddev") if scaled else _SHAPE
    differing = [key for key in shape if mine[key] != theirs[key]]
    require(
        not differing,
        f'train.start is "champion", but {name} has '
        + ", ".join(f"{key} = {theirs[key]} where model.{key} is {mine[key]}" for key in differing),
        f'set {" and ".join(f"model.{key}" for key in differing)} to the champion\'s, or train.start = "random"',
    )


def save_start(model: Path, config: TrainConfig, training: Path) -> Path:
    """Gives the folder `training` its first checkpoint, which is returned.

    It has the weights in the folder `model`, and a fresh optimizer.
    """
    import tensorflow as tf

    # Hide the GPUs in this process only: an environment variable would be inherited by the workers, which need them.
    tf.config.set_visible_devices([], "GPU")

    import keras

    import hopline.model.network  # noqa: F401  registers MemoryNetwork, so that load_model finds it

    return save_first(keras.saving.load_model(model / MODEL_FILE, compile=False), config, training)


def save_first(network: Any, config: TrainConfig, training: Path) -> Path:
    """Gives the folder `training` its first checkpoint, which is returned: the network's weights, a fresh optimizer."""
    import tensorflow as tf

    from components.train.loop.optimizers import make_optimizers
    from components.train.state.weights import arrays

    optimizers = make_optimizers(config, network, steps_per_epoch=1)  # in whatever unit, they keep as many slots
    pairs = zip(network.trainable_variables, optimizers, strict=True)
    slots = [tf.zeros(variable.shape) for variable, optimizer in pairs for _ in range(optimizer.slots)]
    current = {**arrays("model", network.variables), **arrays("slot", slots)}
    state = checkpoint.TrainState(learning_rate=config.learning_rate)
    return checkpoint.save(training / checkpoint.FOLDER, checkpoint.Checkpoint(state, current, best={}))
