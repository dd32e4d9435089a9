"""The profile of a corpus: what a later corpus is compared with.  Its size is bounded, and it names no file.

The examples hold it as `profile.json`, and a model takes it along, so that the registry has the champion's.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hopline.artifacts import canonical_json
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.schema import EOS, PROFILE_FILE, RESERVED_WORDS, UNKNOWN

_WORDS = 10_000  # the most frequent words that are listed
_SAMPLES = (1_000, 10_000, 100_000, 1_000_000)


@dataclass(frozen=True)
class Profile:
    """A corpus, as its examples are.

    Attributes:
        tokeniser: what a word is.
        lowercase: whether words were lowercased first.
        words: of the training text, line ends not counted.
        frequent: how often each of its most frequent words occurs, the most frequent first.
        type_ratios: by a number of words, the share of different ones among so many drawn from the training text.
        lengths: histogram of its documents' lengths (`components.preprocess.lengths.histogram`).
        unknown_rates: by split.
    """

    tokeniser: str
    lowercase: bool
    words: int
    frequent: dict[str, int]
    type_ratios: dict[int, float]
    lengths: list[tuple[int, int]]
    unknown_rates: dict[str, float]

    @property
    def documents(self) -> int:
        """Of the training text."""
        return sum(count for _, count in self.lengths)

    def to_json(self) -> str:
        """The content of profile.json."""
        content = dataclasses.asdict(self)
        content["frequent"] = list(self.frequent.items())  # in order, which canonical JSON would sort
        content["type_ratios"] = list(self.type_ratios.items())
        return canonical_json(content)

    @classmethod
    def from_json(cls, text: str) -> "Profile":
        """Reads what `to_json` wrote, now or in a later hopline that says more.

        Raises:
            ValueError: it is something else.
        """
        content = json.loads(text)
        try:
            return cls(
                tokeniser=str(content["tokeniser"]),
                lowercase=bool(content["lowercase"]),
                words=int(content["words"]),
                frequent={str(word): int(count) for word, count in content["frequent"]},
                type_ratios={int(size): float(ratio) for size, ratio in content["type_ratios"]},
                lengths=[(int(length), int(count)) for length, count in content["lengths"]],
                unknown_rates={str(split): float(rate) for split, rate in content["unknown_rates"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def profile_of(statistics: Mapping[str, Any], words: list[str], *, tokeniser: str, lowercase: bool) -> Profile:
    """The profile of examples.

    Args:
        statistics: the content of statistics.json.
        words: the vocabulary, by id.
        tokeniser: what made the tokens.
        lowercase: likewise.
    """
    train = statistics["train"]
    counts = np.array(train["word_counts"], np.int64)
    ids = len(RESERVED_WORDS) + np.argsort(-counts[len(RESERVED_WORDS) :], kind="stable")[:_WORDS]
    return Profile(
        tokeniser=tokeniser,
        lowercase=lowercase,
        words=train["words"],
        frequent={words[number]: int(counts[number]) for number in ids.tolist() if counts[number]},
        type_ratios={
            size: _type_ratio(counts, train["unknown_types"], size) for size in _SAMPLES if size <= train["words"]
        },
        lengths=[(length, count) for length, count in train["length_histogram"]],
        unknown_rates={split: entry["unknown_rate"] for split, entry in statistics.items()},
    )


def _type_ratio(counts: np.ndarray, unknown_types: int, size: int) -> float:
    """The share of different words expected among `size` words drawn from a text.

    A text's own ratio falls as the text grows (Heaps' law), so ratios of two texts compare at one size alone.  Of
    unknown words no counts are known: each is taken to be as frequent as the others.
    """
    known = counts.astype(np.float64)
    known[[UNKNOWN, EOS]] = 0
    total = known.sum() + counts[UNKNOWN]
    expected = _drawn(known[known > 0] / total, size).sum()
    if unknown_types:
        expected += unknown_types * _drawn(np.array([counts[UNKNOWN] / unknown_types / total]), size).sum()
    return float(expected) / size


def _drawn(shares: np.ndarray, size: int) -> np.ndarray:
    """The probability that a word with such a share is among `size` drawn ones."""
    with np.errstate(divide="ignore"):  # of a word that is the whole text
        return -np.expm1(size * np.log1p(-shares))


def promoted_profile(registry: str, model_id: str) -> tuple[int, Profile | None]:
    """The version of the model `model_id`, which is or was champion in `registry`, and the profile of its corpus.

    The profile is None where an older hopline made the model.

    Raises:
        UserError: the model is missing, or its profile is damaged.
    """
    promoted = Registry(registry)
    version = promoted.version(model_id)
    if PROFILE_FILE not in promoted.manifest(version).files:
        return version, None
    _, text = promoted.read(version, PROFILE_FILE)
    try:
        return version, Profile.from_json(text)
    except ValueError as error:
        raise UserError(
            f"{promoted.location(version)}/{PROFILE_FILE} is no profile of a corpus: {error}",
            remedy="use the hopline that promoted it, or a registry of this one",
        ) from error
