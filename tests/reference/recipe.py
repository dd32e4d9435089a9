"""The authors' training recipe in NumPy, float64, one target at a time, with gradients derived by hand.

Their Torch program sums the loss over the batch, clips the gradient of that sum by its L2 norm over all parameters,
and takes a plain step: lr 0.01, clip 50, batch 128.  Nothing here is shared with the program under test.
"""

import numpy as np

from tests.reference.memn2n import softmax


def loss_and_gradients(memory, target, w, hops):
    """Negative log-likelihood of `target` after a full memory, and its gradients, for w = {A, C, W, T_A, T_C, H}."""
    width = w["H"].shape[0]
    m, c = w["A"][memory] + w["T_A"], w["C"][memory] + w["T_C"]
    u, trace = np.full(width, 0.1), []
    for _ in range(hops):
        p = softmax(m @ u)
        a = u @ w["H"] + p @ c
        trace.append((u, p, a))
        u = np.where(np.arange(width) < width // 2, a, np.maximum(a, 0))
    probs = softmax(w["W"] @ u)

    g = {name: np.zeros_like(value) for name, value in w.items()}
    d_logits = probs.copy()
    d_logits[target] -= 1
    g["W"] += np.outer(d_logits, u)
    d_u = w["W"].T @ d_logits
    d_m, d_c = np.zeros_like(m), np.zeros_like(c)
    for u, p, a in reversed(trace):
        d_a = d_u * np.where(np.arange(width) < width // 2, 1.0, a > 0)
        g["H"] += np.outer(u, d_a)
        d_c += np.outer(p, d_a)
        d_p = c @ d_a
        d_s = p * (d_p - p @ d_p)
        d_m += np.outer(d_s, u)
        d_u = w["H"] @ d_a + d_s @ m
    g["T_A"] += d_m
    g["T_C"] += d_c
    np.add.at(g["A"], memory, d_m)
    np.add.at(g["C"], memory, d_c)
    return -np.log(probs[target]), g


def train_step(memories, targets, w, *, hops, rate, clip):
    """One step on a batch, in place; the mean loss and the norm of the summed gradient before clipping."""
    total, g = 0.0, {name: np.zeros_like(value) for name, value in w.items()}
    for memory, target in zip(memories, targets, strict=True):
        loss, own = loss_and_gradients(memory, target, w, hops)
        total += loss
        for name in g:
            g[name] += own[name]
    norm = np.sqrt(sum((value**2).sum() for value in g.values()))
    for name in w:
        w[name] -= rate * g[name] * min(1.0, clip / norm)
    return total / len(targets), norm
