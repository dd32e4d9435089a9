"""The loss of the output layer together with its gradient, a chunk of targets at a time.

With z = u W (+ b) and p = softmax z, the negative log-likelihood of word w is -log p_w, and its gradient with respect
to z is p - onehot(w).  So the gradients of u, W and b are products of p, and subtractions at the target words: p is
made once, used for all of them and dropped, and the numbers of all targets by all words never exist at the same time.

Matrix products and softmax are TensorFlow's own kernels rather than XLA's, which are a quarter slower here on a CPU
(docs/experiments.md).  Shape suffixes are those of `hopline.model.network`; N targets.
"""

import math

import tensorflow as tf

from hopline.schema import PAD

NUMBERS_AT_ONCE = 8 << 20  # of the chunk's logits: 32 MiB, and as much again for p
_ROWS = 16  # of which a chunk is a multiple, but for the last
LEAST_TARGETS = 512  # below, a product spends its time on reading W
_RARE = 1e-30  # below, float32 begins to lose digits of a probability


def summed_nll(
    states_NF: tf.Tensor, table_VF: tf.Tensor, bias_V: tf.Tensor | None = None, *, targets_N: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Sum over the targets of -log softmax(u W^T + b)[target] in nats, and its gradients.

    Args:
        states_NF: u in the dtype to compute in (logits and probabilities are float32 in any case); zeros where the
            target is padding.
        table_VF: W.
        bias_V: b, or None for none.
        targets_N: ids; padding counts 0.

    Returns:
        The sum; the gradients with respect to u (meaningless where the target is padding), W and, if there is one, b.
    """
    size, dtype = chunk_size(states_NF.shape[0], table_VF.shape[0]), states_NF.dtype
    words_VF, real_N = tf.cast(table_VF, dtype), targets_N != PAD
    nll_sum, d_table_FV, d_bias_1V = tf.zeros([]), tf.zeros([]), tf.zeros([])
    d_states: list[tf.Tensor] = []
    ended: list[tf.Tensor] = []
    for first in range(0, states_NF.shape[0], size):
        chunk = slice(first, first + size)
        states_CF, targets_C, real_C = states_NF[chunk], targets_N[chunk], real_N[chunk]
        with tf.control_dependencies(ended):  # else chunks run side by side, and all logits exist at once after all
            logits_CV = tf.cast(tf.matmul(states_CF, words_VF, transpose_b=True), tf.float32)
        if bias_V is not None:
            logits_CV += bias_V
        probs_CV = tf.nn.softmax(logits_CV)
        nll_sum += tf.reduce_sum(tf.where(real_C, _target_nll(logits_CV, probs_CV, targets_C), 0.0))
        if bias_V is not None:
            d_bias_1V += tf.matmul(tf.cast(real_C[None], tf.float32), probs_CV)
        probs_CV = tf.cast(probs_CV, dtype)
        d_states.append(tf.matmul(probs_CV, words_VF) - tf.gather(words_VF, targets_C))
        # Transposed: a product whose result is wide takes two thirds of the time of one whose result is tall.
        d_table_FV += tf.cast(tf.matmul(states_CF, probs_CV, transpose_a=True), tf.float32)
        ended = [d_states[-1], d_table_FV]
    at_N1, states_NF = targets_N[:, None], tf.cast(states_NF, tf.float32)
    gradients = [tf.concat(d_states, 0), tf.tensor_scatter_nd_sub(tf.transpose(d_table_FV), at_N1, states_NF)]
    if bias_V is not None:
        gradients.append(tf.tensor_scatter_nd_sub(d_bias_1V[0], at_N1, tf.cast(real_N, tf.float32)))
    return nll_sum, gradients


def chunk_size(targets: int, vocabulary_size: int) -> int:
    """How many targets are computed together: chunks of about the same size, whole rows of registers."""
    chunks = math.ceil(targets / max(LEAST_TARGETS, NUMBERS_AT_ONCE // vocabulary_size))
    return _ROWS * math.ceil(targets / chunks / _ROWS)


def _target_nll(logits_CV: tf.Tensor, probs_CV: tf.Tensor, targets_C: tf.Tensor) -> tf.Tensor:
    """-log p of every target: from p, or where a p is too small for float32, from the logits."""
    target_probs_C = tf.gather(probs_CV, targets_C, batch_dims=1)

    def from_logits() -> tf.Tensor:
        return tf.reduce_logsumexp(logits_CV, axis=-1) - tf.gather(logits_CV, targets_C, batch_dims=1)

    return tf.cond(tf.reduce_min(target_probs_C) < _RARE, from_logits, lambda: -tf.math.log(target_probs_C))
