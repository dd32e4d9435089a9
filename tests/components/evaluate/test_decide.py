import math

import pytest

from components.evaluate.decide import Scored, ScoredChampion, decide
from hopline.config.evaluate import EvaluateConfig

RULE = EvaluateConfig(max_perplexity=200.0, min_gain=0.1, confidence=0.95)
LENIENT = EvaluateConfig(max_perplexity=0.0, min_gain=0.0, confidence=0.0)
NAN, INF = math.nan, math.inf


def challenger(perplexity, comparable=None, name="new"):
    return Scored(name, perplexity, perplexity if comparable is None else comparable)


def champion(perplexity, comparable=None, *, beaten=1.0, name="old"):
    return ScoredChampion(name, perplexity, perplexity if comparable is None else comparable, beaten)


CASES = [
    # 1. what is not finite ends it
    ("a challenger that is NaN", challenger(NAN), None, LENIENT, "reject", ["finite"]),
    ("a challenger that is infinite", challenger(INF), champion(100), LENIENT, "reject", ["finite"]),
    ("a comparable perplexity that is NaN", challenger(90, NAN), champion(100), LENIENT, "reject", ["finite"]),
    ("a comparable perplexity that is infinite", challenger(90, INF), None, LENIENT, "reject", ["finite"]),
    ("a champion that is NaN", challenger(90), champion(NAN), LENIENT, "reject", ["finite"]),
    ("a champion that is infinite", challenger(90), champion(INF), LENIENT, "reject", ["finite"]),
    ("a probability that is NaN", challenger(90), champion(100, beaten=NAN), LENIENT, "reject", ["finite"]),
    ("NaN of both", challenger(NAN), champion(NAN), RULE, "reject", ["finite"]),
    # 2. and 3. without a champion the floor decides
    ("a first model, no floor", challenger(1e9), None, LENIENT, "promote", ["finite", "first"]),
    ("a first model at the floor", challenger(200), None, RULE, "promote", ["finite", "floor", "first"]),
    ("a first model above the floor", challenger(200.01), None, RULE, "reject", ["floor"]),
    # 2. with one, the floor still holds
    ("better, but above the floor", challenger(201), champion(400), RULE, "reject", ["floor"]),
    ("the floor is of the own vocabulary", challenger(150, 300), champion(400), RULE, "promote",
     ["finite", "floor", "gain", "confidence"]),
    # 4. the champion itself
    ("the champion itself", challenger(90), champion(90, name="new"), LENIENT, "reject", ["new"]),
    ("the champion itself, above the floor", challenger(300), champion(300, name="new"), RULE, "reject",
     ["floor", "new"]),
    # 5. gain
    ("a tie", challenger(100), champion(100), LENIENT, "reject", ["gain"]),
    ("a little better, no gain asked", challenger(99.999), champion(100), LENIENT, "promote", ["finite", "gain"]),
    ("worse", challenger(101), champion(100), LENIENT, "reject", ["gain"]),
    ("the very gain asked", challenger(90), champion(100), RULE, "promote", ["finite", "floor", "gain", "confidence"]),
    ("a little less than the gain asked", challenger(90.01), champion(100), RULE, "reject", ["gain"]),
    ("better in its own vocabulary alone", challenger(50, 120), champion(100), RULE, "reject", ["gain"]),
    ("better on the words as written", challenger(150, 80), champion(100), RULE, "promote",
     ["finite", "floor", "gain", "confidence"]),
    # 6. confidence
    ("the very confidence asked", challenger(80), champion(100, beaten=0.95), RULE, "promote",
     ["finite", "floor", "gain", "confidence"]),
    ("less than the confidence asked", challenger(80), champion(100, beaten=0.949), RULE, "reject", ["confidence"]),
    ("confidence not asked", challenger(80), champion(100, beaten=0.0), LENIENT, "promote", ["finite", "gain"]),
    ("neither gain nor confidence", challenger(99), champion(100, beaten=0.6), RULE, "reject", ["gain", "confidence"]),
    ("nothing holds", challenger(300), champion(100, beaten=0.0), RULE, "reject", ["floor", "gain", "confidence"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "old", "rule", "outcome", "rules"), [row[1:] for row in CASES], ids=[r[0] for r in CASES]
)
def test_the_decision_and_its_reasons(new, old, rule, outcome, rules):
    decision = decide(new, old, rule)
    assert decision.outcome == outcome
    assert [reason.rule for reason in decision.reasons] == rules
    assert all(reason.holds == (outcome == "promote") for reason in decision.reasons)


def test_a_reason_is_a_sentence_with_the_numbers():
    decision = decide(challenger(95), champion(100, beaten=0.8), RULE)
    assert [str(reason) for reason in decision.reasons] == [
        "gain: the challenger's comparable perplexity 95.00 is 5.00% below the champion's 100.00; "
        "asked is at least 10.00%",
        "confidence: the challenger is better with probability 0.800; asked is 0.95",
    ]


def test_a_number_that_is_not_finite_is_named():
    (reason,) = decide(challenger(90), champion(NAN, INF), LENIENT).reasons
    assert reason.sentence == "the champion's perplexity is nan, the champion's comparable perplexity is inf"
