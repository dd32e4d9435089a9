"""The memory network of one target at a time in NumPy, float64, straight from the paper's equations.

Sukhbaatar et al. 2015: (1) p = Softmax(u^T m), (2) o = sum p c, (3) softmax(W(o + u)) with u <- H u + o between hops
(section 2.2, layer-wise), temporal encoding T_A and T_C (section 4.1), ReLU on half of the units (section 5).
Nothing here is shared with the program under test.
"""

import numpy as np

PAD = 0


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def read_memory(memory, *, A, C, T_A, T_C, H, hops, P=None):
    """What the hops make of `memory`: the last u, E numbers, and K rows of p over all M slots.

    Args:
        memory: M ids, oldest first; everything up to the last PAD is no memory, and its p is 0.
        A, C: vocabulary tables, V x E, or V x F with a projection P of F x E.
        T_A, T_C: M x E.  H: E x E, applied to a row vector from the right.
    """
    if P is not None:
        A, C = A @ P, C @ P
    width = H.shape[0]
    u = np.full(width, 0.1)
    pads = [i for i, token in enumerate(memory) if token == PAD]
    slots = range(pads[-1] + 1 if pads else 0, len(memory))
    attention = np.zeros((hops, len(memory)))
    for hop in range(hops):
        o = np.zeros(width)
        if len(slots) > 0:
            m = np.array([A[memory[i]] + T_A[i] for i in slots])
            c = np.array([C[memory[i]] + T_C[i] for i in slots])
            p = softmax(m @ u)
            attention[hop, list(slots)] = p
            o = p @ c
        u = u @ H + o
        u = np.concatenate([u[: width // 2], np.maximum(u[width // 2 :], 0)])
    return u, attention


def next_word_logits(memory, *, W, P=None, b=None, **hop):
    """Logits over the vocabulary for the word that follows `memory`.

    Args:
        W: vocabulary table like A and C.  b: V.
        memory, P, hop: see `read_memory`.
    """
    u, _ = read_memory(memory, P=P, **hop)
    logits = (W if P is None else W @ P) @ u
    return logits if b is None else logits + b
