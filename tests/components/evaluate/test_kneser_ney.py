"""The n-grams against a plain implementation with dictionaries, written from the formulas and sharing no code."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from components.evaluate.kneser_ney import KneserNey, discounts
from hopline.schema import PAD
from tests.support import synthetic_documents

VOCABULARY = 9
BEGIN = "begin"


def documents(seed: int, count: int, words: int, vocabulary: int = VOCABULARY) -> list[list[int]]:
    """Ids 1 to vocabulary - 1, where a word depends on the one before it."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        ids = [1]
        while len(ids) < words:
            near = random.random() < 0.6
            ids.append(1 + (ids[-1] * 2 if near else int(random.integers(vocabulary - 1))) % (vocabulary - 1))
        made.append(ids)
    return made


def stream(texts: list[list[int]]) -> np.ndarray:
    return np.array([token for text in texts for token in [PAD, *text]], np.int32)


class PlainKneserNey:
    """Interpolated modified Kneser-Ney of one order by dictionaries of tuples."""

    def __init__(self, texts: list[list[int]], order: int, vocabulary: int) -> None:
        self.order, self.types = order, vocabulary - 1
        occurrences: Counter[tuple] = Counter()
        before: dict[tuple, set] = defaultdict(set)
        for text in texts:
            tokens = [BEGIN, *text]
            for end in range(1, len(tokens)):
                for size in range(1, order + 2):
                    if end - size + 1 >= 0:
                        gram = tuple(tokens[end - size + 1 : end + 1])
                        occurrences[gram] += 1
                        before[gram[1:]].add(gram[0])
        self.counts = {}
        for gram, count in occurrences.items():
            if len(gram) <= order:
                whole = len(gram) == order or gram[0] == BEGIN
                self.counts[gram] = count if whole else len(before[gram])
        self.followers = defaultdict(dict)
        for gram, count in self.counts.items():
            self.followers[gram[:-1]][gram[-1]] = count
        self.discounts = {
            size: discounts(np.array([count for gram, count in self.counts.items() if len(gram) == size]))
            for size in range(1, order + 1)
        }

    def probability(self, history: tuple, word: int) -> float:
        history = history[-(self.order - 1) :] if self.order > 1 else ()
        return self._interpolated(history, word)

    def _interpolated(self, history: tuple, word: int) -> float:
        shorter = self._interpolated(history[1:], word) if history else 1 / self.types
        followers = self.followers.get(history)
        if not followers:
            return shorter
        discount = self.discounts[len(history) + 1]
        total = sum(followers.values())
        own = followers.get(word, 0)
        kept = own - discount[min(own, 3) - 1] if own else 0.0
        freed = sum(discount[min(count, 3) - 1] for count in followers.values())
        return (kept + freed * shorter) / total


@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_every_token_has_the_probability_of_a_plain_implementation(order):
    train, held_out = documents(0, count=6, words=60), documents(1, count=4, words=25)
    held_out.append([7])
    plain = PlainKneserNey(train, order, VOCABULARY)
    expected = [plain.probability((BEGIN, *text[:place]), word) for text in held_out for place, word in enumerate(text)]
    scored = KneserNey(stream(train), VOCABULARY).score(stream(held_out))[order]
    assert np.exp(-scored) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "history",
    [[], [3], [1, 3], [5, 5, 5, 5], [8, 7, 8, 7, 8, 7], [2, 5, 3, 7, 7, 7, 7]],
    ids=lambda h: f"{len(h)} words",
)
def test_the_probabilities_of_all_words_sum_to_one_after_any_history(history):
    train = documents(2, count=5, words=40, vocabulary=7)  # the words 7 and 8 never occur
    texts = [[*history, word] for word in range(1, VOCABULARY)]
    scores = KneserNey(stream(train), VOCABULARY).score(stream(texts))
    assert list(scores) == [1, 2, 3, 4, 5]
    for nll in scores.values():
        last = np.cumsum([len(text) for text in texts]) - 1
        assert np.exp(-nll[last]).sum() == pytest.approx(1.0, abs=1e-12)


def test_no_context_crosses_a_document():
    model = KneserNey(stream(documents(3, count=5, words=50)), VOCABULARY)
    first, second = documents(4, count=2, words=20)
    together = model.score(stream([first, second]))
    for order, nll in together.items():
        apart = np.concatenate([model.score(stream([text]))[order] for text in (first, second)])
        np.testing.assert_array_equal(nll, apart)


def test_a_longer_context_predicts_better_what_depends_on_two_words():
    words = [text.split() for text in synthetic_documents(seed=0, documents=9, words=400)]
    ids = {word: 1 + place for place, word in enumerate(sorted({word for text in words for word in text}))}
    texts = [[ids[word] for word in text] for text in words]
    scores = KneserNey(stream(texts[:8]), len(ids) + 1).score(stream(texts[8:]))
    perplexities = {order: math.exp(nll.mean()) for order, nll in scores.items()}
    assert perplexities[3] < 0.5 * perplexities[2] < perplexities[1]


@pytest.mark.parametrize(("words", "orders"), [(1, [2]), (2, [2, 3]), (3, [2, 3, 4]), (9, [2, 3, 4, 5])])
def test_orders_end_where_the_text_is_too_short(words, orders):
    model = KneserNey(stream([[1] * words]), VOCABULARY)
    assert list(model.orders) == orders
    assert all(np.isfinite(nll).all() for nll in model.score(stream([[1, 2, 3, 1, 1]])).values())


def test_the_discounts_are_those_of_chen_and_goodman():
    counts = np.repeat([1, 2, 3, 4, 9], [80, 30, 16, 10, 7])
    single = 80 / (80 + 2 * 30)
    expected = [1 - 2 * single * 30 / 80, 2 - 3 * single * 16 / 30, 3 - 4 * single * 10 / 16]
    assert discounts(counts) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("counts", "expected"), [([1, 1, 2], 0.5), ([1, 1], 0.75), ([], 0.75), ([2, 2, 5], 0.75), ([0, 0, 1, 2], 1 / 3)]
)
def test_a_short_text_has_one_discount(counts, expected):
    assert discounts(np.array(counts, np.int64)).tolist() == pytest.approx([expected] * 3)
