"""The decision: a pure function of the numbers and the rule."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from components.evaluate.baselines import LABELS, UNIGRAM, Baseline, best_kneser_ney
from components.evaluate.bootstrap import Difference
from components.evaluate.compare import CHARACTERS, TOKENS
from hopline.config.evaluate import EvaluateConfig

PROMOTE, REJECT = "promote", "reject"
LEAST_SLICE = 1_000  # tokens; the perplexity of fewer says little
_ROUNDING = 1e-12  # of a mean of logarithms: the very gain asked is enough
_TIE = 1e-6  # relative: a model that is the baseline differs from it by float32's rounding


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A model's numbers on the frozen split.

    Attributes:
        model_id: id of its manifest.
        perplexity: over its own vocabulary, `<unk>` one word of it.
        comparable: what models of any vocabulary compare by (`components.evaluate.compare`): the perplexity of the
            words as written, or bits per character where tokenisers differ.
        unknown_rate: the share of all tokens that it does not know.
    """

    model_id: str
    perplexity: float
    comparable: float
    unknown_rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ScoredChallenger(Scored):
    """The challenger's numbers.

    Attributes:
        baselines: what the training split alone predicts, by key of `components.evaluate.baselines`.
        megabytes: size of its folder, 10^6 bytes.
        milliseconds: median time to score a line; NaN where it was not measured.
    """

    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    megabytes: float = 0.0
    milliseconds: float = math.nan


@dataclass(frozen=True)
class SliceChange:
    """Challenger minus champion in one slice, nats per token."""

    name: str
    tokens: int
    nll: float


@dataclass(frozen=True, kw_only=True)
class ScoredChampion(Scored):
    """The champion's numbers, and how the challenger compares.

    Attributes:
        difference: challenger minus champion, nats per token, or per character where `rule` says so.
        rule: by which rule they compare, `TOKENS` or `CHARACTERS`.
        slices: the difference in parts of the split.
    """

    difference: Difference
    rule: str = TOKENS
    slices: tuple[SliceChange, ...] = ()


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

    @property
    def summary(self) -> str:
        """What decided, in one sentence: the first rule that failed, or the last and hardest that held."""
        reason = self.reasons[0] if self.outcome == REJECT else self.reasons[-1]
        return f"{reason.sentence[0].upper()}{reason.sentence[1:]}."


def decide(challenger: ScoredChallenger, champion: ScoredChampion | None, rule: EvaluateConfig) -> Decision:
    """Whether the challenger becomes champion.  Every rule that applies must hold.

    1. finite: every number is; if not, nothing else is asked.
    2. floor: the challenger's own perplexity is at most `rule.max_perplexity`, where that is set.
    3. baseline: its own perplexity is below that of `rule.beat`, over the same tokens and vocabulary.
    4. size and latency: at most `rule.max_megabytes` and `rule.max_latency_ms`, where set.
    5. first: without a champion, that is all.
    6. new: the champion itself is not promoted again, and no more is asked.
    7. unknown: at most `rule.max_more_unknown` more of the tokens are unknown to it than to the champion, where they
       compare token by token.  A small vocabulary must not win by what it does not say.
    8. slices: in none of `LEAST_SLICE` tokens is its perplexity higher by more than `rule.max_slice_loss`, where set.
    9. gain: its comparable perplexity is lower than the champion's, by the share `rule.min_gain` or more; a tie is
       no gain.
    10. confidence: so much of a gain is shown with confidence `rule.confidence`, where that is set.
    """
    finite = _finite(challenger, champion)
    if not finite.holds:
        return _conclude([finite])
    reasons = [finite]
    if rule.max_perplexity:
        reasons.append(_floor(challenger, rule))
    if rule.beat != "none":
        reasons.append(_baseline(challenger, rule))
    if rule.max_megabytes:
        reasons.append(_limit("size", "the model's folder", "MB", challenger.megabytes, rule.max_megabytes))
    if rule.max_latency_ms:
        reasons.append(_limit("latency", "scoring a line", "ms", challenger.milliseconds, rule.max_latency_ms))
    if champion is None:
        reasons.append(Reason("first", True, _first(challenger)))
    elif champion.model_id == challenger.model_id:
        reasons.append(Reason("new", False, f"model {challenger.model_id[:12]} is the champion already"))
    else:
        reasons += _against(challenger, champion, rule)
    return _conclude(reasons)


def _against(challenger: ScoredChallenger, champion: ScoredChampion, rule: EvaluateConfig) -> list[Reason]:
    """What is asked of a challenger beside a champion."""
    reasons = []
    if champion.rule == TOKENS:
        reasons.append(_unknown(challenger, champion, rule))
    if rule.max_slice_loss:
        reasons.append(_slices(champion, rule))
    reasons.append(_gain(challenger, champion, rule))
    if rule.confidence:
        reasons.append(_confidence(champion, rule))
    return reasons


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


