import numpy as np
import pytest

from components.evaluate.scores import Scores
from components.evaluate.slices import MOST_SOURCES, by_frequency, by_place, by_recency, by_source, recency, slices
from components.evaluate.text import Document
from hopline.schema import UNKNOWN


def held(masks):
    return {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()}


def test_words_are_frequent_rare_or_unknown():
    masks = by_frequency(np.arange(UNKNOWN, 103), vocabulary_size=103)
    assert [int(mask.sum()) for mask in masks.values()] == [11, 90, 1]


def test_the_first_tokens_are_those_of_each_document():
    early, later = by_place(np.array([52, 0, 3])).values()
    assert np.flatnonzero(later).tolist() == [50, 51]
    assert (early ^ later).all()


def test_a_word_is_as_far_back_as_it_last_stood_in_the_same_document():
    words, lengths = np.array([7, 8, 7, 7, 8, 7, 9]), np.array([5, 2])
    assert recency(words, lengths).tolist() == [0, 0, 2, 1, 3, 0, 0]


@pytest.mark.parametrize(
    ("distance", "name"),
    [(1, "1 to 10 tokens back"), (10, "1 to 10 tokens back"), (11, "11 to 100 tokens back"),
     (1_000, "101 to 1,000 tokens back"), (1_001, "more than 1,000 tokens back")],
)  # fmt: skip
def test_recency_is_told_in_steps_of_ten(distance, name):
    words = np.arange(2_000)
    words[distance] = words[0]
    assert held(by_recency(words, np.array([2_000])))[name] == [distance]


def test_sources_are_ordered_by_their_tokens():
    assert held(by_source(np.array([1, 2, 1]), ["b", "a", "b"])) == {"a": [1, 2], "b": [0, 3]}


def test_many_sources_are_taken_together():
    lengths = np.arange(30, 0, -1)
    masks = by_source(lengths, [f"file-{number}" for number in range(30)])
    assert list(masks)[:2] == ["file-0", "file-1"]
    assert len(masks) == MOST_SOURCES
    assert list(masks)[-1] == f"{30 - MOST_SOURCES + 1} other sources"


def test_every_group_holds_every_token_once():
    random = np.random.default_rng(0)
    index = random.integers(40, size=300).astype(np.int32)
    scores = Scores(np.zeros(300, np.float32), index.astype(np.int64) + 1, index, ("w",) * 40, np.array([100, 200]))
    parts = slices(scores, [Document("a", ""), Document("b", "")], vocabulary_size=41)
    groups = {part.group for part in parts}
    assert len(groups) == 4
    for group in groups:
        assert np.sum([part.mask for part in parts if part.group == group], axis=0).tolist() == [1] * 300
