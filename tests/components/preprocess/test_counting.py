"""Words counted by range and added up by partition are words counted all at once."""

from collections import Counter, defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from components.preprocess.counting import WordCounter, blocks, merge, most_frequent
from hopline.model.tokenisers import tokenise

WORD = st.text(st.sampled_from("abé中"), min_size=1, max_size=2)


@settings(deadline=None, max_examples=50)
@given(ranges=st.lists(st.lists(WORD, max_size=60), max_size=5), most=st.integers(1, 20), least=st.integers(1, 4))
def test_any_ranges_give_the_most_frequent_words_in_order(ranges, most, least):
    partitions = defaultdict(list)
    for words in ranges:
        for index, block in blocks(Counter(word.encode() for word in words)):
            partitions[index].append(block)
    found = merge([most_frequent(group, most, least) for group in partitions.values()], most)
    counts = Counter(word for words in ranges for word in words)
    kept = [(number, word.encode()) for word, number in counts.items() if number >= least]
    assert found == [word.decode() for _, word in sorted(kept, reverse=True)[:most]]


def test_the_words_of_texts_are_those_of_the_tokeniser_and_reserved_ones_do_not_count():
    texts = ["Don't stop,\n<unk> <pad> <eos>", "stop, stop"]
    counts = Counter()
    counter = WordCounter("words", lowercase=True)
    counter.add([text.encode() for text in texts], counts)
    counter.add([b"stop"], counts)
    expected = Counter(token for text in [*texts, "stop"] for token in tokenise(text, "words", lowercase=True))
    assert {word.decode(): number for word, number in counts.items()} == expected
    kept = dict(entry for _, block in blocks(counts) for entry in most_frequent([block], 99, 1))
    assert kept == {word: number for word, number in expected.items() if word[0] != "<"}
