"""The card of a promoted model."""

import json

import pytest

from hopline import artifacts
from hopline.registry.card import baselines, data_facts, describe, render
from tests.hopline.registry.test_records import RECORD

CONTENT = {
    "split": "test",
    "tokens": 1000,
    "challenger": {"perplexity": 100.5, "comparable_perplexity": 120.25, "unknown_tokens": 58, "bytes": 1234},
    "champion": {"model_id": "before", "comparable_perplexity": 130.5},
    "baselines": {"unigram": {"perplexity": 677.2}, "kneser_ney_5": {"perplexity": 119.4}},
}


@pytest.fixture
def model(tmp_path):
    facts = {
        "fingerprint": "corpus", "vocabulary_size": 10_002, "parameters": 720, "steps": 9,
        "best_valid_perplexity": 99.0,
        "data": {
            "config": {"corpus": {"train": "texts/*.txt"}, "preprocess": {"min_count": 2}},
            "splits": {"train": {"documents": 31, "tokens": 10_354, "unknown_rate": 0.0581}},
        },
    }  # fmt: skip
    config = {"model": {"memory": 100}, "train": {"learning_rate": 0.64}}
    return artifacts.seal(tmp_path, "model", parents={"examples": "examples id"}, config=config, facts=facts)


@pytest.fixture
def evaluation(tmp_path):
    (tmp_path / "evaluation").mkdir()
    facts = {"reasons": ["gain: it is better", "confidence: surely"]}
    return artifacts.seal(tmp_path / "evaluation", "evaluation", parents={}, config={}, facts=facts)


def test_a_card_says_data_recipe_numbers_limits_parents_licence_and_how_to_load_it(model, evaluation):
    card = describe(model, evaluation, CONTENT, license_name="Apache-2.0", limits=["Not for medicine."])
    text = render(RECORD, card)
    for said in (
        "# Version 3", "Licence: Apache-2.0", "- gain: it is better",
        "| Perplexity on test | 100.50 |", "| Comparable perplexity on test | 120.25 |",
        "| Comparable perplexity of the champion before it | 130.50 |",
        "| Baseline: Kneser-Ney 5-gram | 119.40 |", "| Baseline: word frequencies | 677.20 |",
        "| train | 31 | 10,354 |  | 5.81% |", "| corpus.train | `texts/*.txt` |", "| train.learning_rate | `0.64` |",
        "at most 100 words before it", "(5.8% of the test split)", "- Not for medicine.",
        "| examples | `examples id` |", f"| evaluation | `{evaluation.id}` |", "| champion before it | version 2 |",
        'tf.saved_model.load("saved_model")',
    ):  # fmt: skip
        assert said in text


def test_the_content_of_a_card_is_json(model, evaluation):
    card = describe(model, evaluation, {**CONTENT, "challenger": {"perplexity": "inf"}}, limits=("a", "b"))
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert "| Perplexity on test | 100.50 |" in render(RECORD, card)


def test_what_an_older_hopline_did_not_record_is_left_out(tmp_path):
    manifest = artifacts.seal(tmp_path, "model", parents={}, config={}, facts={"fingerprint": "corpus"})
    text = render(RECORD, describe(manifest))
    assert "Baseline" not in text
    assert "## Why" not in text
    assert "| Perplexity on test | 100.50 |" in text
    assert "none was named" in text


@pytest.mark.parametrize(
    "source",
    [
        {"baselines": {"unigram": 677.0, "kneser-ney": 119.5}},
        {"baselines": {"unigram": {"perplexity": 677.0}, "kneser-ney": {"perplexity": 119.5, "order": 5}}},
        {"baselines.unigram": 677.0, "baselines.kneser-ney.perplexity": 119.5},
    ],
)
def test_baselines_are_read_in_each_form(source):
    assert baselines({}, source) == {"unigram": 677.0, "kneser-ney": 119.5}


@pytest.mark.parametrize(
    "source", [{}, {"baselines": None}, {"baselines": {"unigram": "inf"}}, {"baselines": {"x": True}}]
)
def test_what_is_no_number_is_no_baseline(source):
    assert baselines(source) == {}


def test_the_data_are_those_of_the_examples(tmp_path):
    statistics = {"train": {"tokens": 10, "types": 4, "unknown_rate": 0.1, "word_counts": [1, 2]}, "passages": 3}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    counts = {"train": {"documents": 2, "tokens": 10, "targets": 10}, "test": {"documents": 1, "tokens": 5}}
    manifest = artifacts.seal(tmp_path, "examples", parents={}, config={"corpus": {"train": "x"}}, counts=counts)
    assert data_facts(tmp_path, manifest) == {
        "config": {"corpus": {"train": "x"}},
        "splits": {
            "train": {"documents": 2, "tokens": 10, "types": 4, "unknown_rate": 0.1},
            "test": {"documents": 1, "tokens": 5},
        },
    }
