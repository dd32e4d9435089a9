import math

import pytest

from components.evaluate.baselines import Baseline
from components.evaluate.bootstrap import Difference
from components.evaluate.compare import CHARACTERS
from components.evaluate.decide import LEAST_SLICE, ScoredChallenger, ScoredChampion, SliceChange, change, decide
from hopline.config.evaluate import EvaluateConfig

RULE = EvaluateConfig(max_perplexity=200.0, min_gain=0.1, confidence=0.95, beat="none")
LENIENT = EvaluateConfig(max_perplexity=0.0, min_gain=0.0, confidence=0.0, beat="none")
NAN, INF = math.nan, math.inf
BASELINES = {
    "unigram": Baseline(math.log(100)),
    "kneser_ney_2": Baseline(math.log(50)),
    "kneser_ney_3": Baseline(math.log(40)),
    "kneser_ney_4": Baseline(None, "no document of the training split has 4 tokens"),
}


def challenger(perplexity, comparable=None, name="new", **more):
    comparable = perplexity if comparable is None else comparable
    return ScoredChallenger(model_id=name, perplexity=perplexity, comparable=comparable, **more)


def difference(mean, *, sure=1.0, half=0.01, margin=0.0, observations=20, kind="documents"):
    return Difference(mean, mean - half, mean + half, 0.9, margin, sure, observations, float(observations), kind)


def champion(perplexity, mean=-1.0, *, comparable=None, name="old", sure=1.0, margin=0.0, **more):
    comparable = perplexity if comparable is None else comparable
    return ScoredChampion(
        model_id=name, perplexity=perplexity, comparable=comparable,
        difference=difference(mean, sure=sure, margin=margin), **more,
    )  # fmt: skip


