"""What the training split alone predicts: word frequencies, and Kneser-Ney n-grams of orders 2 to 5.

A perplexity by itself says nothing.  So these score the same tokens as the challenger, over the same vocabulary, each
once; the context never crosses a document.  With N training tokens, c(w) of them w, and V types without `PAD`,

    unigram:  p(w) = (c(w) + 1) / (N + V)

gives every type some mass (Laplace); the n-grams are those of `components.evaluate.kneser_ney`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components.evaluate.kneser_ney import HIGHEST_ORDER, Floats, KneserNey
from hopline.schema import PAD

UNIGRAM = "unigram"
MOST_TOKENS = 8_000_000  # of training text that n-grams are counted on: about 230 bytes a token, so 2 GiB at most


@dataclass(frozen=True)
class Baseline:
    """One baseline on the split.

    Attributes:
        nll: mean negative log-likelihood in nats; None where the baseline could not be made.
        note: why it could not be made, or from what part of the training split it was made; "" for all of it.
    """

    nll: float | None
    note: str = ""

    @property
    def perplexity(self) -> float | None:
        """Over the challenger's vocabulary, `<unk>` one word of it; None as `nll`."""
        return None if self.nll is None else math.exp(self.nll)

    def content(self) -> dict[str, Any]:
        """The entry in `evaluation.json`."""
        return {"perplexity": self.perplexity, "nll": self.nll, "note": self.note}


def kneser_ney_key(order: int) -> str:
    """What the n-gram of `order` is called in `evaluation.json`."""
    return f"kneser_ney_{order}"


ORDERS = range(2, HIGHEST_ORDER + 1)
LABELS = {UNIGRAM: "word frequencies", **{kneser_ney_key(order): f"Kneser-Ney {order}-gram" for order in ORDERS}}


def score_baselines(
    train: npt.NDArray[np.integer], split: npt.NDArray[np.integer], vocabulary_size: int
) -> dict[str, Baseline]:
    """Scores every token of `split` by what `train` says.

    Args:
        train: shape (N,), ids of the training split, documents back to back, a `PAD` before each.
        split: shape (M,), of the split to score, likewise.
        vocabulary_size: V, with `PAD`.

    Returns:
        A baseline for each key of `LABELS`.
    """
    result = {UNIGRAM: Baseline(float(_unigram_nll(train, split, vocabulary_size).mean()))}
    note = ""
    if len(train) > MOST_TOKENS:
        note = f"from the first {MOST_TOKENS:,} of {np.count_nonzero(train):,} training tokens"
    scores = KneserNey(train[:MOST_TOKENS], vocabulary_size).score(split)
    for order in ORDERS:
        made = order in scores
        result[kneser_ney_key(order)] = (
            Baseline(float(scores[order].mean()), note)
            if made
            else Baseline(None, f"no document of the training split has {order} tokens")
        )
    return result


def best_kneser_ney(baselines: Mapping[str, Baseline]) -> str | None:
    """Key of the n-gram with the lowest perplexity; None where none could be made."""
    made = {key: item.nll for key, item in baselines.items() if key != UNIGRAM and item.nll is not None}
    return min(made, key=lambda key: made[key]) if made else None


def _unigram_nll(train: npt.NDArray[np.integer], split: npt.NDArray[np.integer], vocabulary_size: int) -> Floats:
    counts = np.zeros(vocabulary_size)
    for first in range(0, len(train), MOST_TOKENS):  # NumPy makes eight bytes of each of them
        counts += np.bincount(train[first : first + MOST_TOKENS], minlength=vocabulary_size)
    counts[PAD] = 0
    probabilities = (counts + 1) / (counts.sum() + vocabulary_size - 1)
    return -np.log(probabilities[split[split != PAD]])
