"""The loss of the output layer together with its gradient, a chunk of targets at a time.

With z = u W (+ b) and p = softmax z, the negative log-likelihood of word w is -log p_w, and its gradient with respect
to z is p - onehot(w).  So the gradients of u, W and b are products of p, and subtractions at the target words: p is
made once, used for all of them and dropped, and the numbers of all targets by all words never exist at the same time.

Matrix products and softmax are TensorFlow's own kernels rather than XLA's, which are a quarter slower here on a CPU
(docs/experiments.md).  A GPU has `fused_nll`: XLA makes one kernel of what surrounds the products there, and the target
words are told apart in it, where a scatter of TensorFlow whose order is to be the same each time goes through the host.
Shape suffixes are those of `hopline.model.network`; N targets.
"""

import math

import tensorflow as tf

from hopline.schema import PAD

NUMBERS_AT_ONCE = 8 << 20  # of the chunk's logits: 32 MiB, and as much again for p
FUSED_AT_ONCE = 128 << 20  # the same on a GPU: 512 MiB
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
    size, dtype = chunk_size(states_NF.shape[0], table_VF.shape[0], NUMBERS_AT_ONCE), states_NF.dtype
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


def fused_nll(
    states_NF: tf.Tensor, table_VF: tf.Tensor, bias_V: tf.Tensor | None = None, *, targets_N: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """The same as `summed_nll`, for a GPU; gradients of padding are 0."""
    size = chunk_size(states_NF.shape[0], table_VF.shape[0], FUSED_AT_ONCE)
    words_VF = tf.cast(table_VF, states_NF.dtype)
    of_chunk = tf.function(_fused_chunk, jit_compile=True)
    chunks = [slice(first, first + size) for first in range(0, states_NF.shape[0], size)]
    parts = [of_chunk(states_NF[chunk], words_VF, bias_V, targets_N[chunk]) for chunk in chunks]
    nll_sums, d_states, *d_weights = zip(*parts, strict=True)
    return tf.add_n(nll_sums), [tf.concat(d_states, 0), *(tf.add_n(d_weight) for d_weight in d_weights)]


def _fused_chunk(
    states_CF: tf.Tensor, words_VF: tf.Tensor, bias_V: tf.Tensor | None, targets_C: tf.Tensor
) -> list[tf.Tensor]:
    """Sum of the negative log-likelihoods, and its gradients with respect to u, W and, if there is one, b."""
    logits_CV = tf.cast(tf.matmul(states_CF, words_VF, transpose_b=True), tf.float32)
    if bias_V is not None:
        logits_CV += bias_V
    real_C1 = (targets_C != PAD)[:, None]
    at_target_CV = tf.range(words_VF.shape[0])[None] == targets_C[:, None]
    log_norm_C1 = tf.reduce_logsumexp(logits_CV, axis=-1, keepdims=True)
    target_CV = tf.where(at_target_CV & real_C1, log_norm_C1 - logits_CV, 0.0)
    d_logits_CV = tf.where(real_C1, tf.exp(logits_CV - log_norm_C1) - tf.cast(at_target_CV, tf.float32), 0.0)
    d_low_CV = tf.cast(d_logits_CV, states_CF.dtype)
    d_table_VF = tf.cast(tf.matmul(d_low_CV, states_CF, transpose_a=True), tf.float32)
    d_bias = [] if bias_V is None else [tf.reduce_sum(d_logits_CV, axis=0)]
    return [tf.reduce_sum(target_CV), tf.matmul(d_low_CV, words_VF), d_table_VF, *d_bias]


def chunk_size(targets: int, vocabulary_size: int, numbers: int) -> int:
    """How many targets are computed together: chunks of about the same size, whole rows of registers."""
    chunks = math.ceil(targets / max(LEAST_TARGETS, numbers // vocabulary_size))
    return _ROWS * math.ceil(targets / chunks / _ROWS)


def _target_nll(logits_CV: tf.Tensor, probs_CV: tf.Tensor, targets_C: tf.Tensor) -> tf.Tensor:
    """-log p of every target: from p, or where a p is too small for float32, from the logits."""
    target_probs_C = tf.gather(probs_CV, targets_C, batch_dims=1)

    def from_logits() -> tf.Tensor:
        return tf.reduce_logsumexp(logits_CV, axis=-1) - tf.gather(logits_CV, targets_C, batch_dims=1)

    return tf.cond(tf.reduce_min(target_probs_C) < _RARE, from_logits, lambda: -tf.math.log(target_probs_C))
