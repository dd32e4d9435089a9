"""How often each word of the training text occurs: counted by range, added up by worker, then by partition.

Only counts travel between workers, as a few blocks of bytes for many ranges; a word is in one partition always, so the
most frequent words of all partitions are the most frequent words.
"""

import heapq
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from components.preprocess.graph import split
from hopline.schema import RESERVED_WORDS
from hopline.store.folders import write_bytes

PARTITIONS = 64
_MANY = 1 << 16  # words, repeats among them, that are held

Block = tuple[bytes, bytes]  # words, one a line, and how often each occurs, as little-endian int64


class WordCounter:
    """Counts the words of texts, cut by the graph."""

    def __init__(self, tokeniser: str, *, lowercase: bool) -> None:
        signature = [tf.TensorSpec([None], tf.string)]

        @tf.function(input_signature=signature, autograph=False)
        def count(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            words, _, counts = tf.unique_with_counts(split(texts, tokeniser, lowercase=lowercase).flat_values, tf.int64)
            return words, counts

        self._count = count

    def add(self, texts: list[bytes], totals: "Totals") -> None:
        """Adds the words of the texts to `totals`."""
        totals.add(*self._count(tf.constant(texts, tf.string)))


class Totals:
    """Words and how often each occurs, as tensors: a Python object for each would be slow."""

    def __init__(self) -> None:
        self._words, self._counts = [tf.constant([], tf.string)], [tf.constant([], tf.int64)]
        self._held = self._distinct = 0

    @property
    def held(self) -> int:
        """How many words are in memory, repeats among them."""
        return self._held

    def add(self, words: tf.Tensor, counts: tf.Tensor) -> None:
        """Adds words, string [N], that occur so often, int64 [N]."""
        self._words.append(words)
        self._counts.append(counts)
        self._held += len(words)
        if self._held > 2 * max(_MANY, self._distinct):
            self.settled()

    def settled(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Each word once, string [N], in the order in which they came, and how often it occurs, int64 [N]."""
        words, places = tf.unique(tf.concat(self._words, 0), tf.int64)
        counts = tf.math.unsorted_segment_sum(tf.concat(self._counts, 0), places, tf.size(words, tf.int64))
        self._words, self._counts = [words], [counts]
        self._held = self._distinct = len(words)
        return words, counts

    def counted(self) -> tuple[tf.Tensor, tf.Tensor]:
        """As `settled`, without reserved words, which never count."""
        words, counts = self.settled()
        counted = tf.reduce_all(words[:, tf.newaxis] != tf.constant(RESERVED_WORDS), 1)
        return words[counted], counts[counted]


def blocks(totals: Totals) -> Iterator[tuple[int, Block]]:
    """The totals as one block for each partition that has any; reserved words never count."""
    words, counts = totals.counted()
    numbers = counts.numpy().astype("<i8")
    partition = tf.strings.to_hash_bucket_fast(words, PARTITIONS).numpy()
    order = np.argsort(partition, kind="stable")
    words, numbers = tf.gather(words, order), numbers[order]
    ends = np.searchsorted(partition[order], np.arange(PARTITIONS), side="right").tolist()
    for index, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        if start < end:
            yield (
                index,
                (tf.strings.reduce_join(words[start:end], separator="\n").numpy(), numbers[start:end].tobytes()),
            )


@dataclass(frozen=True)
class Partition:
    """What of a partition is kept.

    Attributes:
        kept: its most frequent words.
        occurrences: of all its words, kept or not.
    """

    kept: Block
    occurrences: int

    def save(self, path: Path) -> None:
        """Writes it to `path` (NumPy's .npz), whole or not at all: a runner may add the same words up twice at once."""
        words, counts = (np.frombuffer(data, np.uint8) for data in self.kept)
        written = io.BytesIO()
        np.savez(written, words=words, counts=counts, occurrences=np.int64(self.occurrences))
        write_bytes(path, written.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Partition":
        """Reads what `save` wrote."""
        with np.load(path) as arrays:
            return cls((arrays["words"].tobytes(), arrays["counts"].tobytes()), int(arrays["occurrences"]))


def most_frequent(found: Iterable[Block], most: int, least: int) -> Partition:
    """The words of a partition that occur `least` times or more, at most `most`; and how often all its words occur.

    Of equally frequent words the greater are kept, as in vocabularies of TensorFlow Transform.  In no order.
    """
    totals = Totals()
    for words, numbers in found:
        totals.add(tf.strings.split([words], "\n").flat_values, tf.constant(np.frombuffer(numbers, "<i8")))
    unique, summed = totals.settled()
    counts = summed.numpy()
    kept = _chosen(counts, most, least, lambda places: tf.gather(unique, places).numpy().tolist())
    joined = tf.strings.reduce_join(tf.gather(unique, kept), separator="\n").numpy()
    return Partition((joined, counts[kept].astype("<i8").tobytes()), int(counts.sum()))


def merge(partitions: Iterable[Block], most: int) -> list[str]:
    """The most frequent words of all partitions, in order: of equally frequent ones the greater comes first."""
    held = [block for block in partitions if block[0]]
    words = [word for joined, _ in held for word in joined.split(b"\n")]
    counts = np.concatenate([np.empty(0, np.int64), *(np.frombuffer(numbers, "<i8") for _, numbers in held)])
    kept = _chosen(counts, most, 1, lambda places: [words[place] for place in places.tolist()])
    ranked = sorted(((int(counts[place]), words[place]) for place in kept), reverse=True)
    return [word.decode() for _, word in ranked]


def _chosen(counts: np.ndarray, most: int, least: int, words: Callable[[np.ndarray], list[bytes]]) -> np.ndarray:
    """The places of at most `most` words that occur `least` times or more; `words` tells the words at some places.

    A Python object is made only of those words that are as frequent as the last one kept.
    """
    kept = np.flatnonzero(counts >= least)
    if len(kept) <= most:
        return kept
    limit = np.partition(counts[kept], -most)[-most]
    above, tied = kept[counts[kept] > limit], kept[counts[kept] == limit]
    greatest = heapq.nlargest(most - len(above), zip(words(tied), tied.tolist(), strict=True))
    return np.concatenate([above, np.array([place for _, place in greatest], np.int64)])
