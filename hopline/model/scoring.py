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

SCORING_SEQUENCES = 16  # windows scored at once; bounds the logits to 16 T V numbers


def window_nll(model: keras.Model, windows_BS: tf.Tensor, drop: Drop = keep_all) -> tf.Tensor:
    """Negative log-likelihood of every target of `windows_BS` in nats, nll_BT; 0 where the target is padding.

    Args:
        model: a `MemoryNetwork`.
        windows_BS: ids, the M tokens of look-behind and the T targets (S = M + T), see `TokenStream.windows`.
        drop: dropout, in training.
    """
    targets_BT = windows_BS[:, model.memory :]
    logits_BTV = model(windows_BS[:, :-1], drop=drop)
    nll_BT = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets_BT, logits=logits_BTV)
    return tf.where(tf.equal(targets_BT, PAD), 0.0, nll_BT)


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
