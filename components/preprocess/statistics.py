"""What a split holds, counted range by range and added up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.preprocess.lengths import NAMED, Named, histogram, longest, outliers, quantile
from hopline.schema import EOS, UNKNOWN

_MANY = 1 << 16  # hashes of unknown words, repeats among them, that wait to be sorted
_QUANTILES = {"min": 0.0, "p10": 0.1, "p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


@dataclass
class Tally:
    """Counts over a part of a split; `add` the parts in any order.

    Attributes:
        word_counts: int64 [V], how often each id occurs.
        characters: of the text, line ends and spaces included.
        unknown: uint64, sorted: hashes of the distinct words that became `<unk>`, as of the last `settle`.
        lengths: how many documents have so many tokens; empty documents do not count.
        cut_documents: tokens here of each document that other parts may continue.
        longest: the longest documents of those in `lengths`.
    """

    word_counts: np.ndarray
    characters: int = 0
    unknown: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    lengths: Counter[int] = field(default_factory=Counter)
    cut_documents: Counter[str] = field(default_factory=Counter)
    longest: list[Named] = field(default_factory=list)
    _waiting: list[npt.NDArray[np.uint64]] = field(default_factory=list)  # what `unknown` is to take in
    _count: int = 0  # of the hashes that wait

    @property
    def tokens(self) -> int:
        """All tokens, `<eos>` included."""
        return int(self.word_counts.sum())

    @property
    def words(self) -> int:
        """All tokens but `<eos>`, which no text fails to have and every model knows."""
        return self.tokens - int(self.word_counts[EOS])

    @property
    def types(self) -> int:
        """Distinct words, those that became `<unk>` included, `<eos>` not."""
        self.settle()
        known = np.count_nonzero(self.word_counts) - np.count_nonzero(self.word_counts[[UNKNOWN, EOS]])
        return int(known) + len(self.unknown)

    @property
    def unknown_rate(self) -> float:
        """The share of `<unk>` in all words; 0 where there are none."""
        return int(self.word_counts[UNKNOWN]) / max(self.words, 1)

    @property
    def document_lengths(self) -> Counter[int]:
        """`lengths` with the documents that were cut, now that all their parts are here."""
        return self.lengths + Counter(tokens for tokens in self.cut_documents.values() if tokens)

    @property
    def longest_documents(self) -> list[Named]:
        """`longest` with the documents that were cut."""
        return longest([*self.longest, *((tokens, name) for name, tokens in self.cut_documents.items())])

    def end_document(self, name: str, tokens: int) -> None:
        """Counts a document that is whole."""
        self.lengths[tokens] += 1
        if len(self.longest) < NAMED or tokens >= self.longest[-1][0]:
            self.longest = longest([*self.longest, (tokens, name)])

    def add(self, other: "Tally") -> None:
        """Adds the counts of another part of the same split."""
        self.word_counts = self.word_counts + other.word_counts
        self.characters += other.characters
        other.settle()
        self.add_unknown(other.unknown)
        self.lengths.update(other.lengths)
        self.cut_documents.update(other.cut_documents)
        self.longest = longest([*self.longest, *other.longest])

    def add_unknown(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Adds hashes of words that became `<unk>`, in any order; they are in `unknown` after `settle`."""
        self._waiting.append(hashes)
        self._count += len(hashes)
        if self._count > 2 * max(_MANY, len(self.unknown)):  # each hash is sorted a few times, however many parts
            self.settle()

    def settle(self) -> None:
        """Has `unknown` take in what was added; whoever reads it calls this first."""
        if self._waiting:
            self.unknown = _distinct([self.unknown, *self._waiting])
            self._waiting, self._count = [], 0

    def save(self, path: Path) -> None:
        """Writes the counts to `path` (NumPy's .npz, without pickle)."""
        self.settle()
        np.savez(
            path,
            word_counts=self.word_counts,
            characters=self.characters,
            unknown=self.unknown,
            lengths=np.array(sorted(self.lengths.items()), np.int64).reshape(-1, 2),
            cut_names=np.array(list(self.cut_documents), np.str_),
            cut_tokens=np.array(list(self.cut_documents.values()), np.int64),
            longest_names=np.array([name for _, name in self.longest], np.str_),
            longest_tokens=np.array([tokens for tokens, _ in self.longest], np.int64),
        )

    @classmethod
    def load(cls, path: Path) -> "Tally":
        """Reads what `save` wrote."""
        with np.load(path) as arrays:
            return cls(
                arrays["word_counts"],
                int(arrays["characters"]),
                arrays["unknown"],
                Counter(dict(arrays["lengths"].tolist())),
                Counter(dict(zip(arrays["cut_names"].tolist(), arrays["cut_tokens"].tolist(), strict=True))),
                list(zip(arrays["longest_tokens"].tolist(), arrays["longest_names"].tolist(), strict=True)),
            )

    def summary(self) -> dict[str, Any]:
        """The split's entry in statistics.json.  Its size grows with the vocabulary only."""
        self.settle()
        lengths = self.document_lengths
        return {
            "documents": lengths.total(),
            "tokens": self.tokens,
            "words": self.words,
            "types": self.types,
            "type_ratio": self.types / max(self.words, 1),
            "unknown_tokens": int(self.word_counts[UNKNOWN]),
            "unknown_types": len(self.unknown),
            "unknown_rate": self.unknown_rate,
            "characters": self.characters,
            "document_tokens": {name: quantile(lengths, share) for name, share in _QUANTILES.items() if lengths},
            "length_histogram": histogram(lengths),
            "length_outliers": outliers(lengths, self.longest_documents),
            "word_counts": self.word_counts.tolist(),
        }


def _distinct(hashes: Sequence[npt.NDArray[np.uint64]]) -> npt.NDArray[np.uint64]:
    """The hashes of all arrays, sorted and each once; NumPy's own `unique` takes seven times as long for hashes."""
    result = np.sort(np.concatenate(hashes))
    return result[np.concatenate([np.ones(min(1, len(result)), np.bool_), result[1:] != result[:-1]])]
