"""How often each word of the training text occurs: counted by range, added up by partition.

Only counts travel between workers, as a few blocks of bytes for each range; a word is in one partition always, so the
most frequent words of all partitions are the most frequent words.
"""

import heapq
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from components.preprocess.graph import split
from hopline.schema import RESERVED_WORDS

PARTITIONS = 64

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

    def add(self, texts: list[bytes], counts: Counter[bytes]) -> None:
        """Adds the words of the texts to `counts`."""
        words, numbers = self._count(tf.constant(texts, tf.string))
        for word, number in zip(words.numpy().tolist(), numbers.numpy().tolist(), strict=True):
            counts[word] += number


def blocks(counts: Counter[bytes]) -> Iterator[tuple[int, Block]]:
    """The counts as one block for each partition that has any; reserved words never count."""
    partitions: dict[int, tuple[list[bytes], list[int]]] = {}
    for reserved in RESERVED_WORDS:
        counts.pop(reserved.encode(), None)
    for word, number in counts.items():
        words, numbers = partitions.setdefault(zlib.crc32(word) % PARTITIONS, ([], []))
        words.append(word)
        numbers.append(number)
    for index, (words, numbers) in sorted(partitions.items()):
        yield index, (b"\n".join(words), np.array(numbers, "<i8").tobytes())


def most_frequent(found: Iterable[Block], most: int, least: int) -> list[tuple[str, int]]:
    """The words of a partition that occur `least` times or more, most frequent first, at most `most`.

    Of equally frequent words the greater comes first, as in vocabularies of TensorFlow Transform.
    """
    totals: Counter[bytes] = Counter()
    for words, numbers in found:
        for word, number in zip(words.split(b"\n"), np.frombuffer(numbers, "<i8").tolist(), strict=True):
            totals[word] += number
    kept = ((number, word) for word, number in totals.items() if number >= least)
    return [(word.decode(), number) for number, word in heapq.nlargest(most, kept)]


def merge(partitions: Iterable[list[tuple[str, int]]], most: int) -> list[str]:
    """The most frequent words of all partitions, in order."""
    ranked = ((number, word.encode()) for partition in partitions for word, number in partition)
    return [word.decode() for _, word in heapq.nlargest(most, ranked)]
