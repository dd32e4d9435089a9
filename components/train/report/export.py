"""The trained model as files: `.keras` weights, and a SavedModel that takes raw text.

The SavedModel needs nothing of ours at serving: TensorFlow alone loads it, and the transform graph that tokenised the
training text travels inside it.
"""

from pathlib import Path

import tensorflow as tf

from hopline.model.network import MemoryNetwork
from hopline.model.scoring import SCORING_SEQUENCES, window_nll
from hopline.schema import PAD, SAVED_MODEL_FOLDER

MODEL_FILE = "model.keras"


def text_scorer(model: MemoryNetwork, transform: Path, targets: int) -> tf.Module:
    """A module with one function, `score(text)`: transform graph, windows, model.

    The model itself is captured and not an attribute, because saving would trace a Keras model's own call too.

    Args:
        model: the trained model.
        transform: folder of the transform graph (`hopline.schema`).
        targets: T, consecutive targets computed together; it does not change the numbers.
    """
    module = tf.Module(name="text_scorer")
    module.weights = [variable.value for variable in model.variables]  # tracked, so that they are saved
    module.transform = tf.saved_model.load(str(transform))

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def score(text: tf.Tensor) -> dict[str, tf.Tensor]:
        """Scores D whole documents, every token once and with all the memory that its document allows.

        Args:
            text: shape (D,), UTF-8; every newline is the word `<eos>`.

        Returns:
            For the N tokens of all documents in order: nll (N,), negative log-likelihood in nats, float32; ids (N,),
            int64; words (N,), as in the text. row_splits (D + 1,) says where documents begin and end.
        """
        encoded = module.transform.transform_fn({"text": text})
        tokens = encoded["tokens"]
        pads = tf.fill([tokens.nrows(), 1], tf.constant(PAD, tokens.dtype))
        stream = tf.cast(tf.concat([pads, tokens], axis=1).flat_values, tf.int32)  # as `TokenStream.ids`
        return {
            "nll": tf.boolean_mask(_stream_nll(model, stream, targets), stream != PAD),
            "ids": tokens.flat_values,
            "words": encoded["words"].flat_values,
            "row_splits": tokens.row_splits,
        }

    module.score = score
    return module


def _stream_nll(model: MemoryNetwork, stream: tf.Tensor, targets: int) -> tf.Tensor:
    """Negative log-likelihood at every position of the stream, 0 at padding."""
    length = tf.size(stream)
    windows = -(-length // targets)
    at_once = tf.clip_by_value(windows, 1, SCORING_SEQUENCES)
    groups = -(-windows // at_once)
    padded = tf.pad(stream, [[model.memory, groups * at_once * targets - length]], constant_values=PAD)
    starts = tf.reshape(tf.range(groups * at_once) * targets, [groups, at_once])
    span = tf.range(model.memory + targets)

    def group_nll(starts_B: tf.Tensor) -> tf.Tensor:
        return window_nll(model, tf.gather(padded, starts_B[:, None] + span))

    nll = tf.map_fn(
        group_nll,
        starts,
        fn_output_signature=tf.TensorSpec([None, targets], tf.float32),
        parallel_iterations=1,  # the logits of one group at a time
    )
    return tf.reshape(nll, [-1])[:length]


def export(model: MemoryNetwork, transform: Path, targets: int, folder: Path) -> None:
    """Writes `model.keras` and `saved_model/` into `folder`."""
    model.save(folder / MODEL_FILE)
    scorer = text_scorer(model, transform, targets)
    signatures = {"score": scorer.score, "serving_default": scorer.score}
    tf.saved_model.save(scorer, str(folder / SAVED_MODEL_FOLDER), signatures=signatures)
