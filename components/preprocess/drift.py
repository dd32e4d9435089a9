"""How far a corpus has moved from the champion's: four distances between their profiles, each from 0 to 1.

    words     Jensen-Shannon divergence of the frequencies of words, in bits (Lin 1991): of the 1,000 most frequent
              words of either training text, all others as one
    unknown   difference of the shares of unknown words, in the split where it is greatest
    types     difference of the shares of different words among equally many words
    lengths   greatest difference of the cumulative distributions of document lengths (Kolmogorov-Smirnov)

Two samples of one and the same text differ too: that distance by chance, for independent draws, is given beside the
distance and never counts against the corpus.  Words of real text come in clusters, so two parts of one corpus differ
by a few times as much.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from components.preprocess.profile import Profile
from hopline.config.preprocess import PreprocessConfig
from hopline.config.section import require

_COMPARED = 1_000  # of the most frequent words of each corpus
_LEAST_DOCUMENTS = 30  # of fewer, a distribution of lengths says nothing
_NAMED = 10  # words that have changed most
_MILLION = 1e6


@dataclass(frozen=True)
class Measure:
    """One distance.

    Attributes:
        name: `preprocess.max_drift_<name>` limits it.
        label: both figures, in words; or why there are none.
        distance: from 0 to 1; None if it could not be measured.
        chance: what of it two samples of one text would have.
    """

    name: str
    label: str
    distance: float | None = None
    chance: float = 0.0

    def broken(self, config: PreprocessConfig) -> bool:
        """Whether it is beyond its limit."""
        return self.distance is not None and self.distance - self.chance > self.limit(config)

    def limit(self, config: PreprocessConfig) -> float:
        """What the configuration allows; 1 allows anything."""
        return float(getattr(config, f"max_drift_{self.name}"))


@dataclass(frozen=True)
class Changed:
    """A word, and how often it occurs in a million words of the champion's text and of this one."""

    word: str
    before: float
    now: float


@dataclass(frozen=True)
class Drift:
    """The distances from the corpus of a version of the registry.

    Attributes:
        version: the champion's.
        measures: the four distances.
        changed: the words that contribute most to the first.
    """

    version: int
    measures: tuple[Measure, ...]
    changed: tuple[Changed, ...] = ()


def drift(ours: Profile, theirs: Profile | None, version: int) -> Drift:
    """The distances of our corpus from that of the champion, `version`, whose profile is None if it has none."""
    reason = ""
    if theirs is None:
        reason = f"not compared: an older hopline made champion {version}"
    elif (ours.tokeniser, ours.lowercase) != (theirs.tokeniser, theirs.lowercase):
        reason = f"not compared: the text of champion {version} was cut into words in another way"
    if theirs is None or reason:
        return Drift(version, tuple(Measure(name, reason) for name in ("words", "unknown", "types", "lengths")))
    words, changed = _words(ours, theirs)
    return Drift(version, (words, _unknown(ours, theirs), _types(ours, theirs), _lengths(ours, theirs)), changed)


def require_no_drift(found: Drift, config: PreprocessConfig) -> None:
    """The corpus is no further from the champion's than the configuration allows; what cannot be measured is a warning.

    Raises:
        UserError: it is; the message has the figures.
    """
    for measure in found.measures:
        limit = measure.limit(config)
        if measure.distance is None:
            if limit < 1:
                print(f"preprocess: warning: preprocess.max_drift_{measure.name}: {measure.label}", file=sys.stderr)
            continue
        require(
            not measure.broken(config),
            f"the corpus has drifted from that of champion {found.version}: {measure.label}: {_figures(measure)}, but "
            f"preprocess.max_drift_{measure.name} allows {limit:g}",
            f"check that [corpus] names the text that is meant; if it does, raise preprocess.max_drift_{measure.name}, "
            "or use another --output with its own registry",
        )
    compared = "; ".join(f"{item.label}: {_figures(item)}" for item in found.measures if item.distance is not None)
    compared = compared or found.measures[0].label
    print(f"preprocess: beside the corpus of champion {found.version}: {compared}", file=sys.stderr)


