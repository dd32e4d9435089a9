"""The versions of a registry as its history tells them: when each was champion, and what became of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hopline.registry.card import UNIGRAM, baseline_label
from hopline.registry.records import Champion

CHAMPION, PREDECESSOR, KEPT, REMOVED, MISSING = "champion", "predecessor", "kept", "removed", "missing"


@dataclass(frozen=True)
class Reign:
    """A time for which a version was champion.

    Attributes:
        since: UTC, ISO 8601.
        until: likewise; None if it still is.
        rollback: whether a rollback began it.
        history: number of the entry that began it; the order follows it, since a clock may go back.
    """

    since: str
    until: str | None
    rollback: bool
    history: int

    @property
    def length(self) -> timedelta | None:
        """How long it lasted; None if it has not ended, or if the clock went back meanwhile."""
        if self.until is None:
            return None
        length = datetime.fromisoformat(self.until) - datetime.fromisoformat(self.since)
        return length if length >= timedelta(0) else None


@dataclass(frozen=True)
class Version:
    """A version that is or was champion.

    Attributes:
        entry: the record of its promotion, or the oldest that is left.
        state: CHAMPION; PREDECESSOR, to which a rollback goes; KEPT; REMOVED by `prune`; or MISSING without that.
        reigns: in order; of a version that was rolled back to there are several.
    """

    entry: Champion
    state: str
    reigns: tuple[Reign, ...]

    @property
    def number(self) -> int:
        """The version's number."""
        return self.entry.version

    def content(self) -> dict[str, Any]:
        """What `hopline models list -o json` says of it."""
        entry = self.entry
        return {
            "version": entry.version,
            "state": self.state,
            "model_id": entry.model_id,
            "fingerprint": entry.fingerprint,
            "evaluation": entry.evaluation,
            "promoted": entry.promoted,
            "split": entry.split,
            "perplexity": entry.perplexity,
            "comparable_perplexity": self.number_of("numbers", "comparable_perplexity"),
            "predecessor": entry.previous,
            "predecessor_comparable_perplexity": self.number_of("predecessor", "comparable_perplexity"),
            "compared_by": self.measure[0],
            "change": self.change,
            "baselines": self.baselines,
            "reasons": self.reasons,
            "parents": entry.card.get("parents", {}),
            "champion": [
                {"since": reign.since, "until": reign.until, "by": "rollback" if reign.rollback else "promotion"}
                for reign in self.reigns
            ],
        }

    @property
    def reasons(self) -> list[str]:
        """Why it was promoted; empty if an older hopline promoted it."""
        return list(self.entry.card.get("decision", ()))

    @property
    def baselines(self) -> dict[str, float]:
        """The perplexity of each baseline in the evaluation that blessed it."""
        return dict(self.entry.card.get("baselines", {}))

    def number_of(self, part: str, key: str) -> float | None:
        """A number of the card, None if it is not there or not finite."""
        value = self.entry.card.get(part, {}).get(key)
        return value if type(value) in (int, float) else None

    @property
    def leading_baselines(self) -> dict[str, float]:
        """The word frequencies and the best of the other baselines, by label."""
        found = self.baselines
        rest = sorted(found.keys() - {UNIGRAM}, key=found.__getitem__)[:1]
        return {baseline_label(name): found[name] for name in (UNIGRAM, *rest) if name in found}

    @property
    def measure(self) -> tuple[str, str]:
        """What it compares by with the champion before it: a key of the card's numbers, and what that is called."""
        by_character = self.entry.card.get("compared") == "characters"
        return ("bits_per_character", "bits per character") if by_character else ("comparable_perplexity", "perplexity")

    @property
    def change(self) -> float | None:
        """Relative change of its `measure` against the champion before it; None if it had none."""
        key, _ = self.measure
        mine, other = self.number_of("numbers", key), self.number_of("predecessor", key)
        return mine / other - 1 if mine and other else None


def versions_of(history: Sequence[Champion], present: Collection[int], removed: Collection[int]) -> list[Version]:
    """The versions in `history`, in the order of their numbers.

    Args:
        history: the entries, oldest first; the last one's version is the champion.
        present: the versions whose models are there.
        removed: those that `prune` removed.
    """
    reigns: dict[int, list[Reign]] = {}
    entries: dict[int, Champion] = {}
    ends = [*(entry.promoted for entry in history[1:]), None]
    for entry, end in zip(history, ends, strict=False):  # without a history there is an end too many
        rollback = entry.version < entry.history  # a promotion's version has its entry's number, or a higher one
        reigns.setdefault(entry.version, []).append(Reign(entry.promoted, end, rollback, entry.history))
        entries.setdefault(entry.version, entry)
    champion = history[-1] if history else None

    def state(number: int) -> str:
        if number not in present:
            return REMOVED if number in removed else MISSING
        if champion and number == champion.version:
            return CHAMPION
        return PREDECESSOR if champion and number == champion.previous else KEPT

    return [Version(entries[number], state(number), tuple(reigns[number])) for number in sorted(entries)]
