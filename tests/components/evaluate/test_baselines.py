import math

import numpy as np
import pytest

from components.evaluate import baselines
from components.evaluate.baselines import LABELS, Baseline, best_kneser_ney, score_baselines

TRAIN = np.array([0, 1, 2, 1, 2, 3, 0, 1, 2, 1], np.int32)  # two documents of the words 1, 2, 3; 4 never occurs
SPLIT = np.array([0, 1, 2, 0, 4], np.int32)


def test_the_unigram_adds_one_to_every_count():
    probabilities = np.array([4 + 1, 3 + 1, 0 + 1]) / (8 + 4)
    assert score_baselines(TRAIN, SPLIT, 5)["unigram"].nll == pytest.approx(-np.log(probabilities).mean())


def test_the_unigram_sums_to_one_over_the_vocabulary():
    words = [score_baselines(TRAIN, np.array([0, word], np.int32), 5)["unigram"].nll for word in range(1, 5)]
    assert sum(math.exp(-nll) for nll in words) == pytest.approx(1)


def test_every_baseline_has_a_perplexity_of_the_same_tokens():
    made = score_baselines(TRAIN, SPLIT, 5)
    assert list(made) == list(LABELS) == ["unigram", *(f"kneser_ney_{order}" for order in (2, 3, 4, 5))]
    for baseline in made.values():
        assert baseline.content() == {"perplexity": math.exp(baseline.nll), "nll": baseline.nll, "note": ""}


def test_a_baseline_that_cannot_be_made_says_why():
    made = score_baselines(np.array([0, 1, 2, 0, 1], np.int32), SPLIT, 5)
    assert made["kneser_ney_3"].perplexity is not None
    assert made["kneser_ney_4"] == Baseline(None, "no document of the training split has 4 tokens")
    assert made["kneser_ney_4"].perplexity is None


def test_a_training_split_without_a_token_leaves_even_frequencies():
    made = score_baselines(np.array([0], np.int32), SPLIT, 5)
    assert made["unigram"].perplexity == pytest.approx(4)
    assert best_kneser_ney(made) is None


def test_a_long_training_split_is_counted_in_part_and_the_note_says_so(monkeypatch):
    whole = score_baselines(TRAIN[:6], SPLIT, 5)
    monkeypatch.setattr(baselines, "MOST_TOKENS", 6)
    part = score_baselines(TRAIN, SPLIT, 5)
    assert part["kneser_ney_2"] == Baseline(whole["kneser_ney_2"].nll, "from the first 6 of 8 training tokens")
    assert part["unigram"].note == ""


def test_the_best_n_gram_has_the_lowest_perplexity():
    made = {"unigram": Baseline(0.5), "kneser_ney_2": Baseline(2.0), "kneser_ney_3": Baseline(1.0)}
    assert best_kneser_ney({**made, "kneser_ney_4": Baseline(None, "why")}) == "kneser_ney_3"
