"""How sure it is that one model is better than another by the least gain asked: one statement, one interval.

The loss of a token resembles that of its neighbours, and documents differ, so tokens are no independent observations.

*Observations* are the documents of the split.  A split that is one document is cut into blocks of consecutive tokens:
as many as `MOST_BLOCKS`, each of at least `EvaluateConfig.block` tokens (batch means: Schmeiser, 1982, "Batch size
effects in the analysis of simulation output", finds 10 to 30 of them enough).  More than `MOST_OBSERVATIONS` documents
are merged with their neighbours.  A statement from documents is one about further documents; a statement from blocks
is one about more of the same document.

*Standard error* of the mean difference: of its bootstrap distribution, where whole observations are drawn with
replacement (Efron, 1979).  That of n observations is too small by sqrt((n - 1) / n), and by what neighbouring
observations have in common; both are corrected, the latter by sqrt(1 + 2 r) with the correlation r of neighbours where
it is above 0.

*The statement* is that of Student's t, since the percentiles of few observations are too narrow (Hesterberg, 2015,
"What teachers should know about the bootstrap"): with confidence c the difference lies below

    high = mean + t(1 - SPENT (1 - c); n' - 1) * standard error

where n' = (sum of sizes)^2 / (sum of squared sizes) is how many observations of one size are worth as much (Kish), and
the part of the error allowed that is not `SPENT` is left for what is approximate here: effects that are not normal,
blocks that share an effect.  The gain asked is shown if high < log1p(-min_gain).  [low, high] is the interval of level
2 c - 1: its upper end is that bound, so interval and decision cannot disagree.  benchmarks/gate_calibration.py
measures how often this errs.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate import student

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESAMPLES = 10_000
MOST_BLOCKS = 24
MOST_OBSERVATIONS = 1_000
SPENT = 0.85  # of the error that the confidence allows
SHOWN_CONFIDENCE = 0.95  # of the interval where no confidence is asked
_SEED = 1
_DRAWS_AT_ONCE = 1 << 20  # bounds the memory to some 30 MB


@dataclass(frozen=True)
class Pairs:
    """The scores of two models on S consecutive pieces of the same text.

    Attributes:
        difference: shape (S,), challenger minus champion in nats, of each whole piece.
        size: shape (S,), what the mean is over: tokens, or characters.
        tokens: shape (S,), how many tokens each piece counts for where blocks are cut.
        document: shape (S,), the number of its document, which never falls.
    """

    difference: Floats
    size: Floats
    tokens: Floats
    document: Ints


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion in nats per token (or character); below 0 the challenger is better.

    Attributes:
        mean: of the whole split.
        low: lower end of the interval.
        high: upper end: with the confidence asked the difference is below it.
        level: of the interval, 2 c - 1 for the one-sided confidence c.
        margin: what the difference must be below, log1p(-min_gain); 0 or less.
        confidence: that the difference is below `margin`; NaN, as the interval, where nothing can be said.
        observations: how many there are.
        effective: how many observations of one size are worth as much.
        kind: "documents" or "blocks".
    """

    mean: float
    low: float
    high: float
    level: float
    margin: float
    confidence: float
    observations: int
    effective: float
    kind: str


def paired_difference(
    pairs: Pairs, *, margin: float, confidence: float, block: int, resamples: int = RESAMPLES
) -> Difference:
    """The mean difference and what can be said of it (see above).

    Args:
        pairs: the scores.
        margin: what the difference must be below for the gain asked.
        confidence: one-sided, that of the interval; 0 for `SHOWN_CONFIDENCE`.
        block: least tokens of a block.
        resamples: how many; fewer make the standard error noisier.

    Returns:
        The difference.  Of fewer than two observations, and of scores that are not finite, only the mean is known.
    """
    asked = confidence or SHOWN_CONFIDENCE
    kind, sums, sizes = observations(pairs, block)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(sums.sum() / sizes.sum())
    effective = float(sizes.sum() ** 2 / np.square(sizes).sum())
    low = high = reached = math.nan
    if len(sums) > 1 and np.isfinite(sums).all():
        degrees = max(1.0, effective - 1)
        error = standard_error(sums, sizes, resamples)
        half = student.quantile(1 - SPENT * (1 - asked), degrees) * error
        low, high = mean - half, mean + half
        error_rate = 1 - student.distribution((margin - mean) / error, degrees) if error else float(mean >= margin)
        reached = max(0.0, 1 - error_rate / SPENT)
    return Difference(mean, low, high, round(2 * asked - 1, 12), margin, reached, len(sums), effective, kind)


def observations(pairs: Pairs, block: int) -> tuple[str, Floats, Floats]:
    """What is resampled: its kind, and shapes (n,) the difference and the size of each."""
    starts = np.flatnonzero(np.diff(pairs.document, prepend=-1))
    kind = "documents"
    if len(starts) == 1:
        kind = "blocks"
        total = pairs.tokens.sum()
        count = int(np.clip(total // block, 1, MOST_BLOCKS))
        ends = np.cumsum(pairs.tokens)
        starts = np.unique(np.searchsorted(ends, np.arange(count) * (total / count), side="right"))
    elif len(starts) > MOST_OBSERVATIONS:
        starts = starts[np.arange(MOST_OBSERVATIONS) * len(starts) // MOST_OBSERVATIONS]
    return kind, np.add.reduceat(pairs.difference, starts), np.add.reduceat(pairs.size, starts)


def standard_error(sums: Floats, sizes: Floats, resamples: int = RESAMPLES) -> float:
    """Of the mean sum(sums) / sum(sizes), corrected as the module says.

    Args:
        sums: shape (n,), n at least 2.
        sizes: shape (n,).
        resamples: how many.
    """
    count = len(sums)
    spread = float(resampled_means(sums, sizes, resamples).std(ddof=1))
    residual = sums - sizes * (sums.sum() / sizes.sum())
    square = float(np.square(residual).sum())
    # 1 / n: the residuals sum to zero, and so a pair of independent neighbours correlates by about -1 / n.
    common = float((residual[1:] * residual[:-1]).sum()) / square + 1 / count if square else 0.0
    return spread * math.sqrt(count / (count - 1) * (1 + 2 * max(0.0, common)))


def resampled_means(sums: Floats, sizes: Floats, resamples: int = RESAMPLES) -> Floats:
    """Shape (resamples,): the mean of each resample, n observations drawn with replacement."""
    count = len(sums)
    random = np.random.default_rng(_SEED)
    columns = np.stack([sums, sizes], axis=1)
    at_once = max(1, _DRAWS_AT_ONCE // count)
    parts = []
    for first in range(0, resamples, at_once):
        rows = min(at_once, resamples - first)
        drawn = random.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)
        drawn_sums, drawn_sizes = (times.astype(np.float64) @ columns).T
        parts.append(drawn_sums / drawn_sizes)
    return np.concatenate(parts)
