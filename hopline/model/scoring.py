"""Negative log-likelihoods and what is said with them.  Every token of a stream is scored exactly once."""

import math
from collections.abc import Callable, Iterator

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from hopline.model.network import Drop, keep_all
from hopline.model.streams import TokenStream
from hopline.schema import PAD

SCORING_SEQUENCES = 16  # windows scored at once
LOGITS_AT_ONCE = 8 << 20  # numbers, 32 MiB
_LEAST_TARGETS = 256  # whose logits are computed together at least: with fewer, a product only reads W


def window_nll(model: keras.Model, windows_BS: tf.Tensor, drop: Drop = keep_all) -> tf.Tensor:
    """Negative log-likelihood of every target of `windows_BS` in nats, nll_BT; 0 where the target is padding.

    The probabilities are those of the words: of all but `PAD`, which is none, they sum to one.  (Training's softmax has
    `PAD` among them and teaches the model to expect it nowhere.)

    Args:
        model: a `MemoryNetwork`.
        windows_BS: ids, the M tokens of look-behind and the T targets (S = M + T), see `TokenStream.windows`.
        drop: dropout, in training.
    """
    targets_BT = windows_BS[:, model.memory :]
    states_BTF = model.output_states(windows_BS[:, :-1], drop)
    states_NF, targets_N = tf.reshape(states_BTF, [-1, states_BTF.shape[-1]]), tf.reshape(targets_BT, [-1])
    return tf.reshape(_nll(model, states_NF, targets_N), tf.shape(targets_BT))


def chunk_size(vocabulary_size: int) -> int:
    """Of how many targets the logits are computed together in scoring: `LOGITS_AT_ONCE` numbers, or few rows."""
    return max(_LEAST_TARGETS, LOGITS_AT_ONCE // vocabulary_size)


def _nll(model: keras.Model, states_NF: tf.Tensor, targets_N: tf.Tensor) -> tf.Tensor:
    """nll_N, a chunk of C targets at a time, so that the logits of all targets never exist at the same time."""
    words = slice(PAD + 1, None)  # PAD is the first id
    table_WF = tf.cast(model.logit_table_VF, states_NF.dtype)[words]
    bias_W = 0.0 if model.logit_bias_V is None else tf.cast(model.logit_bias_V, tf.float32)[words]

    def chunk_nll(chunk: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        states_CF, targets_C = chunk
        logits_CW = tf.cast(tf.matmul(states_CF, table_WF, transpose_b=True), tf.float32) + bias_W
        labels_C = tf.maximum(targets_C - (PAD + 1), 0)
        nll_C = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels_C, logits=logits_CW)
        return tf.where(tf.equal(targets_C, PAD), 0.0, nll_C)

    size, static = chunk_size(model.vocabulary_size), targets_N.shape[0]
    if static is not None and static <= size:
        return chunk_nll((states_NF, targets_N))
    count = tf.size(targets_N) if static is None else static
    chunks = -(-count // size)
    missing = chunks * size - count
    states_XCF = tf.reshape(tf.pad(states_NF, [[0, missing], [0, 0]]), [chunks, size, states_NF.shape[-1]])
    targets_XC = tf.reshape(tf.pad(targets_N, [[0, missing]], constant_values=PAD), [chunks, size])
    found = tf.TensorSpec([size], tf.float32)
    nll_XC = tf.map_fn(chunk_nll, (states_XCF, targets_XC), fn_output_signature=found, parallel_iterations=1)
    return tf.reshape(nll_XC, [-1])[:count]


def scoring_windows(
    stream: TokenStream, memory: int, targets: int, sequences: int = SCORING_SEQUENCES
) -> Iterator[npt.NDArray[np.int32]]:
    """Windows side by side that cover the stream once, in batches of `sequences`; the last is filled with padding."""
    step = sequences * targets
    for first in range(0, len(stream.ids), step):
        yield stream.windows(np.arange(first, first + step, targets), memory, targets)


def score_stream(
    model: keras.Model, stream: TokenStream, targets: int, report: Callable[[int], None] = lambda done: None
) -> npt.NDArray[np.float32]:
    """Scores every token of the stream once, with all the memory that its document allows.

    Args:
        model: a `MemoryNetwork`.
        stream: what to score.
        targets: T, consecutive targets computed together; it does not change the numbers.
        report: called with the number of tokens done so far.

    Returns:
        Shape (stream.targets,): negative log-likelihoods in nats, in the stream's order.
    """
    compiled = tf.function(window_nll, jit_compile=True)
    parts = []
    done = 0
    for windows in scoring_windows(stream, model.memory, targets):
        real = windows[:, model.memory :] != PAD
        parts.append(compiled(model, windows).numpy()[real])
        done += len(parts[-1])
        report(done)
    return np.concatenate(parts)


def perplexity(mean_nll: float) -> float:
    """Exp of the mean negative log-likelihood in nats; infinite where that overflows."""
    try:
        return math.exp(mean_nll)
    except OverflowError:
        return math.inf
