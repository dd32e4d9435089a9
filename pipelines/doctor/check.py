"""A check, its answer, and the table of all answers.

No check raises and none hangs: an error that was not foreseen is an answer too.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from hopline.runtime.errors import HoplineError, UserError

LIMIT_SECONDS = 30.0  # for one check


class State(Enum):
    """Of what was looked for; the value is what people read."""

    OK = "ok"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Answer:
    """What a check found: the state, what was seen, and what to do about it."""

    state: State
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Check:
    """Something to look at; what `look` raises becomes an answer."""

    name: str
    look: Callable[[], Answer]


@dataclass(frozen=True)
class Finding:
    """A row of the table."""

    name: str
    answer: Answer


def ok(found: str) -> Answer:
    """It is as it should be."""
    return Answer(State.OK, found)


def missing(found: str, remedy: str) -> Answer:
    """It is not as it should be."""
    return Answer(State.MISSING, found, remedy)


def unknown(found: str, remedy: str = "") -> Answer:
    """Unknown."""
    return Answer(State.UNKNOWN, found, remedy)


def diagnose(checks: Iterable[Check], limit: float = LIMIT_SECONDS) -> Iterator[Finding]:
    """The findings of `checks`, one after the other, each after `limit` seconds at the latest."""
    for check in checks:
        yield Finding(check.name, _bounded(check, limit))


def _bounded(check: Check, limit: float) -> Answer:
    answers: list[Answer] = []

    def look() -> None:
        try:
            answers.append(check.look())
        except UserError as error:
            answers.append(missing(error.message, error.remedy))
        except HoplineError as error:
            answers.append(unknown(error.message, error.remedy))
        except Exception as error:  # a check that raises must not end the others
            answers.append(unknown(f"{type(error).__name__}: {error}", "report this"))

    thread = threading.Thread(target=look, daemon=True)  # one that hangs must not hold up the end
    thread.start()
    thread.join(limit)
    return answers[0] if answers else unknown(f"no answer within {limit:.0f} s", "see what it waits for, and try again")
