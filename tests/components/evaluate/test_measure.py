import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from components.evaluate import compare
from components.evaluate.measure import Artifact, Measurement, Side, plain, require_same_words
from components.evaluate.plots import pictures
from components.evaluate.scores import Scores
from hopline import artifacts, schema
from hopline.runtime.errors import UserError


@pytest.fixture
def artifact(tmp_path):
    facts = {"vocabulary_size": 12, "parameters": 5, "fingerprint": "f"}
    return Artifact(tmp_path, artifacts.seal(tmp_path, "model", parents={}, config={}, facts=facts))


def side(artifact, nll, ids=None, unknown_types=0):
    nll = np.asarray(nll, np.float32)
    return Side(artifact, nll, np.full(len(nll), 3) if ids is None else np.asarray(ids), unknown_types)


def measurement(challenger, champion=None):
    difference = compare.paired_difference(challenger.comparable, champion.comparable, 2) if champion else None
    return Measurement("test", 1, 100, challenger, champion, difference, {})


def test_perplexities_and_bits_follow_from_the_scores(artifact):
    numbers = side(artifact, [1, 2, 3], [3, schema.UNKNOWN, 4], unknown_types=8).numbers(characters=10)
    assert numbers["perplexity"] == pytest.approx(math.exp(2))
    assert numbers["comparable_perplexity"] == pytest.approx(math.exp(2 + math.log(8) / 3))
    assert numbers["bits_per_character"] == pytest.approx((6 + math.log(8)) / math.log(2) / 10)
    assert numbers["unknown_tokens"] == 1


def test_slices_hold_both_models_and_none_where_there_is_no_token(artifact):
    challenger = side(artifact, [1, 2, 3, 5], [2, 3, 4, 11])
    content = measurement(challenger, side(artifact, [4, 4, 4, 4])).content()
    assert [(item["name"], item["tokens"]) for item in content["slices"]] == [
        ("frequent", 1),
        ("rare", 3),
        ("unknown", 0),
    ]
    assert content["slices"][0]["challenger_perplexity"] == pytest.approx(math.exp(1))
    assert content["slices"][1]["champion_perplexity"] == pytest.approx(math.exp(4))
    assert content["slices"][2]["challenger_perplexity"] is None


def test_what_is_decided_on_is_what_is_written(artifact):
    measured = measurement(side(artifact, [1.0] * 40), side(artifact, [2.0] * 40))
    challenger, champion = measured.scored()
    content = measured.content()
    assert challenger.perplexity == content["challenger"]["perplexity"]
    assert champion.comparable == content["champion"]["comparable_perplexity"]
    assert champion.beaten == content["difference"]["better"] == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1e6])
def test_numbers_that_are_not_finite_still_make_json_and_pictures(artifact, bad):
    measured = measurement(side(artifact, [1.0, bad, *[1.0] * 40]), side(artifact, [2.0, bad, *[2.0] * 40]))
    text = json.dumps(plain(measured.content()), allow_nan=False)
    assert json.loads(text)["challenger"]["perplexity"] in {"nan", "inf"}
    for svg in pictures(measured).values():
        assert ElementTree.fromstring(svg).tag.endswith("svg")


@pytest.mark.parametrize("tokens", [1, 7, 1000])
def test_pictures_are_drawn_for_any_length_and_are_the_same_each_time(artifact, tokens):
    measured = measurement(side(artifact, np.linspace(1, 2, tokens)), side(artifact, np.linspace(2, 1, tokens)))
    drawn = pictures(measured)
    assert len(drawn) == 2
    assert pictures(measured) == drawn


def test_plain_keeps_what_json_can_hold():
    value = {"a": [1, 2.5, "x", None, True], "b": {"c": math.nan, "d": [-math.inf]}}
    assert plain(value) == {"a": [1, 2.5, "x", None, True], "b": {"c": "nan", "d": ["-inf"]}}


def scores(*words):
    count = len(words)
    zeros = np.zeros(count)
    return Scores(zeros.astype(np.float32), zeros.astype(np.int64), np.arange(count, dtype=np.int32), words, zeros)


def test_models_that_read_the_same_words_compare():
    require_same_words(scores("a", "b"), scores("a", "b"))


@pytest.mark.parametrize(
    ("challenger", "champion", "message"),
    [
        (("The", "b"), ("the", "b"), "token 0 is 'The' to the challenger and 'the' to the champion"),
        (("a", "b"), ("a",), "2 and 1 tokens"),
    ],
)
def test_models_that_read_other_words_do_not(challenger, champion, message):
    with pytest.raises(UserError, match=message):
        require_same_words(scores(*challenger), scores(*champion))
