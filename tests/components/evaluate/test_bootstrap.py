import itertools
import math

import numpy as np
import pytest

from components.evaluate import bootstrap, student
from components.evaluate.bootstrap import Pairs, observations, paired_difference, standard_error


def pairs(difference, documents=None):
    difference = np.asarray(difference, float)
    ones = np.ones(len(difference))
    documents = np.zeros(len(difference), np.int64) if documents is None else np.asarray(documents)
    return Pairs(difference, ones, ones, documents)


def judged(difference, documents=None, *, margin=0.0, confidence=0.95, block=1024):
    return paired_difference(pairs(difference, documents), margin=margin, confidence=confidence, block=block)


@pytest.mark.parametrize(
    ("probability", "degrees", "t"),  # tables of Student's t
    [
        (0.95, 1, 6.3138),
        (0.95, 2, 2.9200),
        (0.975, 9, 2.2622),
        (0.95, 23, 1.7139),
        (0.9, 5, 1.4759),
        (0.995, 1e6, 2.5758),
    ],
)
def test_the_quantiles_of_t_are_those_of_the_tables(probability, degrees, t):
    assert student.quantile(probability, degrees) == pytest.approx(t, abs=5e-5)
    assert student.distribution(t, degrees) == pytest.approx(probability, abs=5e-5)
    assert student.quantile(1 - probability, degrees) == pytest.approx(-t, abs=5e-5)


def test_resampling_has_the_distribution_of_all_equally_likely_resamples():
    sums, sizes = np.array([3.0, -1.0, 4.0, 1.5]), np.array([2.0, 1.0, 5.0, 2.0])
    every = [sums[list(drawn)].sum() / sizes[list(drawn)].sum() for drawn in itertools.product(range(4), repeat=4)]
    means = bootstrap.resampled_means(sums, sizes)
    assert len(means) == bootstrap.RESAMPLES
    assert means.mean() == pytest.approx(np.mean(every), abs=0.02)
    assert means.std() == pytest.approx(np.std(every), rel=0.02)
    assert np.quantile(means, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(every, [0.05, 0.5, 0.95]), abs=0.03)
    assert {round(mean, 9) for mean in means} <= {round(mean, 9) for mean in every}


def test_the_standard_error_of_independent_observations_is_the_textbook_one():
    random = np.random.default_rng(0)
    sums = random.normal(size=400)
    assert standard_error(sums, np.ones(400)) == pytest.approx(sums.std(ddof=1) / 20, rel=0.05)


def test_neighbours_that_resemble_each_other_widen_the_standard_error():
    random = np.random.default_rng(0)
    sums = np.repeat(random.normal(size=20), 2)
    shuffled = random.permutation(sums)
    assert standard_error(sums, np.ones(40)) > 1.2 * standard_error(shuffled, np.ones(40))


def test_two_documents_give_student_s_interval_with_one_degree_of_freedom():
    difference = judged(np.repeat([-0.5, -0.3], 100), np.repeat([0, 1], 100))
    assert difference.mean == pytest.approx(-0.4)
    t = math.tan(math.pi * (0.5 - 0.85 * 0.05))  # that of Cauchy's distribution
    assert difference.high - difference.mean == pytest.approx(t * 0.1, rel=0.02)  # times half their distance


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.99])
def test_interval_and_confidence_are_one_statement(confidence):
    random = np.random.default_rng(1)
    for shift in np.linspace(-0.3, 0.1, 9):
        scores = random.normal(shift, 1.0, size=400)
        result = judged(scores, np.repeat(np.arange(20), 20), margin=-0.05, confidence=confidence)
        assert (result.confidence >= confidence) == (result.high <= result.margin)
        assert result.low <= result.mean <= result.high
        assert result.level == pytest.approx(2 * confidence - 1)


def test_a_gain_below_the_least_asked_is_not_shown_however_sure_it_is():
    random = np.random.default_rng(1)
    scores = random.normal(-0.0005, 0.01, size=(100, 1000)).ravel()
    documents = np.repeat(np.arange(100), 1000)
    assert judged(scores, documents, margin=0.0).confidence > 0.99
    assert judged(scores, documents, margin=math.log1p(-0.001)).confidence < 0.01


def test_documents_are_the_observations_where_there_are_two_or_more():
    kind, sums, sizes = observations(pairs([1, 2, 3, 4, 5], [0, 0, 1, 2, 2]), block=1024)
    assert kind == "documents"
    assert (sums.tolist(), sizes.tolist()) == ([3, 3, 9], [2, 1, 2])


@pytest.mark.parametrize(
    ("tokens", "count"), [(1, 1), (2047, 1), (2048, 2), (10_000, 9), (24 * 1024, 24), (1_000_000, 24)]
)
def test_a_single_document_is_cut_into_blocks_of_at_least_the_size_asked(tokens, count):
    kind, _, sizes = observations(pairs(np.zeros(tokens)), block=1024)
    assert kind == "blocks"
    assert len(sizes) == count
    assert sizes.sum() == tokens
    assert sizes.min() >= min(1024, tokens)
    assert sizes.max() - sizes.min() <= 1


def test_very_many_documents_are_merged_with_their_neighbours():
    kind, sums, sizes = observations(pairs(np.ones(7_001), np.arange(7_001)), block=1024)
    assert (kind, len(sums), sums.sum()) == ("documents", bootstrap.MOST_OBSERVATIONS, 7_001)
    assert set(sizes) == {7, 8}


def test_one_document_that_is_most_of_the_text_counts_for_little_more_than_one():
    random = np.random.default_rng(2)
    documents = np.repeat([0, 1, 2], [9_800, 100, 100])
    scores = random.normal(-0.1, 1, size=10_000)
    result = judged(scores, documents)
    assert result.observations == 3
    assert 1 < result.effective < 1.05
    error = (result.high - result.mean) / student.quantile(1 - bootstrap.SPENT * 0.05, 1.0)
    sums, sizes = np.add.reduceat(scores, [0, 9_800, 9_900]), np.array([9_800.0, 100, 100])
    assert error == pytest.approx(standard_error(sums, sizes))


def test_of_a_text_that_is_too_short_nothing_is_said():
    result = judged(np.full(1500, -0.5))
    assert (result.mean, result.observations, result.kind) == (-0.5, 1, "blocks")
    assert all(math.isnan(value) for value in (result.low, result.high, result.confidence))


def test_equal_scores_are_not_better():
    result = judged(np.zeros(5000))
    assert (result.mean, result.low, result.high, result.confidence) == (0, 0, 0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_give_neither_interval_nor_confidence(bad):
    scores = np.full(5000, -1.0)
    scores[7] = bad
    result = judged(scores)
    assert not math.isfinite(result.mean)
    assert all(math.isnan(value) for value in (result.low, result.high, result.confidence))


def test_the_same_scores_give_the_same_interval():
    scores = np.random.default_rng(1).normal(size=5000)
    assert judged(scores) == judged(scores)


def test_resampling_in_parts_covers_all_resamples(monkeypatch):
    sums = np.random.default_rng(1).normal(size=30)
    at_once = standard_error(sums, np.ones(30))
    monkeypatch.setattr(bootstrap, "_DRAWS_AT_ONCE", 700)
    assert standard_error(sums, np.ones(30)) == pytest.approx(at_once, rel=0.03)


def test_no_confidence_asked_shows_the_interval_of_ninety_five_percent():
    scores = np.random.default_rng(1).normal(size=5000)
    assert judged(scores, confidence=0.0) == judged(scores, confidence=0.95)
