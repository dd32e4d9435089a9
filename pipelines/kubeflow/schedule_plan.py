"""What must be done so that a server's schedules of one name become what a configuration says: no request is made here.

A schedule (in Kubeflow's words a recurring run) can be made, enabled, disabled and deleted, but not changed.  So a
change replaces it, one step at a time, and before each step the server is asked anew.  A command that is killed between
two steps, or meets another one at work, leaves a state from which the next command goes on:

    1. what is wanted is not there          make it, disabled
    2. another one of the name is enabled   disable it
    3. what is wanted is not as wanted      enable or disable it
    4. another one of the name is there     delete it, if none of its runs is active; else leave it for a later time

At no moment two are enabled, and for a moment (2 to 3) none is: a time that passes then is made up for in 3.
"""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from hopline.runtime.errors import UserError
from pipelines.kubeflow.resources import RecurringRun, Version

MARK = "Made by `hopline schedule apply`"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A schedule as a configuration describes it.

    Attributes:
        name: by which it is found.
        cron: six fields, the first are seconds.
        paused: whether it is to be disabled.
        version: of the pipeline.
        experiment: id of the experiment of its runs.
        parameters: of its runs.
        service_account: of its runs' pods; "" for the server's default.
    """

    name: str
    cron: str
    paused: bool
    version: Version
    experiment: str
    parameters: Mapping[str, Any]
    service_account: str = ""

    def describes(self, found: RecurringRun) -> bool:
        """Whether `found` does what is wanted when it is enabled."""
        return not self.differences(found)

    def differences(self, found: RecurringRun, names: Mapping[str, str] | None = None) -> list[str]:
        """What is wanted otherwise than `found` has it, a line each: `key: old -> new`; `names` of ids are shown."""
        wanted = {
            "cron": self.cron, "version": self.version.id, "experiment": self.experiment, "max_concurrency": 1,
            "no_catchup": True, **flat(self.parameters),
        }  # fmt: skip
        has = {
            "cron": found.cron, "version": found.version, "experiment": found.experiment,
            "max_concurrency": found.max_concurrency, "no_catchup": found.no_catchup, **flat(found.parameters),
        }  # fmt: skip
        if self.service_account:  # otherwise the server has put in its own
            wanted["service_account"], has["service_account"] = self.service_account, found.service_account

        def shown(values: Mapping[str, Any], key: str) -> Any:
            value = values.get(key, "nothing")
            return (names or {}).get(value, value) if isinstance(value, str) else value

        keys = [key for key in {**has, **wanted} if (key in has, has.get(key)) != (key in wanted, wanted.get(key))]
        return [f"{key}: {shown(has, key)} -> {shown(wanted, key)}" for key in keys]


@dataclass(frozen=True)
class Step:
    """One request that brings the server nearer to what is wanted: `action`, of what is there already but to create."""

    action: Literal["create", "disable", "enable", "delete"]
    target: RecurringRun | None = None


def flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with those that hold a configuration section taken apart: `train.epochs`."""
    result: dict[str, Any] = {}
    for name, value in parameters.items():
        section = _object(value)
        result |= {name: value} if section is None else {f"{name}.{key}": inner for key, inner in section.items()}
    return result


def next_step(wanted: Wanted, found: Sequence[RecurringRun], left: AbstractSet[str] = frozenset()) -> Step | None:
    """The next step of those above; None if there is none.

    Args:
        wanted: what is to be.
        found: all schedules of that name, newest first.
        left: ids of those that are not to be deleted yet.

    Raises:
        UserError: one of them was not made by `hopline schedule apply`.
    """
    if foreign := [run.id for run in found if not run.description.startswith(MARK)]:
        raise UserError(
            f'the server has a schedule "{wanted.name}" that was not made by `hopline schedule apply`: '
            + ", ".join(foreign),
            remedy=f"choose another schedule.display_name, or remove it: hopline schedule delete {wanted.name}",
        )
    kept = _kept(wanted, found)
    if kept is None:
        return Step("create")
    others = [run for run in found if run is not kept]
    for other in others:
        if other.enabled:
            return Step("disable", other)
    if kept.enabled == wanted.paused:
        return Step("disable" if wanted.paused else "enable", kept)
    for other in others:
        if other.id not in left:
            return Step("delete", other)
    return None


def outline(wanted: Wanted, found: Sequence[RecurringRun], names: Mapping[str, str]) -> list[str]:
    """What `apply` would change, in lines for people; empty if nothing.

    Args:
        wanted: what is to be.
        found: all schedules of that name, newest first.
        names: of versions and experiments, by their ids.

    Raises:
        UserError: one of them was not made by `hopline schedule apply`.
    """
    if next_step(wanted, found) is None:
        return []
    if not found:
        lines = [f"new: {wanted.cron}, version {names.get(wanted.version.id, wanted.version.id)}"]
        return [*lines, *(["paused"] if wanted.paused else [])]
    kept = _kept(wanted, found)
    now = kept or next((run for run in found if run.enabled), found[0])
    lines = wanted.differences(now, names)
    if now.enabled == wanted.paused:
        lines.append("pause" if wanted.paused else "resume")
    others = [run for run in found if run is not kept]
    return lines + [f"delete {run.id}, an old one, when none of its runs is active" for run in others]


def _kept(wanted: Wanted, found: Sequence[RecurringRun]) -> RecurringRun | None:
    """Which of those that are found is what is wanted.

    Of several that are alike, two that apply at the same time must keep the same one: the oldest, if none is enabled.
    """
    alike = [run for run in reversed(found) if wanted.describes(run)]
    return next((run for run in alike if run.enabled), alike[0] if alike else None)


def _object(value: Any) -> dict[str, Any] | None:
    """The JSON object that `value`, a parameter, holds as a string; None if it holds none."""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and found else None
