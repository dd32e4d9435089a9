import math

import numpy as np
import pytest

from components.evaluate import compare
from hopline.schema import UNKNOWN


def test_known_words_keep_their_score_and_unknown_ones_pay_for_the_choice():
    costs = compare.comparable_nll(np.array([1.0, 2.0], np.float32), np.array([5, UNKNOWN]), unknown_types=8)
    assert costs == pytest.approx([1.0, 2.0 + math.log(8)])


def test_one_unknown_type_costs_nothing_more():
    costs = compare.comparable_nll(np.array([2.0], np.float32), np.array([UNKNOWN]), unknown_types=1)
    assert costs == pytest.approx([2.0])


def test_the_comparable_probabilities_of_all_words_sum_to_one():
    # A model of <unk>, <eos>, a, b in a universe of <eos>, a, b, c, d, e.
    probabilities = {UNKNOWN: 0.4, 2: 0.1, 3: 0.2, 4: 0.3}
    ids = np.array([2, 3, 4, UNKNOWN, UNKNOWN, UNKNOWN])
    nll = -np.log([probabilities[i] for i in ids])
    assert np.exp(-compare.comparable_nll(nll, ids, unknown_types=3)).sum() == pytest.approx(1.0)


def test_unknown_types_are_counted_over_both_vocabularies_and_the_text():
    first = {"<eos>", "a", "b"}
    second = {"<eos>", "b", "c", "d"}
    text = {"a", "d", "x", "<unk>"}
    looked_up = np.array([UNKNOWN if word not in second else 9 for word in sorted(first | text)])
    universe = first | second | text
    expected = len(universe - first), len(universe - second)
    assert compare.unknown_types(len(first), looked_up, len(second)) == expected


def test_equal_vocabularies_leave_the_ratio_of_perplexities_as_it_is():
    random = np.random.default_rng(0)
    ids = random.integers(UNKNOWN, 9, size=500)
    one, other = random.random(500), random.random(500)
    own = one.mean() - other.mean()
    comparable = [compare.comparable_nll(nll, ids, 7).mean() for nll in (one, other)]
    assert comparable[0] - comparable[1] == pytest.approx(own)


def test_a_model_that_calls_everything_unknown_does_not_win():
    random = np.random.default_rng(0)
    types, tokens = 1_000, 20_000
    weights = 1.0 / np.arange(1, types + 1)
    unigram = weights / weights.sum()
    drawn = random.choice(types, size=tokens, p=unigram)
    knows_all = compare.comparable_nll(-np.log(unigram[drawn]), drawn + 3, unknown_types=0)
    knows_none = compare.comparable_nll(np.zeros(tokens), np.full(tokens, UNKNOWN), unknown_types=types)
    difference = compare.paired_difference(knows_none, knows_all, block=64)
    assert difference.low > 0
    assert difference.better == 0.0


def test_the_difference_is_that_of_the_means():
    random = np.random.default_rng(1)
    challenger, champion = random.random(1003), random.random(1003)
    difference = compare.paired_difference(challenger, champion, block=64)
    assert difference.mean == pytest.approx(challenger.mean() - champion.mean())
    assert difference.low < difference.mean < difference.high


def test_the_same_scores_give_the_same_interval():
    random = np.random.default_rng(1)
    scores = random.random(2000), random.random(2000)
    assert compare.paired_difference(*scores, block=10) == compare.paired_difference(*scores, block=10)


def test_resampling_in_parts_covers_all_resamples(monkeypatch):
    random = np.random.default_rng(1)
    scores = random.random(2000), random.random(2000)
    at_once = compare.paired_difference(*scores, block=10)
    monkeypatch.setattr(compare, "_DRAWS_AT_ONCE", 700)
    in_parts = compare.paired_difference(*scores, block=10)
    assert (in_parts.low, in_parts.high) == pytest.approx((at_once.low, at_once.high), abs=3e-3)


def test_the_interval_of_independent_tokens_is_the_normal_one():
    random = np.random.default_rng(2)
    noise = random.normal(size=40_000)
    difference = compare.paired_difference(noise, np.zeros(40_000), block=1)
    half_width = 1.96 * noise.std() / math.sqrt(len(noise))
    assert (difference.high - difference.low) / 2 == pytest.approx(half_width, rel=0.1)


def test_neighbours_that_depend_on_each_other_widen_the_interval():
    random = np.random.default_rng(3)
    runs = np.repeat(random.normal(size=200), 50)
    zeros = np.zeros_like(runs)
    tokens, blocks = (compare.paired_difference(runs, zeros, block=block) for block in (1, 50))
    assert blocks.high - blocks.low > 4 * (tokens.high - tokens.low)


def test_equal_scores_do_not_count_as_better():
    scores = np.ones(500)
    difference = compare.paired_difference(scores, scores, block=10)
    assert (difference.mean, difference.low, difference.high, difference.better) == (0, 0, 0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_give_neither_interval_nor_probability(bad):
    challenger = np.full(500, 1.0)
    challenger[7] = bad
    difference = compare.paired_difference(challenger, np.full(500, 2.0), block=1)
    assert not math.isfinite(difference.mean)
    assert all(math.isnan(value) for value in (difference.low, difference.high, difference.better))


@pytest.mark.parametrize(("tokens", "block"), [(1, 1), (9, 1), (25, 2), (640, 64), (10_000, 64)])
def test_a_short_text_is_cut_into_shorter_blocks(tokens, block):
    scores = np.arange(tokens, dtype=float)
    assert compare.paired_difference(scores, 0 * scores, block=64).block == block


def test_every_token_is_in_one_slice():
    ids = np.arange(UNKNOWN, 103)
    masks = compare.slice_masks(ids, vocabulary_size=103)
    assert list(masks) == list(compare.SLICES)
    assert np.sum(list(masks.values()), axis=0).tolist() == [1] * len(ids)
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {"frequent": 11, "rare": 90, "unknown": 1}
