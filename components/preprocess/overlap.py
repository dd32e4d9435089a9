"""How much of the held-out text stands in the training text too: whole documents, and runs of tokens (n-grams).

A range leaves hashes, which are compared here one range at a time.  Of a large corpus every 2^k-th n-gram is taken, by
its hash, so the same n-grams are taken in every split: the shares stay unbiased and memory bounded, whoever made the
ranges.  Line ends are no part of an n-gram, for text is often wrapped anew; n-grams never cross documents.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]

# Tokens of a short and of a long passage, by tokeniser.  Thirteen words are the usual measure of contamination (Brown
# et al. 2020, appendix C); of characters as many as such words have.
LENGTHS = {"words": (5, 13), "whitespace": (5, 13), "characters": (25, 65)}

_TAKEN = 1 << 22  # n-grams of a corpus that are taken, about: 32 MiB of hashes
_BYTES_PER_TOKEN = 4
_NAMED = 10  # files in a report
_FACTOR, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


def thinning(size: int) -> int:
    """k: of a corpus of so many bytes every 2^k-th n-gram is taken."""
    return max(0, (size // _BYTES_PER_TOKEN // _TAKEN).bit_length())


def gram_hashes(tokens: Hashes, length: int) -> Hashes:
    """A hash for each run of `length` tokens that are not all the same, as in a ruled line, from the tokens' own."""
    count = len(tokens) - length + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    changes = np.concatenate([[0], np.cumsum(tokens[1:] != tokens[:-1])])
    result = np.zeros(count, np.uint64)
    for offset in range(length):
        result *= _FACTOR
        result += tokens[offset : offset + count]
    result ^= result >> np.uint64(32)
    result *= _MIX
    return (result ^ (result >> np.uint64(29)))[changes[length - 1 :] > changes[:count]]


