"""How far a corpus has moved from another: nothing for a second sample, much for another text, each with figures."""

import math
from collections import Counter

import numpy as np
import pytest

from components.preprocess.drift import Drift, drift, require_no_drift
from components.preprocess.profile import Profile, profile_of
from components.preprocess.statistics import Tally
from hopline.config.preprocess import PreprocessConfig
from hopline.runtime.errors import UserError
from hopline.schema import RESERVED_WORDS

TYPES = 400
WORDS = [*RESERVED_WORDS, *(f"w{number}" for number in range(TYPES))]


def zipf(power=1.0):
    shares = 1 / np.arange(1, TYPES + 1) ** power
    return shares / shares.sum()


def sample(shares, size, seed, *, unknown=0, lengths=None, words=WORDS, tokeniser="words", splits=("train",)):
    """The profile of a text of `size` words that are drawn independently, and of some that are unknown."""
    counts = np.random.default_rng(seed).multinomial(size, shares)
    tally = Tally(np.array([0, unknown, size // 10, *counts]), lengths=Counter(lengths or {size: 1}))
    tally.unknown = np.arange(unknown, dtype=np.uint64)
    return profile_of(dict.fromkeys(splits, tally.summary()), words, tokeniser=tokeniser, lowercase=False)


def measures(found):
    return {measure.name: measure for measure in found.measures}


@pytest.mark.parametrize("sizes", [(2_000, 2_000), (5_000, 50_000), (1_000_000, 1_000_000)])
def test_two_samples_of_one_text_differ_by_what_chance_makes_and_no_more(sizes):
    excess, chance = [], 0.0
    for seed in range(30):
        ours, theirs = (sample(zipf(), size, 2 * seed + number) for number, size in enumerate(sizes))
        words = measures(drift(ours, theirs, 1))["words"]
        excess.append(words.distance - words.chance)
        chance = words.chance
    assert abs(np.mean(excess)) < 0.35 * chance + 1e-5  # rare words, for which the formula is an approximation
    assert max(excess) < chance + 1e-4


def test_the_distance_is_the_divergence_of_the_two_distributions_in_bits():
    left, right = zipf(1.0), zipf(1.5)
    ours, theirs = sample(left, 10_000_000, 1), sample(right, 10_000_000, 2)
    middle = (left + right) / 2
    expected = sum(float((side * np.log2(side / middle)).sum()) for side in (left, right)) / 2
    assert measures(drift(ours, theirs, 1))["words"].distance == pytest.approx(expected, rel=0.01)


def test_texts_without_a_common_word_are_as_far_apart_as_can_be():
    ours = sample(zipf(), 5_000, 1)
    theirs = sample(zipf(), 5_000, 2, words=[*RESERVED_WORDS, *(f"v{number}" for number in range(TYPES))])
    assert measures(drift(ours, theirs, 1))["words"].distance == pytest.approx(1.0)


def test_the_words_that_changed_most_are_named_with_both_figures():
    shares = zipf()
    moved = shares.copy()
    moved[[3, 200]] = moved[[200, 3]]
    found = drift(sample(moved, 1_000_000, 1), sample(shares, 1_000_000, 2), 1)
    assert {item.word for item in found.changed[:2]} == {"w3", "w200"}
    changed = {item.word: item for item in found.changed}["w200"]
    assert changed.before == pytest.approx(1e6 * shares[200], rel=0.1)
    assert changed.now == pytest.approx(1e6 * shares[3], rel=0.1)


def test_a_text_that_is_longer_but_no_richer_has_no_other_share_of_different_words():
    short, long = sample(zipf(), 12_000, 1), sample(zipf(), 400_000, 2)
    types = measures(drift(long, short, 1))["types"]
    assert types.distance < 0.002
    assert "10,000" in types.label
    flat = np.full(TYPES, 1 / TYPES)
    assert measures(drift(sample(flat, 5_000, 1), sample(zipf(2), 5_000, 2), 1))["types"].distance > 0.1


def test_expected_types_are_those_that_drawing_gives():
    rng, shares = np.random.default_rng(5), zipf()
    ratio = sample(shares, 3_000_000, 1).type_ratios[1_000]
    drawn = [len(set(rng.choice(TYPES, 1_000, p=shares).tolist())) / 1_000 for _ in range(200)]
    assert ratio == pytest.approx(np.mean(drawn), abs=0.002)


def test_unknown_words_count_as_types_of_their_own():
    few, many = sample(zipf(), 20_000, 1), sample(zipf(), 20_000, 1, unknown=5_000)
    assert many.type_ratios[10_000] - few.type_ratios[10_000] == pytest.approx(0.2 - 0.004, abs=0.05)


def test_the_split_whose_unknown_words_changed_most_decides():
    ours = sample(zipf(), 10_000, 1, unknown=1_000, splits=("train", "valid"))
    theirs = sample(zipf(), 10_000, 2, splits=("train", "valid"))
    theirs.unknown_rates["train"] = ours.unknown_rates["train"]
    unknown = measures(drift(ours, theirs, 1))["unknown"]
    assert unknown.distance == pytest.approx(1_000 / 11_000)
    assert "valid" in unknown.label


def test_document_lengths_compare_by_their_distributions():
    near, far = {100: 50, 200: 50}, {1_000: 50, 2_000: 50}
    assert measures(drift(*(sample(zipf(), 9_999, 1, lengths=near) for _ in "ab"), 1))["lengths"].distance == 0
    found = measures(drift(sample(zipf(), 9_999, 1, lengths=far), sample(zipf(), 9_999, 2, lengths=near), 1))["lengths"]
    assert found.distance == 1.0
    assert 0 < found.chance < 0.2


def test_lengths_of_few_documents_are_not_compared():
    found = drift(sample(zipf(), 9_999, 1), sample(zipf(), 9_999, 2), 1)
    assert measures(found)["lengths"].distance is None
    require_no_drift(found, PreprocessConfig(max_drift_lengths=0.0))


@pytest.mark.parametrize("theirs", [None, sample(zipf(), 5_000, 2, tokeniser="characters")])
def test_what_cannot_be_compared_breaks_no_rule(theirs):
    found = drift(sample(zipf(), 5_000, 1), theirs, 3)
    assert [measure.distance for measure in found.measures] == [None] * 4
    require_no_drift(found, PreprocessConfig(max_drift_words=0.0, max_drift_unknown=0.0))


@pytest.mark.parametrize("name", ["words", "unknown", "types", "lengths"])
def test_each_distance_has_a_limit_of_its_own_and_the_error_has_the_figures(name):
    near, far = {100: 50, 200: 50}, {1_000: 50, 2_000: 50}
    ours = sample(np.full(TYPES, 1 / TYPES), 50_000, 1, unknown=10_000, lengths=far)
    found = drift(ours, sample(zipf(1.3), 50_000, 2, lengths=near), 7)
    require_no_drift(found, PreprocessConfig())
    with pytest.raises(UserError) as error:
        require_no_drift(found, PreprocessConfig(**{f"max_drift_{name}": 0.01}))
    message = error.value.message
    assert f"preprocess.max_drift_{name} allows 0.01" in message
    assert "champion 7" in message
    assert f"{measures(found)[name].distance:.4f}" in message
    assert measures(found)[name].label in message


def test_chance_never_counts_against_a_corpus():
    found = drift(sample(zipf(), 1_000, 1), sample(zipf(), 1_000, 2), 1)
    words = measures(found)["words"]
    assert words.distance > 0.01
    only = Drift(1, (words,))
    require_no_drift(only, PreprocessConfig(max_drift_words=max(0.0, words.distance - words.chance) + 1e-9))


def test_a_profile_is_read_as_it_was_written_and_a_later_one_too():
    profile = sample(zipf(), 30_000, 1, unknown=20, splits=("train", "test"))
    assert Profile.from_json(profile.to_json()) == profile
    assert list(Profile.from_json(profile.to_json()).frequent) == list(profile.frequent)
    assert Profile.from_json(profile.to_json().replace("{", '{"later": 1, ', 1)) == profile
    assert math.isclose(profile.words, 30_020)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tokeniser": "words"}', "null"])
def test_what_is_no_profile_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        Profile.from_json(text)


def test_a_profile_lists_no_more_words_than_its_bound(monkeypatch):
    monkeypatch.setattr("components.preprocess.profile._WORDS", 10)
    profile = sample(zipf(), 30_000, 1)
    assert next(iter(profile.frequent)) == "w0"
    assert len(profile.frequent) == 10
    assert list(profile.frequent.values()) == sorted(profile.frequent.values(), reverse=True)
