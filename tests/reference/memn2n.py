"""The memory network of one target at a time in NumPy, float64, straight from the equations.

Sukhbaatar et al. 2015: (1) p = Softmax(u^T m), (2) o = sum p c, (3) softmax(W(o + u)) with u <- H u + o between hops
(section 2.2, layer-wise), temporal encoding T_A and T_C (section 4.1), ReLU on half of the units (section 5).
The options of a hop are those of docs/network.md.  Nothing here is shared with the program under test.
"""

import numpy as np

PAD = 0


def softmax(scores):
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def half_relu(units):
    return np.where(np.arange(len(units)) < len(units) // 2, units, np.maximum(units, 0))


def layer_norm(units, gain, shift):
    return (units - units.mean()) / np.sqrt(units.var() + 1e-5) * gain + shift


def embed(table, token, *, P=None, scale=1.0, **_):
    """The row of a token; padding, which no slot and no question holds, is the zero vector."""
    row = scale * table[token] * (token != PAD)
    return row if P is None else row @ P


def slots_of(memory, table, *, f=None, projection=None, **options):
    """One vector for each slot of `memory`, of which the first len(f) - 1 words are only neighbours.

    The memory has no padding but at its start: what was before the last padding is no part of the document.
    """
    rows = np.array([embed(table, token, **options) for token in memory])
    if f is not None:
        n = len(f)
        rows = np.array([sum(f[j] * rows[i - j] for j in range(n)) for i in range(n - 1, len(memory))])
    return rows if projection is None else rows @ projection


def first_state(memory, width, *, A, q=None, Q=None, **options):
    """u_0: the paper's 0.1, a learned vector, or that and the last words' embeddings through a matrix each."""
    if q is None:
        return np.full(width, 0.1)
    last = [embed(A, token, **options) for token in memory[::-1][: 0 if Q is None else len(Q)]]
    return q + sum((x @ Q_j for x, Q_j in zip(last, [] if Q is None else Q, strict=True)), np.zeros(width))


def next_state(u, o, *, H=None, G=None, cg=None, W1=None, c1=None, W2=None, c2=None, map_norm=None, norms=None, **_):
    """What becomes of the state u after o was read: by a two-layer map, by a gate, or the paper's H."""
    if W1 is not None:
        u = u + o
        a = u if map_norm is None else layer_norm(u, *map_norm)
        return u + np.maximum(a @ W1 + c1, 0) @ W2 + c2
    if G is not None:
        u = u + o
        a = u if map_norm is None else layer_norm(u, *map_norm)
        gate = 1 / (1 + np.exp(-(a @ G + cg)))
        return gate * np.maximum(a @ H, 0) + (1 - gate) * u
    m = half_relu(u @ H + o)
    return m if norms is None else u + m


def sinusoids(slots, width):
    """The places of slots by Vaswani et al. 2017, section 3.5; the last slot is one word back."""
    places = np.zeros((slots, width))
    for slot in range(slots):
        for unit in range(width):
            angle = (slots - slot) / 10000 ** (2 * (unit // 2) / width)
            places[slot, unit] = np.cos(angle) if unit % 2 else np.sin(angle)
    return places


def read_memory(
    memory, *, A, C, T_A, T_C, hops, heads=1, norms=None, f_K=None, f_V=None, P_K=None, P_V=None, **options
):
    """What the hops make of `memory`: the last u, E numbers, and K rows of p over the slots, the mean of all heads.

    Args:
        memory: M ids, oldest first; everything up to the last PAD is no memory, and its p is 0.
        A, C: vocabulary tables, V x E, or V x F with projections.
        T_A, T_C: one row of E for each slot; zeros for a memory without order.
        norms: gain and shift of the norm before asking, and of the norm of the last state; None without norms.
        f_K, f_V: filters over the words of a slot, n x E.  P_K, P_V: projections of slots.
        options: of `embed` (P, scale), `first_state` (q, Q) and `next_state`; matrices are applied to a row vector
            from the right.
    """
    pads = [i for i, token in enumerate(memory) if token == PAD]
    memory = [PAD if pads and i <= pads[-1] else token for i, token in enumerate(memory)]
    keys, values = (
        slots_of(memory, A, f=f_K, projection=P_K, **options) + T_A,
        slots_of(memory, C, f=f_V, projection=P_V, **options) + T_C,
    )
    width, lost = T_A.shape[1], len(memory) - len(T_A)
    visible = [i for i in range(len(T_A)) if memory[i + lost] != PAD]
    u = first_state(memory, width, A=A, **options)
    attention = np.zeros((hops, len(T_A)))
    for hop in range(hops):
        a = u if norms is None else layer_norm(u, *norms[0]) / np.sqrt(width / heads)
        o = np.zeros(width)
        if visible:
            for part in np.split(np.arange(width), heads):
                p = softmax(keys[visible][:, part] @ a[part])
                attention[hop, visible] += p / heads
                o[part] = p @ values[visible][:, part]
        u = next_state(u, o, norms=norms, **options)
    return u if norms is None else layer_norm(u, *norms[1]), attention


def next_word_logits(memory, *, W, P=None, P_O=None, b=None, **hop):
    """Logits over the vocabulary for the word that follows `memory`.

    Args:
        W: vocabulary table like A and C.  b: V.  P_O: E x F.
        memory, P, hop: see `read_memory`.
    """
    u, _ = read_memory(memory, P=P, **hop)
    if P_O is not None:
        u = u @ P_O
    logits = (W if P is None else W @ P) @ u
    return logits if b is None else logits + b
