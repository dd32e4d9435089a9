"""Lengths of documents: a bounded histogram, and those far beyond the others by name."""

import itertools
import random
from collections import Counter

import pytest

from components.preprocess.lengths import histogram, longest, outliers, quantile


def lengths_of(named):
    return Counter(length for length, _ in named)


def lognormal(sigma, count=2_000):
    draw = random.Random(1)
    return [(max(1, round(draw.lognormvariate(6, sigma))), f"d{number}") for number in range(count)]


def test_a_document_far_beyond_the_others_is_named_with_its_figures():
    named = [(90 + number, f"d{number}") for number in range(40)] + [(600_000, "book"), (5_000, "report")]
    found = outliers(lengths_of(named), longest(named))
    assert (found["documents"], found["tokens"], found["median"]) == (2, 605_000, 110)
    assert found["limit"] >= 10 * found["median"]
    expected = [{"document": "book", "tokens": 600_000}, {"document": "report", "tokens": 5_000}]
    assert found["longest"] == expected


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0, 1.5, 2.0])
def test_lengths_that_only_vary_much_are_no_outliers(sigma):
    named = lognormal(sigma)
    assert outliers(lengths_of(named), longest(named)) == {}


@pytest.mark.parametrize("sigma", [0.0, 0.5, 1.0])
def test_among_any_of_them_a_book_is(sigma):
    named = [*lognormal(sigma), (4_000_000, "book")]
    found = outliers(lengths_of(named), longest(named))
    assert [item["document"] for item in found["longest"]] == ["book"]


def test_of_few_documents_none_is_beyond_the_others():
    named = [(1, f"d{number}") for number in range(18)] + [(600_000, "book")]
    assert outliers(lengths_of(named), longest(named)) == {}
    assert outliers(Counter(), []) == {}


def test_the_longest_are_the_same_however_they_were_grouped():
    named = [(number % 7, f"d{number:03}") for number in range(100)]
    whole = longest(named)
    for size in (1, 3, 40):
        parts = [longest(named[start : start + size]) for start in range(0, len(named), size)]
        assert longest(itertools.chain.from_iterable(reversed(parts))) == whole


def test_a_histogram_counts_every_document_in_the_bin_that_holds_its_length():
    lengths = Counter({length: 1 + length % 3 for length in range(1, 3_000)})
    bins = histogram(lengths)
    assert sum(count for _, count in bins) == lengths.total()
    edges = [edge for edge, _ in bins] + [3_000]
    assert edges == sorted(set(edges))
    assert len(bins) < 50
    for (edge, count), above in zip(bins, edges[1:], strict=True):
        assert count == sum(number for length, number in lengths.items() if edge <= length < above)


def test_a_quantile_is_a_length_that_occurs():
    lengths = Counter({1: 10, 5: 80, 100: 9, 1000: 1})
    assert [quantile(lengths, share) for share in (0.0, 0.1, 0.5, 0.99, 1.0)] == [1, 1, 5, 100, 1000]