def _figures(measure: Measure) -> str:
    return f"distance {measure.distance:.4f}" + (f" ({measure.chance:.4f} by chance)" if measure.chance else "")


def _words(ours: Profile, theirs: Profile) -> tuple[Measure, tuple[Changed, ...]]:
    names = list(dict.fromkeys([*list(ours.frequent)[:_COMPARED], *list(theirs.frequent)[:_COMPARED]]))
    before, now = _shares(theirs, names), _shares(ours, names)
    parts = _divergence(before, now)
    chance = len(names) / (8 * math.log(2)) * (1 / ours.words + 1 / theirs.words)
    distance = float(np.clip(parts.sum(), 0, 1))
    greatest = np.argsort(-parts[:-1], kind="stable")[:_NAMED].tolist()
    changed = tuple(
        Changed(names[number], _MILLION * float(before[number]), _MILLION * float(now[number])) for number in greatest
    )
    named = ", ".join(f"{item.word!r} {item.before:,.0f} \N{RIGHTWARDS ARROW} {item.now:,.0f}" for item in changed[:3])
    label = f"word frequencies (of a million words, {named})"
    return Measure("words", label, distance, min(chance, distance)), changed


def _shares(profile: Profile, names: list[str]) -> np.ndarray:
    """The share of each word, and last of all others.  A word that is not listed is too rare to matter."""
    counts = [profile.frequent.get(name, 0) for name in names]
    return np.array([*counts, profile.words - sum(counts)]) / profile.words


def _divergence(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """What each category adds to the Jensen-Shannon divergence, in bits."""
    middle = (left + right) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(side > 0, side * np.log2(side / middle), 0.0) for side in (left, right)]
    return np.asarray((parts[0] + parts[1]) / 2)


def _unknown(ours: Profile, theirs: Profile) -> Measure:
    both = [split for split in ours.unknown_rates if split in theirs.unknown_rates]
    split = max(both, key=lambda name: abs(ours.unknown_rates[name] - theirs.unknown_rates[name]))
    before, now = theirs.unknown_rates[split], ours.unknown_rates[split]
    return Measure(
        "unknown", f"unknown words of {split} {before:.2%} \N{RIGHTWARDS ARROW} {now:.2%}", abs(now - before)
    )


def _types(ours: Profile, theirs: Profile) -> Measure:
    sizes = [size for size in ours.type_ratios if size in theirs.type_ratios]
    if not sizes:
        return Measure("types", "different words: not compared, for one of the texts has too few words")
    before, now = theirs.type_ratios[max(sizes)], ours.type_ratios[max(sizes)]
    label = f"different words among {max(sizes):,} {before:.1%} \N{RIGHTWARDS ARROW} {now:.1%}"
    return Measure("types", label, abs(now - before))


def _lengths(ours: Profile, theirs: Profile) -> Measure:
    numbers = (theirs.documents, ours.documents)
    if min(numbers) < _LEAST_DOCUMENTS:
        return Measure(
            "lengths",
            f"document lengths: not compared, for they are {numbers[0]:,} and {numbers[1]:,} documents and "
            f"fewer than {_LEAST_DOCUMENTS} say nothing",
        )
    before, now = dict(theirs.lengths), dict(ours.lengths)
    edges = sorted(before.keys() | now.keys())
    reached = [np.cumsum([side.get(edge, 0) for edge in edges]) / sum(side.values()) for side in (before, now)]
    distance = float(np.abs(reached[0] - reached[1]).max())
    chance = math.sqrt(math.pi / 2) * math.log(2) * math.sqrt(sum(1 / number for number in numbers))  # its mean
    label = f"document lengths, at the median {_median(before):,} \N{RIGHTWARDS ARROW} {_median(now):,} tokens or more"
    return Measure("lengths", label, distance, min(chance, distance))


def _median(lengths: Mapping[int, int]) -> int:
    """The least length of the bin that holds the median."""
    edges = sorted(lengths)
    reached = np.cumsum([lengths[edge] for edge in edges])
    return edges[int(np.searchsorted(reached, reached[-1] / 2))]
