"""Words counted by range and added up by partition are words counted all at once."""

from collections import Counter, defaultdict

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from components.preprocess import counting
from components.preprocess.counting import Partition, Totals, WordCounter, blocks, merge, most_frequent
from hopline.model.tokenisers import tokenise

WORD = st.text(st.sampled_from("abé中"), min_size=1, max_size=2)


def totals(counts):
    result = Totals()
    # One by one, so that a word comes several times.
    for word, number in counts.items():
        for part in (number - 1, 1):
            result.add(tf.constant([word]), tf.constant([part], tf.int64))
    return result


@settings(deadline=None, max_examples=50)
@given(ranges=st.lists(st.lists(WORD, max_size=60), max_size=5), most=st.integers(1, 20), least=st.integers(1, 4))
def test_any_ranges_give_the_most_frequent_words_in_order(ranges, most, least):
    partitions = defaultdict(list)
    for words in ranges:
        for index, block in blocks(totals(Counter(word.encode() for word in words))):
            partitions[index].append(block)
    found = [most_frequent(group, most, least) for group in partitions.values()]
    counts = Counter(word for words in ranges for word in words)
    kept = [(number, word.encode()) for word, number in counts.items() if number >= least]
    assert merge([partition.kept for partition in found], most) == [
        word.decode() for _, word in sorted(kept, reverse=True)[:most]
    ]
    assert sum(partition.occurrences for partition in found) == counts.total()


def test_the_words_of_texts_are_those_of_the_tokeniser_and_reserved_ones_do_not_count():
    texts = ["Don't stop,\n<unk> <pad> <eos>", "stop, stop"]
    found = Totals()
    counter = WordCounter("words", lowercase=True)
    counter.add([text.encode() for text in texts], found)
    counter.add([b"stop"], found)
    expected = Counter(token for text in [*texts, "stop"] for token in tokenise(text, "words", lowercase=True))
    words, counts = (part.numpy().tolist() for part in found.settled())
    assert dict(zip(map(bytes.decode, words), counts, strict=True)) == expected
    kept = {}
    for _, block in blocks(found):
        joined, numbers = most_frequent([block], 99, 1).kept
        kept |= dict(zip(joined.decode().split("\n"), np.frombuffer(numbers, "<i8").tolist(), strict=True))
    assert kept == {word: number for word, number in expected.items() if word[0] != "<"}


def test_a_partition_is_read_as_it_was_written_also_without_a_word(tmp_path):
    found = [block for _, block in blocks(totals({"é".encode(): 3, b"a": 1 << 40}))]
    for number, partition in enumerate([most_frequent(found, 9, 1), most_frequent(found, 9, 1 << 41)]):
        partition.save(tmp_path / f"{number}.npz")
        assert Partition.load(tmp_path / f"{number}.npz") == partition
    assert partition.occurrences == 3 + (1 << 40)


def test_many_words_are_settled_on_the_way_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(counting, "_MANY", 4)
    found, expected = Totals(), Counter()
    for number in range(200):
        words = [f"w{number % 37}", f"w{number % 11}"]
        found.add(tf.constant(words), tf.constant([2, 3], tf.int64))
        expected.update({words[0]: 2})
        expected.update({words[1]: 3})
        assert sum(len(part) for part in found._words) <= 2 * 48 + 2
    words, counts = (part.numpy().tolist() for part in found.settled())
    assert dict(zip(map(bytes.decode, words), counts, strict=True)) == expected
