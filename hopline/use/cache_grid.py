"""Neural caches of many settings on one text, computed together: what `hopline.use.cache` gives for each of them."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hopline.use.cache import CacheConfig

Floats = npt.NDArray[np.float32]
_BLOCK = 256  # words whose likeness to those before is computed together


def mean_nll(
    states: Floats,
    ids: npt.NDArray[np.int64],
    nll: Floats,
    *,
    windows: Sequence[int],
    flatnesses: Sequence[float],
    weights: Sequence[float],
) -> list[tuple[CacheConfig, float]]:
    """The mean negative log-likelihood in nats of a document with each cache, the best first.

    Args:
        states: shape (N, F), of the document's words.
        ids: shape (N,), theirs.
        nll: shape (N,), the model's, in nats.
        windows: how many words back caches reach.
        flatnesses: how much more a similar state counts.
        weights: shares of the probability.
    """
    model = np.exp(-nll.astype(np.float64))
    rows = []
    for window, flatness, cached, held in _cached(states, ids, sorted(set(windows)), flatnesses):
        for weight in weights:
            share = np.where(held, weight, 0.0)
            with np.errstate(divide="ignore"):
                mean = float(-np.log((1 - share) * model + share * cached).mean())
            rows.append((CacheConfig(window, weight, flatness), mean))
    return sorted(rows, key=lambda row: row[1])


def _cached(
    states: Floats, ids: npt.NDArray[np.int64], windows: list[int], flatnesses: Sequence[float]
) -> Iterator[tuple[int, float, npt.NDArray[np.float64], npt.NDArray[np.bool_]]]:
    """For each window and flatness: what the cache alone gives each word, and whether it holds any; each (N,).

    The products of states are the same for all, and a window is the sum of the rings of words between it and the next
    smaller one.
    """
    count, most = len(ids), min(windows[-1], max(1, len(ids) - 1))
    ends = [min(window, most) for window in windows]
    states = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
    keys = np.concatenate([np.zeros((most, states.shape[1]), np.float32), states])
    words = np.concatenate([np.full(most, -1), ids])
    sums = np.zeros((2, len(flatnesses), len(windows), count))  # of the word itself, and of all
    for start in range(0, count, _BLOCK):
        own = ids[start : start + _BLOCK]
        size = len(own)
        likeness = np.ascontiguousarray(states[start : start + size] @ keys[start : start + most + size].T)
        row, column = likeness.strides
        # Row i, column j: word i of the block and the word `most - j` places before it.
        band = np.lib.stride_tricks.as_strided(likeness, (size, most), (row + column, column), writeable=False)
        seen = np.lib.stride_tricks.sliding_window_view(words[start : start + most + size - 1], most)
        near = np.where(seen >= 0, band, -np.inf)[:, ::-1]  # the nearest first
        hits = (seen == own[:, None])[:, ::-1]
        highest = near.max(axis=1, keepdims=True)
        near = near - np.where(np.isfinite(highest), highest, 0.0)
        rings = [0, *ends[:-1]]
        for place, flatness in enumerate(flatnesses):
            shares = np.where(np.isfinite(near), np.exp(np.float32(flatness) * np.maximum(near, -4.0)), 0.0)
            for kind, values in enumerate((np.where(hits, shares, 0.0), shares)):
                sums[kind, place, :, start : start + size] = _ring_sums(values, rings).cumsum(axis=1).T
    for place, flatness in enumerate(flatnesses):
        for number, window in enumerate(windows):
            hit, total = sums[0, place, number], sums[1, place, number]
            yield window, flatness, np.divide(hit, total, out=np.zeros(count), where=total > 0), total > 0


def _ring_sums(values: npt.NDArray[np.float32], starts: list[int]) -> npt.NDArray[np.float64]:
    """The sums of each row between the starts, (rows, rings); a ring that begins where the row ends is empty."""
    ends = [*starts[1:], values.shape[1]]
    return np.stack(
        [values[:, start:end].sum(axis=1, dtype=np.float64) for start, end in zip(starts, ends, strict=True)], axis=1
    )
