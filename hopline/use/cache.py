"""The neural cache (Grave, Joulin, Usunier 2017): a word becomes likelier where it stood after a similar state.

The state h_t predicts the word x_t.  Over the W words before t,

    p_cache(w) = sum over i with x_i = w of exp(flatness h_t . h_i), divided by that of all i
    p(w) = (1 - weight) p_model(w) + weight p_cache(w)

Here the states have length 1, which the paper's have not: one flatness then means the same for models of any size.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hopline.runtime.errors import UserError

_BLOCK = 128  # words mixed together; bounds the products to _BLOCK (W + _BLOCK) numbers


@dataclass(frozen=True)
class CacheConfig:
    """A neural cache.

    Attributes:
        window: W, how many words back it reaches.
        weight: its share of the probability, from 0 to below 1.
        flatness: how much more a similar state counts; 0 counts all words of the window alike.
    """

    window: int = 500
    weight: float = 0.1
    flatness: float = 10.0

    def __post_init__(self) -> None:
        rules = (
            ("window", 1 <= self.window <= 1_000_000, "from 1 to 1,000,000"),
            ("weight", 0 <= self.weight < 1, "from 0 to below 1"),
            ("flatness", 0 <= self.flatness < float("inf"), "0 or more"),
        )
        for name, kept, rule in rules:
            if not kept:
                raise UserError(f"the cache's {name} is {getattr(self, name)}, but must be {rule}", remedy="correct it")


class Cache:
    """The states and ids of a document's last words."""

    def __init__(self, config: CacheConfig) -> None:
        self._config = config
        self._states: npt.NDArray[np.float32] | None = None
        self._ids = np.zeros(0, np.int64)

    def mixed(
        self, states: npt.NDArray[np.float32], ids: npt.NDArray[np.int64], nll: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """The negative log-likelihoods with the cache mixed in; the words are in the cache afterwards.

        Args:
            states: (N, F), of the document's next N words.
            ids: (N,), theirs.
            nll: (N,), the model's, in nats.
        """
        config = self._config
        states = states / np.maximum(np.linalg.norm(states, axis=1, keepdims=True), 1e-9)
        old = np.zeros((0, states.shape[1]), np.float32) if self._states is None else self._states
        result = nll.astype(np.float64)
        for start in range(0, len(ids), _BLOCK):
            block, own = states[start : start + _BLOCK], ids[start : start + _BLOCK]
            keys = np.concatenate([old, block])[-(config.window + len(own)) :]
            words = np.concatenate([self._ids, own])[-(config.window + len(own)) :]
            first = len(words) - len(own)
            distance = first + np.arange(len(own))[:, None] - np.arange(len(words))
            seen = (distance > 0) & (distance <= config.window)
            scores = np.where(seen, config.flatness * (block @ keys.T), -np.inf)
            highest = scores.max(axis=1, keepdims=True)
            shares = np.exp(scores - np.where(np.isfinite(highest), highest, 0.0))
            total = shares.sum(axis=1)
            hits = np.where(words == own[:, None], shares, 0.0).sum(axis=1)
            cached = np.divide(hits, total, out=np.zeros(len(own)), where=total > 0)
            weight = np.where(total > 0, config.weight, 0.0)
            model = np.exp(-result[start : start + len(own)])
            with np.errstate(divide="ignore"):
                result[start : start + len(own)] = -np.log((1 - weight) * model + weight * cached)
            old, self._ids = keys[-config.window :], words[-config.window :]
        self._states = old
        return result.astype(np.float32)
