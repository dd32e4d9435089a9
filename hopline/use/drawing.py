"""Words drawn from a model's export, call after call."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hopline.runtime.errors import UserError
from hopline.use.exported import Exported, texts_of

LONGEST = 100_000  # words of one continuation
_MOST_TEXTS = 1000
_CACHE = ("cache_states", "cache_ids")  # what a call hands to the next, beside context and ended


@dataclass(frozen=True)
class Choice:
    """How words are drawn.

    Attributes:
        temperature: divides the logits: below 1 likely words become likelier; 0 always takes the likeliest.
        top_k: draws from so many of the likeliest words; 0 from all.
        top_p: draws from the fewest likeliest words whose probabilities add up to it; 1 from all.
        seed: the same seed draws the same words.
        stop: words that end a continuation, and are no part of it; a newline is the end of a line.
        unknown: whether `<unk>` may be drawn.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()
    unknown: bool = False

    def __post_init__(self) -> None:
        rules = (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more"),
            ("top_k", 0 <= self.top_k < 1 << 31, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("seed", abs(self.seed) < 1 << 63, "a number of 64 bits"),
        )
        for name, kept, rule in rules:
            if not kept:
                raise UserError(f"{name} is {getattr(self, name)}, but must be {rule}", remedy=f"correct {name}")


@dataclass(frozen=True)
class Words:
    """Words drawn for one text, one after another.

    Attributes:
        words: N words.
        log_probs: of each, in nats, under the model itself, whatever the temperature.
        alternatives: the likeliest words at each place with their log-probabilities, likeliest first.
        ended: whether a stop word came; then nothing follows.
    """

    words: tuple[str, ...]
    log_probs: tuple[float, ...]
    alternatives: tuple[tuple[tuple[str, float], ...], ...]
    ended: bool


def draw(
    exported: Exported, text: str, *, tokens: int, choice: Choice, n: int, at_once: int, cache: dict[str, Any] | None
) -> Iterator[list[Words]]:
    """See `Model.stream`; `cache` holds the inputs of "extend" that begin so, None for no neural cache."""
    how: dict[str, Any] = {**vars(choice), "stop": list(choice.stop)}
    if "cache_states" in exported.inputs("extend"):  # an export of an older hopline has no cache
        how |= cache or _no_cache(exported, n)
    kept = ("context", "ended", *(name for name in _CACHE if name in how))
    state = {**how, **exported.call("begin", text=[text] * n)}
    done, running = 0, [True] * n
    while done < tokens and any(running):
        count = min(max(1, at_once), tokens - done)
        state = exported.call("extend", **{**how, **{name: state[name] for name in kept}}, first=done, tokens=count)
        yield [_words(state, row) if running[row] else Words((), (), (), True) for row in range(n)]
        running = [not ended for ended in state["ended"]]
        done += count


def require_bounded(tokens: int, n: int) -> None:
    """Demands that so many words of so many texts may be drawn.

    Raises:
        UserError: they may not.
    """
    for name, value, least, most in (("tokens", tokens, 0, LONGEST), ("n", n, 1, _MOST_TEXTS)):
        if not least <= value <= most:
            raise UserError(f"{name} is {value}, but must be {least} to {most:,}", remedy=f"correct {name}")


def _no_cache(exported: Exported, n: int) -> dict[str, Any]:
    width = exported.width("extend", "cache_states")
    return {
        "cache_states": np.zeros((n, 0, width), np.float32),
        "cache_ids": np.zeros((n, 0), np.int32),
        "cache_weight": 0.0,
        "cache_flatness": 0.0,
    }


def _words(state: dict[str, Any], row: int) -> Words:
    length = int(state["lengths"][row])
    rows = zip(state["alternatives"][row][:length], state["alternative_log_probabilities"][row], strict=False)
    alternatives = tuple(tuple(zip(texts_of(words), map(float, numbers), strict=True)) for words, numbers in rows)
    log_probs = tuple(map(float, state["log_probabilities"][row][:length]))
    return Words(tuple(texts_of(state["words"][row][:length])), log_probs, alternatives, bool(state["ended"][row]))