MARGIN = math.log1p(-0.1)
PASSED = ["finite", "floor", "unknown", "gain", "confidence"]
CASES = [
    # what is not finite ends it
    ("a challenger that is NaN", challenger(NAN), None, LENIENT, "reject", ["finite"]),
    ("a challenger that is infinite", challenger(INF), champion(100), LENIENT, "reject", ["finite"]),
    ("a comparable perplexity that is NaN", challenger(90, NAN), champion(100), LENIENT, "reject", ["finite"]),
    ("a comparable perplexity that is infinite", challenger(90, INF), None, LENIENT, "reject", ["finite"]),
    ("a champion that is NaN", challenger(90), champion(NAN), LENIENT, "reject", ["finite"]),
    ("a champion that is infinite", challenger(90), champion(INF), LENIENT, "reject", ["finite"]),
    ("NaN of both", challenger(NAN), champion(NAN), RULE, "reject", ["finite"]),
    # without a champion the floor decides
    ("a first model, no floor", challenger(1e9), None, LENIENT, "promote", ["finite", "first"]),
    ("a first model at the floor", challenger(200), None, RULE, "promote", ["finite", "floor", "first"]),
    ("a first model above the floor", challenger(200.01), None, RULE, "reject", ["floor"]),
    # with one, the floor still holds
    ("better, but above the floor", challenger(201), champion(400), RULE, "reject", ["floor"]),
    ("the floor is of the own vocabulary", challenger(150, 300), champion(400), RULE, "promote", PASSED),
    # the champion itself
    ("the champion itself", challenger(90), champion(90, name="new"), LENIENT, "reject", ["new"]),
    ("the champion itself, above the floor", challenger(300), champion(300, name="new"), RULE, "reject",
     ["floor", "new"]),
    # gain
    ("a tie", challenger(100), champion(100, 0.0), LENIENT, "reject", ["gain"]),
    ("a little better, no gain asked", challenger(99.999), champion(100, -1e-5), LENIENT, "promote",
     ["finite", "unknown", "gain"]),
    ("worse", challenger(101), champion(100, 0.01), LENIENT, "reject", ["gain"]),
    ("the very gain asked", challenger(90), champion(100, math.log(0.9), margin=MARGIN), RULE, "promote", PASSED),
    ("a little less than the gain asked", challenger(90.01), champion(100, math.log(0.9001), margin=MARGIN), RULE,
     "reject", ["gain"]),
    # confidence
    ("the very confidence asked", challenger(80), champion(100, sure=0.95), RULE, "promote", PASSED),
    ("less than the confidence asked", challenger(80), champion(100, sure=0.949), RULE, "reject", ["confidence"]),
    ("confidence not asked", challenger(80), champion(100, sure=0.0), LENIENT, "promote",
     ["finite", "unknown", "gain"]),
    ("nothing to be sure by", challenger(80), champion(100, sure=NAN), RULE, "reject", ["confidence"]),
    ("neither gain nor confidence", challenger(99), champion(100, -0.01, sure=0.6, margin=MARGIN), RULE, "reject",
     ["gain", "confidence"]),
    ("nothing holds", challenger(300, unknown_rate=0.5), champion(100, 1.1, sure=0.0), RULE, "reject",
     ["floor", "unknown", "gain", "confidence"]),
    # unknown words
    ("one more of a hundred unknown", challenger(80, unknown_rate=0.06), champion(100, unknown_rate=0.05), RULE,
     "promote", PASSED),
    ("more than that", challenger(80, unknown_rate=0.0601), champion(100, unknown_rate=0.05), RULE, "reject",
     ["unknown"]),
    ("unknown words are spelled where tokenisers differ", challenger(80, unknown_rate=0.2),
     champion(100, rule=CHARACTERS), RULE, "promote", ["finite", "floor", "gain", "confidence"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("new", "old", "rule", "outcome", "rules"), [row[1:] for row in CASES], ids=[r[0] for r in CASES]
)
def test_the_decision_and_its_reasons(new, old, rule, outcome, rules):
    decision = decide(new, old, rule)
    assert decision.outcome == outcome
    assert [reason.rule for reason in decision.reasons] == rules
    assert all(reason.holds == (outcome == "promote") for reason in decision.reasons)


BEATEN = [
    ("unigram", 99.9, True), ("unigram", 100.0, False), ("unigram", 250.0, False),
    ("kneser-ney", 39.9, True), ("kneser-ney", 40.1, False), ("kneser-ney", 99.0, False),
    ("none", 1e9, True),
]  # fmt: skip


@pytest.mark.parametrize(("beat", "perplexity", "holds"), BEATEN)
@pytest.mark.parametrize("standing", [None, champion(1e12)], ids=["first", "with a champion"])
def test_a_model_no_better_than_the_baseline_is_rejected_also_as_the_first(beat, perplexity, holds, standing):
    decision = decide(challenger(perplexity, baselines=BASELINES), standing, EvaluateConfig(beat=beat))
    assert decision.outcome == ("promote" if holds else "reject")
    assert ("baseline" in [reason.rule for reason in decision.reasons]) == (beat != "none")


def test_the_baseline_is_the_default_rule_and_is_named_with_both_numbers():
    decision = decide(challenger(120, baselines=BASELINES), None, EvaluateConfig())
    assert (
        decision.summary == "The challenger's perplexity 120.00 is no better than the 100.00 of word frequencies alone."
    )


def test_without_any_n_gram_the_word_frequencies_are_to_be_beaten_and_the_reason_says_so():
    short = {"unigram": BASELINES["unigram"], "kneser_ney_2": Baseline(None, "too short")}
    decision = decide(challenger(120, baselines=short), None, EvaluateConfig(beat="kneser-ney"))
    assert decision.outcome == "reject"
    assert "no Kneser-Ney n-gram could be made" in decision.summary


LIMITS = [
    ({"max_megabytes": 5.0}, {"megabytes": 4.9}, True),
    ({"max_megabytes": 5.0}, {"megabytes": 5.0}, True),
    ({"max_megabytes": 5.0}, {"megabytes": 5.1}, False),
    ({"max_latency_ms": 20.0}, {"milliseconds": 19.9}, True),
    ({"max_latency_ms": 20.0}, {"milliseconds": 20.0}, True),
    ({"max_latency_ms": 20.0}, {"milliseconds": 20.1}, False),
    ({"max_latency_ms": 20.0}, {"milliseconds": NAN}, False),
    ({}, {"megabytes": 1e9, "milliseconds": 1e9}, True),
]


@pytest.mark.parametrize(("config", "measured", "holds"), LIMITS)
def test_size_and_latency_are_limited_where_asked(config, measured, holds):
    decision = decide(challenger(90, **measured), None, EvaluateConfig(beat="none", **config))
    assert decision.outcome == ("promote" if holds else "reject")


SLICES = (SliceChange("rare", 5_000, 0.02), SliceChange("frequent", 9_000, -0.2), SliceChange("tiny", 999, 5.0))


@pytest.mark.parametrize(("most", "outcome"), [(0.0, "promote"), (0.03, "promote"), (0.02, "reject")])
def test_a_slice_of_enough_tokens_must_not_grow_worse_than_asked(most, outcome):
    rule = EvaluateConfig(beat="none", confidence=0.0, max_slice_loss=most)
    decision = decide(challenger(80), champion(100, slices=SLICES), rule)
    assert decision.outcome == outcome
    if outcome == "reject":
        assert decision.reasons[0].sentence.startswith(
            'in the slice "rare" the challenger\'s perplexity is 2.02% above'
        )


def test_the_very_loss_allowed_in_a_slice_of_the_very_size_that_counts_holds_and_a_little_more_does_not():
    rule = EvaluateConfig(beat="none", confidence=0.0, max_slice_loss=0.02)
    for loss, outcome in [(0.02, "promote"), (0.0201, "reject")]:
        old = champion(100, slices=(SliceChange("rare", LEAST_SLICE, math.log1p(loss)),))
        assert decide(challenger(80), old, rule).outcome == outcome


def test_slices_of_too_few_tokens_are_not_looked_at_and_the_reason_says_so():
    rule = EvaluateConfig(beat="none", confidence=0.0, max_slice_loss=0.02)
    decision = decide(challenger(80), champion(100, slices=(SliceChange("tiny", LEAST_SLICE - 1, 5.0),)), rule)
    assert decision.outcome == "promote"
    assert "slices: no slice has 1,000 tokens, so none is looked at" in map(str, decision.reasons)


@pytest.mark.parametrize("beat", ["unigram", "kneser-ney"])
def test_where_no_baseline_could_be_made_none_is_to_be_beaten(beat):
    decision = decide(challenger(1e6), None, EvaluateConfig(beat=beat))
    assert decision.outcome == "promote"
    assert "baseline: no baseline could be made" in str(decision.reasons[1])


def test_a_model_that_differs_from_the_baseline_by_rounding_is_that_baseline():
    ours = {"unigram": BASELINES["unigram"]}
    assert decide(challenger(100 * (1 - 1e-7), baselines=ours), None, EvaluateConfig()).outcome == "reject"
    assert decide(challenger(100 * (1 - 2e-6), baselines=ours), None, EvaluateConfig()).outcome == "promote"


@pytest.mark.parametrize(("perplexity", "said"), [(199, "is at most"), (201, "is above")])
def test_the_floor_is_named_with_the_side_on_which_the_challenger_is(perplexity, said):
    decision = decide(challenger(perplexity), None, RULE)
    floor = decision.reasons[0 if decision.outcome == "reject" else 1]
    assert str(floor) == f"floor: the challenger's perplexity {perplexity}.00 {said} max_perplexity = 200"


def test_a_rejection_is_summed_up_by_its_first_reason():
    decision = decide(challenger(300, unknown_rate=0.5), champion(100, 1.1, sure=0.0), RULE)
    assert decision.summary == "The challenger's perplexity 300.00 is above max_perplexity = 200."


@pytest.mark.parametrize(
    ("comparable", "said"),
    [(95, "95.00 is 5.00% below the"), (100, "100.00 is not below the"), (105, "105.00 is 5.00% above the")],
)
def test_the_gain_is_told_with_its_direction(comparable, said):
    mean = math.log(comparable / 100)
    old = champion(100, mean, margin=MARGIN)
    (reason,) = decide(challenger(comparable), old, EvaluateConfig(beat="none", confidence=0.0, min_gain=0.1)).reasons
    assert f"comparable perplexity {said} champion's 100.00; asked is at least 10.00%" in str(reason)
    assert "per token" not in str(reason)


@pytest.mark.parametrize("name", ["a-model-before", "zz-a-model-after"])
def test_a_model_of_any_other_name_is_new(name):
    assert decide(challenger(80, name="new"), champion(100, name=name), LENIENT).outcome == "promote"


def test_the_champion_is_named_by_the_first_twelve_digits_of_its_id():
    (reason,) = decide(challenger(80, name="0123456789abcdef"), champion(80, name="0123456789abcdef"), LENIENT).reasons
    assert reason.sentence == "model 0123456789ab is the champion already"


@pytest.mark.parametrize(
    ("nats", "said"), [(math.log(1.25), "25.00% above"), (math.log(0.75), "25.00% below"), (1e4, "inf% above")]
)
def test_a_difference_in_nats_is_a_relative_change_of_perplexity(nats, said):
    assert change(nats) == said


def test_a_reason_is_a_sentence_with_the_numbers():
    decision = decide(challenger(95), champion(100, math.log(0.95), sure=0.8, margin=MARGIN), RULE)
    assert [str(reason) for reason in decision.reasons] == [
        "gain: the challenger's comparable perplexity 95.00 is 5.00% below the champion's 100.00; "
        "asked is at least 10.00%",
        "confidence: with 95% confidence the challenger's perplexity is at least 4.05% below the champion's; asked is "
        "at least 10.00% below, which is shown with confidence 0.800; 20 documents cannot tell less than 1.00% from "
        "chance",
    ]


def test_the_summary_of_a_promotion_says_how_much_better_it_is_at_least():
    decision = decide(
        challenger(90), champion(100, math.log(0.9), sure=0.999, margin=math.log(0.999)), EvaluateConfig(beat="none")
    )
    assert decision.summary == (
        "With 95% confidence the challenger's perplexity is at least 9.10% below the champion's; asked is at least "
        "0.10% below, which is shown with confidence 0.999."
    )


def test_an_interval_that_reaches_above_the_champion_says_so():
    decision = decide(challenger(99), champion(100, 0.0, sure=0.5), EvaluateConfig(beat="none", min_gain=0.0))
    assert "at most 1.01% above the champion's; asked is below, which" in str(decision.reasons[-1])


def test_characters_are_told_in_bits():
    old = champion(9, -0.1, comparable=1.5, rule=CHARACTERS)
    reasons = decide(challenger(90, comparable=1.35), old, EvaluateConfig(beat="none")).reasons
    assert "the challenger's bits per character 1.3500 is 10.00% below the champion's 1.5000" in str(reasons[1])
    assert "in perplexity per token of the champion" in str(reasons[1])
    assert "the challenger's cost is at least 0.1298 bits per character below the champion's" in str(reasons[2])
    worse = champion(9, 0.1, comparable=1.5, sure=0.0, rule=CHARACTERS)
    reasons = decide(challenger(90, comparable=1.65), worse, EvaluateConfig(beat="none")).reasons
    assert "the challenger's cost is at most 0.1587 bits per character above the champion's" in str(reasons[1])


def test_too_few_observations_are_named():
    old = ScoredChampion(
        model_id="old",
        perplexity=100,
        comparable=100,
        difference=difference(-1, sure=NAN, observations=1, kind="blocks"),
    )
    (reason,) = decide(challenger(80), old, EvaluateConfig(beat="none")).reasons
    assert reason.sentence.startswith("nothing can be said about how sure the difference is: the split is too short")
    assert "(1 blocks" not in reason.sentence


def test_a_number_that_is_not_finite_is_named():
    (reason,) = decide(challenger(90), champion(NAN, comparable=INF), LENIENT).reasons
    assert reason.sentence == "the champion's perplexity is nan, the champion's comparable perplexity is inf"
