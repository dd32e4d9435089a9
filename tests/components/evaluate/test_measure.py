import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from components.evaluate import compare
from components.evaluate.decide import decide
from components.evaluate.page import NONE
from components.evaluate.plots import pictures
from components.evaluate.report import render
from hopline import schema
from hopline.artifacts import json_value
from tests.components.evaluate.synthetic import RULE, make_artifact, measurement, side


@pytest.fixture
def artifact(tmp_path):
    return make_artifact(tmp_path / "challenger", "new")


@pytest.fixture
def standing(tmp_path):
    return make_artifact(tmp_path / "champion", "old")


def test_perplexities_and_bits_follow_from_the_scores(artifact):
    numbers = side(artifact, [1, 2, 3], [3, schema.UNKNOWN, 4], unknown_types=8).numbers
    assert numbers["perplexity"] == pytest.approx(math.exp(2))
    assert numbers["comparable_perplexity"] == pytest.approx(math.exp(2 + math.log(8) / 3))
    assert numbers["bits_per_character"] == pytest.approx((6 + math.log(8)) / math.log(2) / 10)
    assert numbers["unknown_tokens"] == 1


def test_slices_hold_both_models_and_none_where_there_is_no_token(artifact):
    challenger = side(artifact, [1, 2, 3, 5], [2, 3, 4, 11])
    content = measurement(challenger, side(artifact, [4, 4, 4, 4], [2, 3, 4, 11])).content()
    frequent, rare, unknown = content["slices"][:3]
    assert [item["tokens"] for item in (frequent, rare, unknown)] == [1, 3, 0]
    assert frequent["challenger_perplexity"] == pytest.approx(math.exp(1))
    assert rare["champion_perplexity"] == pytest.approx(math.exp(4))
    assert unknown["challenger_perplexity"] is None


def test_what_is_decided_on_is_what_is_written(artifact, standing):
    measured = measurement(side(artifact, [1.0] * 40, documents=4), side(standing, [2.0] * 40, documents=4))
    challenger, champion = measured.scored()
    content = measured.content()
    assert challenger.perplexity == content["challenger"]["perplexity"]
    assert champion.comparable == content["champion"]["comparable_perplexity"]
    assert champion.difference.confidence == content["difference"]["confidence"] == 1.0
    assert [champion.difference.low, champion.difference.high] == content["difference"]["interval"]
    assert challenger.baselines["unigram"].perplexity == content["baselines"]["unigram"]["perplexity"]
    assert content["baselines"]["kneser_ney_2"] == {"perplexity": None, "nll": None, "note": "too short"}
    assert {item.nll for item in champion.slices} == {-1.0}
    assert decide(challenger, champion, RULE).outcome == "promote"


def test_a_vocabulary_of_next_to_nothing_does_not_win(artifact, standing):
    # Case 5: an undertrained champion gives rare words less than an even share of <unk>.  By the sum of losses the
    # challenger is far better, and yet it cannot name four of ten words.
    random = np.random.default_rng(0)
    ids = random.choice([3, 4, 5, 6, 7, 8, 9, 10, 11], size=20_000)
    narrow = np.where(ids < 8, ids, schema.UNKNOWN)
    challenger = side(artifact, np.where(narrow == schema.UNKNOWN, 0.5, 3.0), narrow, unknown_types=7_641, documents=20)
    champion = side(standing, np.where(ids < 8, 5.0, 12.0), ids, documents=20)
    champion.scores.word_index[:] = challenger.scores.word_index
    measured = measurement(challenger, champion)
    assert measured.difference.confidence > 0.99
    decision = decide(*measured.scored(), RULE)
    assert decision.outcome == "reject"
    assert [reason.rule for reason in decision.reasons] == ["unknown"]


def test_other_tokenisers_are_compared_in_bits_per_character(artifact, standing):
    challenger, champion = side(artifact, [1.0] * 400, documents=40), side(standing, [3.0] * 200, documents=40)
    measured = measurement(challenger, champion, by=compare.CHARACTERS)
    new, old = measured.scored()
    assert (new.comparable, old.comparable) == pytest.approx((1 / math.log(2), 1.5 / math.log(2)))
    assert measured.difference.mean == pytest.approx(1.0 - 1.5)
    assert measured.difference.margin == pytest.approx(math.log1p(-RULE.min_gain) * 200 / 400)
    decision = decide(new, old, RULE)
    assert decision.outcome == "promote"
    content = json_value(measured.content())
    assert content["compared"]["by"] == "characters"
    assert content["difference"]["per"] == "character"
    assert measured.passages() is None
    report = render(content, decision, pictures(measured), {}, artifact.folder, measured.passages())
    assert "tokenisers differ" in report
    assert NONE in report


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_numbers_that_are_not_finite_are_rejected_and_still_make_json_pictures_and_a_report(artifact, bad):
    measured = measurement(side(artifact, [1.0, bad, *[1.0] * 40]), side(artifact, [2.0, bad, *[2.0] * 40]))
    text = json.dumps(json_value(measured.content()), allow_nan=False)
    assert json.loads(text)["challenger"]["perplexity"] in {"nan", "inf"}
    drawn = pictures(measured)
    for svg in drawn.values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")
    decision = decide(*measured.scored(), RULE)
    assert [reason.rule for reason in decision.reasons] == ["finite"]
    render(json_value(measured.content()), decision, drawn, {}, artifact.folder, measured.passages())


@pytest.mark.parametrize("tokens", [1, 7, 1000])
def test_pictures_are_drawn_for_any_length_and_are_the_same_each_time(artifact, tokens):
    measured = measurement(side(artifact, np.linspace(1, 2, tokens)), side(artifact, np.linspace(2, 1, tokens)))
    drawn = pictures(measured)
    assert len(drawn) == 3
    assert pictures(measured) == drawn


def test_a_json_value_keeps_what_json_can_hold():
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": math.nan, "d": [-math.inf]}}
    assert json_value(value) == {"a": [1, 2.5, "x", None, True], "b": {"c": "nan", "d": ["-inf"]}}
