"""Parts of the split whose perplexities are looked at apart: by kind of word, place, recency and source.

Every group of slices holds every token once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from components.evaluate.scores import Scores
from components.evaluate.text import Document
from hopline.schema import UNKNOWN

Mask = npt.NDArray[np.bool_]

FREQUENT_SHARE = 0.1
FIRST_TOKENS = 50
MOST_SOURCES = 12
_DISTANCES = (10, 100, 1_000)


@dataclass(frozen=True)
class Slice:
    """Some tokens of the split.

    Attributes:
        group: what the split is divided by.
        name: what the slice is called in its group.
        mask: shape (N,), which tokens it holds.
    """

    group: str
    name: str
    mask: Mask


def slices(scores: Scores, documents: Sequence[Document], vocabulary_size: int) -> list[Slice]:
    """All slices, in order.

    Args:
        scores: the challenger's.
        documents: the split.
        vocabulary_size: the challenger's, with the padding; ids after `UNKNOWN` go from frequent to rare.
    """
    groups = {
        "kind of word, to the challenger": by_frequency(scores.ids, vocabulary_size),
        "place in the document": by_place(scores.lengths),
        "last occurrence of the same word in the document": by_recency(scores.word_index, scores.lengths),
        "source": by_source(scores.lengths, [document.source for document in documents]),
    }
    return [Slice(group, name, mask) for group, parts in groups.items() for name, mask in parts.items()]


def by_frequency(ids: npt.NDArray[np.integer], vocabulary_size: int) -> dict[str, Mask]:
    """Frequent, rare and unknown words."""
    last_frequent = UNKNOWN + int(np.ceil(FREQUENT_SHARE * (vocabulary_size - UNKNOWN - 1)))
    return {
        f"frequent (first {FREQUENT_SHARE:.0%} of the vocabulary)": (ids > UNKNOWN) & (ids <= last_frequent),
        "rare (the rest)": ids > last_frequent,
        "unknown": ids == UNKNOWN,
    }


def by_place(lengths: npt.NDArray[np.integer]) -> dict[str, Mask]:
    """The first tokens of each document, and the later ones."""
    early = _places(lengths) < FIRST_TOKENS
    return {f"first {FIRST_TOKENS} tokens": early, "later": ~early}


def by_recency(words: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> dict[str, Mask]:
    """How many tokens ago the same word, as written, last stood in the document."""
    distance = recency(words, lengths)
    result = {"not before": distance == 0}
    last = 0
    for most in _DISTANCES:
        result[f"{last + 1:,} to {most:,} tokens back"] = (distance > last) & (distance <= most)
        last = most
    return {**result, f"more than {last:,} tokens back": distance > last}


def recency(words: npt.NDArray[np.integer], lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Tokens since the same word last stood in the same document, shape (N,); 0 where it did not.

    Args:
        words: shape (N,), a number for each word as written.
        lengths: shape (documents,), tokens of each.
    """
    documents = np.repeat(np.arange(len(lengths)), lengths)
    order = np.lexsort((np.arange(len(words)), words, documents))
    same = (np.diff(words[order]) == 0) & (np.diff(documents[order]) == 0)
    result = np.zeros(len(words), np.int64)
    result[order[1:][same]] = np.diff(order)[same]
    return result


def by_source(lengths: npt.NDArray[np.integer], sources: Sequence[str]) -> dict[str, Mask]:
    """The files, those with most tokens first; beyond `MOST_SOURCES` they are taken together."""
    names, numbers = np.unique(np.array(sources, np.str_), return_inverse=True)
    tokens = np.repeat(numbers, lengths)
    counts = np.bincount(tokens, minlength=len(names))
    largest = np.argsort(-counts, kind="stable")
    shown = largest if len(largest) <= MOST_SOURCES else largest[: MOST_SOURCES - 1]
    result = {str(names[number]): tokens == number for number in shown}
    rest = len(names) - len(shown)
    return {**result, f"{rest:,} other sources": ~np.isin(tokens, shown)} if rest else result


def _places(lengths: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """The place of each token in its document, from 0."""
    starts = np.cumsum(lengths) - lengths
    return np.arange(int(np.sum(lengths))) - np.repeat(starts, lengths)
