"""Numbers that compare two models on the same tokens, whatever their vocabularies.

A model spreads the probability of `<unk>` over words it does not know.  To compare models, that is made explicit.
Let the universe U be the words of both vocabularies and the distinct words of the split, as written, and let model
m know K_m of them.  (`<eos>` is known to every model.  `<pad>` is never predicted, and `<unk>` names the class:
typed in the text, it is one more unknown word.)  Then

    P_m(w) = p_m(w)                        if m knows w
    P_m(w) = p_m(<unk>) / |U - K_m|        otherwise

which sums to one over U, because the |U - K_m| unknown words share p_m(<unk>) evenly.  In nats, an unknown word
costs log |U - K_m| more.  A model that calls everything `<unk>` so pays close to log |U| for every word: no better
than guessing.  Where both vocabularies are the same, both models pay the same, and the ratio of their perplexities
is that of the ordinary ones.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hopline.schema import UNKNOWN

Floats = npt.NDArray[np.float64]

RESAMPLES = 1_000
LEAST_BLOCKS = 10
INTERVAL = 0.95
_SEED = 1
_DRAWS_AT_ONCE = 1 << 21  # bounds the memory to some 50 MB

FREQUENT_SHARE = 0.1
SLICES = {
    "frequent": f"the first {FREQUENT_SHARE:.0%} of the challenger's vocabulary, which is ordered by training count",
    "rare": "the rest of the challenger's vocabulary",
    "unknown": "words that the challenger does not know",
}


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion in mean negative log-likelihood, nats per token; below 0 the challenger is better.

    Attributes:
        mean: of all tokens.
        low: lower end of the confidence interval (`INTERVAL`).
        high: upper end.
        better: share of the resamples in which the challenger is better.
        block: consecutive tokens that were resampled together.
    """

    mean: float
    low: float
    high: float
    better: float
    block: int


def comparable_nll(nll: npt.NDArray[np.floating], ids: npt.NDArray[np.integer], unknown_types: int) -> Floats:
    """Negative log-likelihoods of the words as written (formula above).

    Args:
        nll: shape (N,), in nats, `<unk>` being one word.
        ids: shape (N,), in the model's vocabulary.
        unknown_types: |U - K_m|; 0 only where no token is unknown.
    """
    return nll.astype(np.float64) + np.where(ids == UNKNOWN, np.log(max(unknown_types, 1)), 0.0)


def unknown_types(known: int, others: npt.NDArray[np.integer], other_size: int) -> tuple[int, int]:
    """How many words of the universe each of two models does not know, from one looking up the other's words.

    Args:
        known: how many words the first model knows, |K_1|.
        others: shape (|K_1 + S|,), the ids that the second model gives the first one's words and the split's, S.
        other_size: how many words the second model knows, |K_2|.

    Returns:
        |U - K_1| and |U - K_2|.
    """
    second_unknown = int(np.count_nonzero(others == UNKNOWN))
    universe = other_size + second_unknown
    return universe - known, second_unknown


def paired_difference(challenger: Floats, champion: Floats, block: int) -> Difference:
    """Mean difference of paired scores, with a bootstrap over blocks of consecutive tokens.

    Neighbouring tokens are not independent, so blocks are drawn, not tokens (the block bootstrap of Carlstein,
    1986, with blocks side by side).  A short text is cut into `LEAST_BLOCKS` blocks, shorter than asked for.

    Args:
        challenger: shape (N,), in nats.
        champion: shape (N,), of the same tokens.
        block: tokens in a block; the last may be shorter.

    Returns:
        The difference; where a score is not finite, interval and probability are NaN.
    """
    with np.errstate(invalid="ignore"):
        difference = challenger - champion
        mean = float(difference.mean())
    block = max(1, min(block, len(difference) // LEAST_BLOCKS))
    if not np.isfinite(difference).all():
        return Difference(mean, math.nan, math.nan, math.nan, block)
    starts = np.arange(0, len(difference), block)
    sums = np.add.reduceat(difference, starts)
    sizes = np.diff(starts, append=len(difference))
    means = _resampled_means(sums, sizes)
    low, high = np.quantile(means, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Difference(mean, float(low), float(high), float(np.mean(means < 0)), block)


def _resampled_means(sums: Floats, sizes: npt.NDArray[np.integer]) -> Floats:
    random = np.random.default_rng(_SEED)
    at_once = max(1, _DRAWS_AT_ONCE // len(sums))
    parts = []
    for first in range(0, RESAMPLES, at_once):
        drawn = random.integers(len(sums), size=(min(at_once, RESAMPLES - first), len(sums)))
        parts.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(parts)


def slice_masks(ids: npt.NDArray[np.integer], vocabulary_size: int) -> dict[str, npt.NDArray[np.bool_]]:
    """Which tokens are in each of `SLICES`.

    Args:
        ids: shape (N,), the challenger's.
        vocabulary_size: of the challenger, with the padding; ids after `UNKNOWN` go from frequent to rare.
    """
    last_frequent = UNKNOWN + int(np.ceil(FREQUENT_SHARE * (vocabulary_size - UNKNOWN - 1)))
    return {
        "frequent": (ids > UNKNOWN) & (ids <= last_frequent),
        "rare": ids > last_frequent,
        "unknown": ids == UNKNOWN,
    }
