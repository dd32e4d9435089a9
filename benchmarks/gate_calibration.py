"""How often the gate errs: `python -m benchmarks.gate_calibration`.

Paired differences of two models are simulated token by token, and judged by the gate's own code.  A token's difference
is autocorrelated noise (standard deviation 0.5 nats) and effects that whole
stretches share: documents, or, inside a single document, hidden articles of random length.  The true difference is
known, so errors can be counted:

    false promotions   where the true gain is min_gain exactly: at most 1 - confidence = 5% are allowed
    power              promotions where the true gain is 1%

Printed is the table of docs/evaluation.md.  Effects of 0.02 nats are as large as measured between two trainings of a
model; those of 0.05 nats are a stress.
"""

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np

from components.evaluate.bootstrap import Floats, Ints, Pairs, paired_difference
from hopline.config.evaluate import LEAST_BLOCK, EvaluateConfig

TOKENS = 74_000
TOKEN_SD = 0.5
AUTOCORRELATION = 0.2
ARTICLE_TOKENS = 500  # mean length; lengths are exponential, about as in the Penn Treebank
GAIN = 0.01


@dataclass(frozen=True)
class Case:
    """One row of the table.

    Attributes:
        documents: how many documents the split has.
        effect: standard deviation of the effect of a document, or of a hidden article where there is one document.
        uneven: whether the documents' lengths are log-normal (sigma 1) rather than equal.
        skewed: whether effects are exponential (a few documents far worse) rather than normal.
    """

    documents: int
    effect: float
    uneven: bool = False
    skewed: bool = False

    def label(self) -> str:
        """What the row is called."""
        what = "hidden articles" if self.documents == 1 else "uneven lengths" if self.uneven else "equal lengths"
        return f"{self.documents} | {what}{', skewed' if self.skewed else ''} | {self.effect:g}"


CASES = [
    *(Case(1, effect) for effect in (0.0, 0.02, 0.05)),
    *(Case(count, effect) for count in (2, 3, 5, 10, 20, 50, 100, 200) for effect in (0.0, 0.02, 0.05)),
    *(Case(count, 0.05, uneven=True) for count in (2, 3, 5, 10, 20, 50, 200)),
    *(Case(count, 0.05, skewed=True) for count in (10, 50, 200)),
]


def simulate(case: Case, random: np.random.Generator) -> Pairs:
    """Pairs of a split whose true difference is 0."""
    weights = random.lognormal(0, 1, case.documents) if case.uneven else np.ones(case.documents)
    lengths = np.maximum(5, TOKENS * weights / weights.sum()).astype(np.int64)
    tokens = int(lengths.sum())
    difference = TOKEN_SD * _autocorrelated(tokens, random)
    if case.documents == 1:
        articles = np.ceil(random.exponential(ARTICLE_TOKENS, size=8 * tokens // ARTICLE_TOKENS)).astype(np.int64)
        difference += np.repeat(case.effect * random.normal(size=len(articles)), articles)[:tokens]
    else:
        effects = random.exponential(size=case.documents) - 1 if case.skewed else random.normal(size=case.documents)
        difference += np.repeat(case.effect * effects, lengths)
    ones = np.ones(tokens)
    return Pairs(difference, ones, ones, _numbers(lengths))


def _numbers(lengths: Ints) -> Ints:
    return np.repeat(np.arange(len(lengths)), lengths)


def _autocorrelated(tokens: int, random: np.random.Generator) -> Floats:
    """Noise of variance 1 in which the correlation over k tokens is `AUTOCORRELATION` to the power k."""
    kernel = AUTOCORRELATION ** np.arange(8)
    noise = random.standard_normal(tokens + len(kernel), dtype=np.float32)
    return (np.convolve(noise, kernel, mode="valid")[:tokens] / math.sqrt((kernel**2).sum())).astype(np.float64)


def errors(case: Case, runs: int, resamples: int, seed: int) -> tuple[float, float]:
    """Shares of false promotions and of true ones.

    The interval moves with the true difference and keeps its width, so one simulation serves both.
    """
    rule = EvaluateConfig()
    margin = math.log1p(-rule.min_gain)
    random = np.random.default_rng(seed)
    false = true = 0
    for _ in range(runs):
        found = paired_difference(
            simulate(case, random), margin=margin, confidence=rule.confidence, block=LEAST_BLOCK, resamples=resamples
        )
        false += found.high + margin < margin
        true += found.high + math.log1p(-GAIN) < margin
    return false / runs, true / runs


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="simulations of each case")
    parser.add_argument("--resamples", type=int, default=1_000, help="of each bootstrap (the gate draws 10,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, nargs="*", help="only cases of these numbers of documents")
    options = parser.parse_args()
    began = time.perf_counter()
    print("| documents | text | effect, nats | false promotions | power at 1% |\n|---|---|---|---|---|")
    for case in CASES:
        if not options.documents or case.documents in options.documents:
            false, true = errors(case, options.runs, options.resamples, options.seed)
            print(f"| {case.label()} | {false:.1%} | {true:.0%} |", flush=True)
    print(f"\n{options.runs:,} runs a row, {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