class Passages:
    """The hashes of one split of one range, collected document by document and piece by piece."""

    def __init__(self, lengths: tuple[int, ...], thinning: int) -> None:
        """Args are the lengths of the n-grams and k, as of `thinning`."""
        self._lengths, self._thinning = lengths, thinning
        self._reach = max(lengths) - 1  # tokens that an n-gram may need before the ones it ends in
        self._files: dict[str, int] = {}
        self._grams: dict[int, list[Hashes]] = {length: [] for length in lengths}
        self._owners: dict[int, list[tuple[int, int]]] = {length: [] for length in lengths}  # n-grams and their file
        self._documents: list[tuple[bytes, int, bool]] = []
        self._open: tuple[str, int, bool] | None = None  # name, file, cut
        self._digest = hashlib.blake2b(digest_size=8)
        self._tail = np.empty(0, np.uint64)

    def add(self, document: str, file: str, tokens: Hashes, before: Hashes, *, cut: bool) -> None:
        """Adds consecutive tokens of a document.

        Args:
            document: the document's name.
            file: the file that it is in.
            tokens: hashes of its tokens but for line ends.
            before: likewise, of its tokens before these that another range has.
            cut: whether other ranges may hold more of it.
        """
        index = self._files.setdefault(file, len(self._files))
        if self._open is None or self._open[0] != document:
            self._end_document()
            self._open = (document, index, cut)
            self._tail = before[max(0, len(before) - self._reach) :]
        self._digest.update(tokens.tobytes())
        stream = np.concatenate([self._tail, tokens])
        for length in self._lengths:
            # Each n-gram that ends in these tokens: the ones before have been taken.
            grams = gram_hashes(stream[max(0, len(self._tail) - length + 1) :], length)
            if self._thinning:
                grams = grams[grams >> np.uint64(64 - self._thinning) == 0]
            self._grams[length].append(grams)
            self._owners[length].append((len(grams), index))
        self._tail = stream[max(0, len(stream) - self._reach) :]

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays, for a file; then it is empty."""
        self._end_document()
        result = {
            "files": np.array(list(self._files), np.str_),
            "documents": np.frombuffer(b"".join(digest for digest, _, _ in self._documents), np.uint64),
            "document_files": np.array([file for _, file, _ in self._documents], np.int32),
            "document_cut": np.array([cut for _, _, cut in self._documents], np.bool_),
        }
        for length in self._lengths:
            sizes, files = zip(*self._owners[length], strict=True) if self._owners[length] else ((), ())
            result[f"grams_{length}"] = np.concatenate([np.empty(0, np.uint64), *self._grams[length]])
            result[f"gram_files_{length}"] = np.repeat(np.array(files, np.int32), np.array(sizes, np.int64))
        return result

    def _end_document(self) -> None:
        if self._open:
            _, file, cut = self._open
            self._documents.append((self._digest.digest(), file, cut))
        self._digest = hashlib.blake2b(digest_size=8)
        self._open = None


@dataclass(frozen=True)
class Overlap:
    """What of a held-out split stands in the training split.

    Attributes:
        documents: how many whole documents.
        shares: by length, the share of the split's n-grams; 0 where it has none.
        grams: by length, how many n-grams that share is of.
        files: the files with most of it: name, share of their long n-grams, whole documents, and the training file
            that has most of them.
    """

    documents: int
    shares: dict[int, float]
    grams: dict[int, int]
    files: list[dict[str, Any]]

    @property
    def leak(self) -> float:
        """The share of the long n-grams."""
        return self.shares[max(self.shares)]

    def summary(self) -> dict[str, Any]:
        """The entry in statistics.json."""
        shares = {f"{length}_grams": share for length, share in self.shares.items()}
        return {"documents": self.documents, **shares, "compared": self.grams[max(self.grams)], "files": self.files}


def compare(held_out: Sequence[Path], training: Sequence[Path], lengths: tuple[int, ...]) -> Overlap:
    """Compares the hashes of a held-out split with those of the training split.

    Args:
        held_out: the files (.npz) of the split's ranges, in order; all of them are held in memory.
        training: those of the training split's ranges, in order, read one at a time.
        lengths: of the n-grams.
    """
    ours = _Numbered()
    held = [ours.read(path, lengths) for path in held_out]
    origins = {f"grams_{length}": _Origins([part[f"grams_{length}"] for part in held]) for length in lengths}
    documents, document_files = ours.documents()
    whole = _Origins([documents])
    theirs = _Numbered()
    for path in training:
        part = theirs.read(path, lengths)
        for name, origin in origins.items():
            origin.mark(part[name], part[f"{name}_files"])
    whole.mark(*theirs.documents())
    found = {length: origins[f"grams_{length}"].found() for length in lengths}
    long = max(lengths)
    owners = np.concatenate([np.empty(0, np.int64), *(part[f"grams_{long}_files"] for part in held)])
    return Overlap(
        documents=int(np.count_nonzero(whole.found() >= 0)),
        shares={length: float((hits >= 0).mean()) if len(hits) else 0.0 for length, hits in found.items()},
        grams={length: len(hits) for length, hits in found.items()},
        files=_offenders(ours, theirs, (owners, found[long]), (document_files, whole.found())),
    )


class _Numbered:
    """Files by number, over the ranges of a split, and the documents in them."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        self._whole: list[tuple[Hashes, np.ndarray]] = []
        self._cut: dict[int, Any] = {}  # by file, which is the document: the digest of its parts' digests

    def read(self, path: Path, lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
        """The n-grams of a range and their files."""
        with np.load(path) as arrays:
            numbers = np.array([self.names.setdefault(name, len(self.names)) for name in arrays["files"].tolist()])
            numbers = numbers.astype(np.int64)
            documents, files, cut = arrays["documents"], numbers[arrays["document_files"]], arrays["document_cut"]
            self._whole.append((documents[~cut], files[~cut]))
            for digest, file in zip(documents[cut], files[cut].tolist(), strict=True):
                self._cut.setdefault(file, hashlib.blake2b(digest_size=8)).update(digest.tobytes())
            grams = {f"grams_{length}": arrays[f"grams_{length}"] for length in lengths}
            return grams | {
                f"grams_{length}_files": numbers[arrays[f"gram_files_{length}"]].astype(np.int64) for length in lengths
            }

    def documents(self) -> tuple[Hashes, np.ndarray]:
        """The hash of each document and the number of its file."""
        cut = np.frombuffer(b"".join(digest.digest() for digest in self._cut.values()), np.uint64)
        hashes, files = zip(*self._whole, (cut, np.array(list(self._cut), np.int64)), strict=True)
        return np.concatenate(hashes), np.concatenate(files).astype(np.int64)


class _Origins:
    """For hashes of the held-out split the number of a training file that holds them too, or -1."""

    def __init__(self, parts: list[Hashes]) -> None:
        self._unique, self._inverse = np.unique(np.concatenate([np.empty(0, np.uint64), *parts]), return_inverse=True)
        self._origin = np.full(len(self._unique), -1, np.int64)

    def mark(self, hashes: Hashes, files: np.ndarray) -> None:
        """Notes the files of those hashes that are known here and have no file yet."""
        if not len(self._unique):
            return
        place = np.minimum(np.searchsorted(self._unique, hashes), len(self._unique) - 1)
        new = (self._unique[place] == hashes) & (self._origin[place] < 0)
        self._origin[place[new][::-1]] = files[new][::-1]  # of several the first stays

    def found(self) -> np.ndarray:
        """By hash as given, repeats included."""
        return self._origin[self._inverse]


def _offenders(
    ours: _Numbered,
    theirs: _Numbered,
    grams: tuple[np.ndarray, np.ndarray],
    documents: tuple[np.ndarray, np.ndarray],
) -> list[dict[str, Any]]:
    """The held-out files that share most with the training split; each pair is the files and their hashes' origins."""
    names, other_names = list(ours.names), list(theirs.names)
    held = np.bincount(grams[0], minlength=len(names))
    shared = np.bincount(grams[0][grams[1] >= 0], minlength=len(names))
    whole = np.bincount(documents[0][documents[1] >= 0], minlength=len(names))
    worst = [n for n in np.lexsort((np.arange(len(names)), -shared, -whole)).tolist() if shared[n] or whole[n]]
    result = []
    for number in worst[:_NAMED]:
        origins = [origin[(files == number) & (origin >= 0)] for files, origin in (documents, grams)]
        (other, _), *_ = Counter(np.concatenate(origins).tolist()).most_common(1)
        share = float(shared[number] / held[number]) if held[number] else 0.0
        names_pair = {"file": names[number], "in": other_names[other]}
        result.append(names_pair | {"share": share, "documents": int(whole[number])})
    return result