def _baseline(challenger: ScoredChallenger, rule: EvaluateConfig) -> Reason:
    key, aside = UNIGRAM, ""
    if rule.beat == "kneser-ney":
        best = best_kneser_ney(challenger.baselines)
        key, aside = (best, "") if best else (UNIGRAM, " (no Kneser-Ney n-gram could be made of the training text)")
    asked = challenger.baselines[key].perplexity if key in challenger.baselines else None
    if asked is None:
        return Reason("baseline", True, "no baseline could be made of the training text, so none had to be beaten")
    holds = challenger.perplexity < asked * (1 - _TIE)
    verdict = "below" if holds else "no better than"
    return Reason(
        "baseline",
        holds,
        f"the challenger's perplexity {challenger.perplexity:.2f} is {verdict} the {asked:.2f} of {LABELS[key]} "
        f"alone{aside}",
    )


def _limit(rule: str, what: str, unit: str, value: float, most: float) -> Reason:
    return Reason(rule, value <= most, f"{what} takes {value:.3g} {unit}; allowed are {most:g}")


def _first(challenger: ScoredChallenger) -> str:
    return f"there is no champion yet, and the challenger's perplexity {challenger.perplexity:.2f} meets what is asked"


def _unknown(challenger: Scored, champion: Scored, rule: EvaluateConfig) -> Reason:
    more = challenger.unknown_rate - champion.unknown_rate
    return Reason(
        "unknown",
        more <= rule.max_more_unknown + _ROUNDING,
        f"{challenger.unknown_rate:.2%} of the tokens are unknown to the challenger and {champion.unknown_rate:.2%} to "
        f"the champion; allowed are {rule.max_more_unknown:.2%} more",
    )


def _slices(champion: ScoredChampion, rule: EvaluateConfig) -> Reason:
    counted = [item for item in champion.slices if item.tokens >= LEAST_SLICE]
    worst = max(counted, key=lambda item: item.nll, default=None)
    if worst is None:
        return Reason("slices", True, f"no slice has {LEAST_SLICE:,} tokens, so none is looked at")
    return Reason(
        "slices",
        worst.nll <= math.log1p(rule.max_slice_loss) + _ROUNDING,
        f"in the slice \"{worst.name}\" the challenger's perplexity is {change(worst.nll)} the champion's, the worst "
        f"of all slices; allowed are {rule.max_slice_loss:.2%} above",
    )


def _gain(challenger: Scored, champion: ScoredChampion, rule: EvaluateConfig) -> Reason:
    difference = champion.difference
    enough = difference.mean <= difference.margin + _ROUNDING and difference.mean < 0
    name, form = ("bits per character", ".4f") if champion.rule == CHARACTERS else ("comparable perplexity", ".2f")
    share = 1 - challenger.comparable / champion.comparable
    shown = f"{abs(share):.2%} " if share else ""
    direction = "below" if share > 0 else "not below" if share == 0 else "above"
    asked = f"at least {rule.min_gain:.2%}" if rule.min_gain else "less than the champion's"
    per_token = " in perplexity per token of the champion" if champion.rule == CHARACTERS else ""
    return Reason(
        "gain",
        enough,
        f"the challenger's {name} {challenger.comparable:{form}} is {shown}{direction} the champion's "
        f"{champion.comparable:{form}}; asked is {asked}{per_token}",
    )


def _confidence(champion: ScoredChampion, rule: EvaluateConfig) -> Reason:
    """The interval's end in words: it is what decides."""
    difference = champion.difference
    if math.isnan(difference.confidence):
        return Reason(
            "confidence",
            False,
            "nothing can be said about how sure the difference is: the split is too short for two blocks; give it more "
            "text or more documents, or set evaluate.confidence = 0",
        )
    said = _bits if champion.rule == CHARACTERS else change
    bound = f"{'at least' if difference.high < 0 else 'at most'} {said(difference.high)}"
    asked = f"at least {said(difference.margin)}" if difference.margin else "below"
    holds = difference.confidence >= rule.confidence
    chance = said(difference.mean - difference.high).removesuffix(" below")
    few = "" if holds else f"; {difference.observations:,} {difference.kind} cannot tell less than {chance} from chance"
    subject = "the challenger's cost is" if champion.rule == CHARACTERS else "the challenger's perplexity is"
    return Reason(
        "confidence",
        holds,
        f"with {rule.confidence:.0%} confidence {subject} {bound} the champion's; asked is {asked}, which is shown "
        f"with confidence {difference.confidence:.3f}{few}",
    )


def _bits(nats: float) -> str:
    return f"{abs(nats) / math.log(2):.4f} bits per character {'above' if nats > 0 else 'below'}"


def change(nats: float) -> str:
    """A difference in mean negative log-likelihood as a relative change of perplexity: "1.20% below"."""
    try:
        relative = math.expm1(nats)
    except OverflowError:
        relative = math.inf
    return f"{abs(relative):.2%} {'above' if relative > 0 else 'below'}"
