"""How often each word of the training text occurs: counted by range, added up by partition.

Only counts travel between workers, as a few blocks of bytes for each range; a word is in one partition always, so the
most frequent words of all partitions are the most frequent words.
"""

import heapq
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from components.preprocess.graph import split
from hopline.schema import RESERVED_WORDS

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


def blocks(totals: Totals) -> Iterator[tuple[int, Block]]:
    """The totals as one block for each partition that has any; reserved words never count."""
    words, counts = totals.settled()
    counted = tf.reduce_all(words[:, tf.newaxis] != tf.constant(RESERVED_WORDS), 1)
    words, numbers = words[counted], counts[counted].numpy().astype("<i8")
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


def occurrences(block: Block) -> int:
    """How often the words of a block occur in all."""
    return int(np.frombuffer(block[1], "<i8").sum())


def most_frequent(found: Iterable[Block], most: int, least: int) -> tuple[list[tuple[str, int]], int]:
    """The words of a partition that occur `least` times or more, at most `most`; and how often all its words occur.

    Most frequent first; of equally frequent words the greater, as in vocabularies of TensorFlow Transform.
    """
    totals = Totals()
    for words, numbers in found:
        totals.add(tf.strings.split([words], "\n").flat_values, tf.constant(np.frombuffer(numbers, "<i8")))
    unique, summed = totals.settled()
    counts = summed.numpy()
    total = int(counts.sum())
    if len(counts) > most:  # all as frequent as the last of the kept, for among those the words decide
        least = max(least, int(np.partition(counts, -most)[-most]))
    kept = np.flatnonzero(counts >= least)
    ranked = zip(counts[kept].tolist(), tf.gather(unique, kept).numpy().tolist(), strict=True)
    return [(word.decode(), number) for number, word in heapq.nlargest(most, ranked)], total


def merge(partitions: Iterable[list[tuple[str, int]]], most: int) -> list[str]:
    """The most frequent words of all partitions, in order."""
    ranked = ((number, word.encode()) for partition in partitions for word, number in partition)
    return [word.decode() for _, word in heapq.nlargest(most, ranked)]
