"""The decision: a pure function of the numbers and the rule."""

import math
from dataclasses import dataclass

from hopline.config.evaluate import EvaluateConfig

PROMOTE, REJECT = "promote", "reject"


@dataclass(frozen=True)
class Scored:
    """A model's numbers on the frozen split.

    Attributes:
        model_id: id of its manifest.
        perplexity: over its own vocabulary, `<unk>` one word of it.
        comparable: over words as written (`components.evaluate.compare`): models of any vocabulary compare by it.
    """

    model_id: str
    perplexity: float
    comparable: float


@dataclass(frozen=True)
class ScoredChampion(Scored):
    """The champion's numbers.

    Attributes:
        beaten: probability that the challenger is better, by paired bootstrap.
    """

    beaten: float


@dataclass(frozen=True)
class Reason:
    """One rule, whether it holds, and a sentence with the numbers."""

    rule: str
    holds: bool
    sentence: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.sentence}"


@dataclass(frozen=True)
class Decision:
    """The outcome and why: for "reject" the rules that failed, for "promote" all that were asked."""

    outcome: str
    reasons: tuple[Reason, ...]


def decide(challenger: Scored, champion: ScoredChampion | None, rule: EvaluateConfig) -> Decision:
    """Whether the challenger becomes champion.  Every rule that applies must hold.

    1. finite: every number is; if not, nothing else is asked.
    2. floor: the challenger's own perplexity is at most `rule.max_perplexity`, where that is set.
    3. first: without a champion, that is all.
    4. new: the champion itself is not promoted again, and no more is asked.
    5. gain: the comparable perplexity is lower than the champion's, by the share `rule.min_gain` or more; a tie is
       no gain.
    6. confidence: the challenger is better with probability `rule.confidence` or more, where that is set.
    """
    finite = _finite(challenger, champion)
    if not finite.holds:
        return _conclude([finite])
    reasons = [finite]
    if rule.max_perplexity:
        reasons.append(_floor(challenger, rule))
    if champion is None:
        reasons.append(Reason("first", True, "there is no champion yet"))
    elif champion.model_id == challenger.model_id:
        reasons.append(Reason("new", False, f"model {challenger.model_id[:12]} is the champion already"))
    else:
        reasons.append(_gain(challenger, champion, rule))
        if rule.confidence:
            reasons.append(_confidence(champion, rule))
    return _conclude(reasons)


def _conclude(reasons: list[Reason]) -> Decision:
    failed = tuple(reason for reason in reasons if not reason.holds)
    return Decision(REJECT, failed) if failed else Decision(PROMOTE, tuple(reasons))


def _finite(challenger: Scored, champion: ScoredChampion | None) -> Reason:
    numbers = {
        "the challenger's perplexity": challenger.perplexity,
        "the challenger's comparable perplexity": challenger.comparable,
    }
    if champion is not None:
        numbers["the champion's perplexity"] = champion.perplexity
        numbers["the champion's comparable perplexity"] = champion.comparable
        numbers["the probability that the challenger is better"] = champion.beaten
    broken = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    return Reason("finite", not broken, ", ".join(broken) or "every number is finite")


def _floor(challenger: Scored, rule: EvaluateConfig) -> Reason:
    holds = challenger.perplexity <= rule.max_perplexity
    return Reason(
        "floor",
        holds,
        f"the challenger's perplexity {challenger.perplexity:.2f} is {'at most' if holds else 'above'} "
        f"max_perplexity = {rule.max_perplexity:g}",
    )


def _gain(challenger: Scored, champion: ScoredChampion, rule: EvaluateConfig) -> Reason:
    # Not 1 - ratio >= min_gain: 1 - 90/100 is less than 0.1 in floating point.
    enough = challenger.comparable <= champion.comparable * (1 - rule.min_gain)
    gain = 1 - challenger.comparable / champion.comparable
    direction = "below" if gain > 0 else "not below" if gain == 0 else "above"
    share = f"{abs(gain):.2%} " if gain else ""
    asked = f"at least {rule.min_gain:.2%}" if rule.min_gain else "less than the champion's"
    return Reason(
        "gain",
        enough and challenger.comparable < champion.comparable,
        f"the challenger's comparable perplexity {challenger.comparable:.2f} is {share}{direction} the champion's "
        f"{champion.comparable:.2f}; asked is {asked}",
    )


def _confidence(champion: ScoredChampion, rule: EvaluateConfig) -> Reason:
    return Reason(
        "confidence",
        champion.beaten >= rule.confidence,
        f"the challenger is better with probability {champion.beaten:.3f}; asked is {rule.confidence:g}",
    )
