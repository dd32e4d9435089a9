"""Brings a server's schedules of one name to what a configuration says.

A schedule (in Kubeflow's words a recurring run) can be made, enabled, disabled and deleted, but not changed, and with
it go those of its runs that are active.  So a change replaces it, one step at a time, and before each step the server
is asked anew; whoever is killed between two steps, or meets another one at work, leaves what the next `apply` takes on:

    1. what is wanted is not there          make it, disabled
    2. another one of the name is enabled   disable it
    3. what is wanted is not as wanted      enable or disable it
    4. another one of the name is there     delete it, if none of its runs is active; else leave it for a later time

At no moment two are enabled, and for a moment (2 to 3) none is: what is due then starts when the new one is enabled.
"""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Literal

from hopline.errors import InternalError, UserError
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.resources import RecurringRun, Run, Version

MARK = "Made by `hopline schedule apply`"
_SETTLE_SECONDS = 10.0  # in which a run that a schedule has just started appears in the server's list
_STEPS = 50  # more than any number of leftovers takes: somebody else wants something else at the same time
_POLL_SECONDS = 2.0

_END_SECONDS = 300.0  # for a run that was told to end; training saves within a minute

Say = Callable[[str], None]
Sleep = Callable[[float], None]


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

    def differences(self, found: RecurringRun) -> list[str]:
        """What is wanted otherwise than `found` has it, a line each: `name: old -> new`."""
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
        return [
            f"{key}: {has.get(key, 'nothing')} -> {wanted.get(key, 'nothing')}"
            for key in {**has, **wanted}
            if (key in has, has.get(key)) != (key in wanted, wanted.get(key))
        ]


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
        UserError: one of them was made by somebody else.
    """
    if foreign := [run.id for run in found if not run.description.startswith(MARK)]:
        raise UserError(
            f'the server has a schedule "{wanted.name}" that was not made by `hopline schedule apply`: '
            + ", ".join(foreign),
            remedy=f"choose another schedule.display_name, or remove it: hopline schedule delete {wanted.name}",
        )
    # Of several that are alike two that apply at the same time must keep the same one: the oldest, if none is enabled.
    alike = sorted((run for run in reversed(found) if wanted.describes(run)), key=lambda run: not run.enabled)
    if not alike:
        return Step("create")
    kept, others = alike[0], [run for run in found if run is not alike[0]]
    for other in others:
        if other.enabled:
            return Step("disable", other)
    if kept.enabled == wanted.paused:
        return Step("disable" if wanted.paused else "enable", kept)
    for other in others:
        if other.id not in left:
            return Step("delete", other)
    return None


def named(client: Client, name: str) -> list[RecurringRun]:
    """The server's schedules of this name, newest first."""
    return [run for run in client.recurring_runs() if run.name == name]


def apply(client: Client, wanted: Wanted, say: Say, sleep: Sleep = time.sleep) -> list[Step]:
    """Makes the steps that are needed; returns them.

    Args:
        client: the server.
        wanted: what is to be.
        say: is told what was done, and what was left.
        sleep: sleeps so many seconds.

    Raises:
        InternalError: somebody else wants something else at the same time.
        UserError: as for `next_step`.
    """
    done: list[Step] = []
    left: set[str] = set()
    settled = False
    for _ in range(_STEPS):
        step = next_step(wanted, named(client, wanted.name), left)
        if step is None:
            return done
        if step.action == "create":
            _create(client, wanted)
            say("made the new one, which does not fire yet")
        elif step.target is None:
            raise AssertionError(step)
        elif step.action == "delete":
            if not settled and not active_runs(client, step.target):
                _settle(say, sleep)
                settled = True
            if runs := active_runs(client, step.target):
                left.add(step.target.id)
                say(f"left an old one ({step.target.id}), disabled, until its run {runs[0].id} has ended: apply again")
                continue
            client.delete_recurring_run(step.target.id)
            say(f"deleted an old one ({step.target.id})")
        else:
            client.enable_recurring_run(step.target.id, enabled=step.action == "enable")
            say(f"{step.action}d {step.target.id}")
        done.append(step)
    raise InternalError(
        f'the schedule "{wanted.name}" keeps changing',
        remedy="see who else applies a configuration with this schedule.display_name, and run this again",
    )


def pause(client: Client, name: str) -> None:
    """Disables the schedule; its active run goes on.

    Raises:
        UserError: there is none of this name.
    """
    for schedule in _known(client, name):
        client.enable_recurring_run(schedule.id, enabled=False)


def resume(client: Client, name: str) -> None:
    """Enables the schedule.

    Raises:
        UserError: there is none of this name, or more than one.
    """
    schedule, *others = _known(client, name)
    if others:
        raise UserError(
            f'the server has {len(others) + 1} schedules "{name}": one that replaces another whose run is active, or '
            "copies made by hand",
            remedy="apply the configuration of the one that is wanted: hopline schedule apply",
        )
    client.enable_recurring_run(schedule.id, enabled=True)


def delete(client: Client, name: str, say: Say, *, end_runs: bool, sleep: Sleep = time.sleep) -> None:
    """Deletes all schedules of the name.

    They are disabled first, and stay so if one of their runs is active, unless that is to end as well: it is
    terminated, so that the server keeps what became of it, and waited for.

    Raises:
        UserError: there is no schedule of this name, or a run of it is active.
    """
    schedules = _known(client, name)
    for schedule in schedules:
        client.enable_recurring_run(schedule.id, enabled=False)
    _settle(say, sleep)
    for schedule in schedules:
        runs = active_runs(client, schedule)
        if runs and not end_runs:
            raise UserError(
                f'run {runs[0].id} of the schedule "{name}" is active, and would end with it; the schedule is disabled',
                remedy=f"when the run has ended, give this command again; or end it: hopline schedule delete {name} "
                "--and-its-runs",
            )
        for run in runs:
            client.terminate(run.id)
            say(f"ending run {run.id}")
        _await_end(client, schedule, say, sleep)
        client.delete_recurring_run(schedule.id)


def active_runs(client: Client, schedule: RecurringRun) -> list[Run]:
    """The runs of a schedule that have not ended."""
    return [run for run in client.runs_of(schedule.id) if not run.ended]


def _known(client: Client, name: str) -> list[RecurringRun]:
    """The schedules of this name, at least one."""
    schedules = list(client.recurring_runs())
    found = [schedule for schedule in schedules if schedule.name == name]
    if not found:
        names = ", ".join(sorted({schedule.name for schedule in schedules})) or "none"
        raise UserError(f'the server has no schedule "{name}"', remedy=f"name one that it has: {names}")
    return found


def _settle(say: Say, sleep: Sleep) -> None:
    """Waits until a run that a schedule started before it was disabled is in the server's list."""
    say(f"waiting {_SETTLE_SECONDS:.0f} s for a run that may just have started")
    sleep(_SETTLE_SECONDS)


def _await_end(client: Client, schedule: RecurringRun, say: Say, sleep: Sleep) -> None:
    """Waits until none of the schedule's runs is active, but not for one whose workflow is gone: that never ends."""
    for _ in range(int(_END_SECONDS / _POLL_SECONDS)):
        if not active_runs(client, schedule):
            return
        sleep(_POLL_SECONDS)
    say(f"a run was told to end {_END_SECONDS:.0f} s ago and has not: what is left of it goes with the schedule")


def _create(client: Client, wanted: Wanted) -> None:
    client.create_recurring_run(
        wanted.name,
        wanted.version,
        wanted.parameters,
        cron=wanted.cron,
        experiment=wanted.experiment,
        description=f"{MARK} ({uuid.uuid4()})",  # by which it is found if the answer is lost
        enabled=False,
        service_account=wanted.service_account,
    )


def _object(value: Any) -> dict[str, Any] | None:
    """The JSON object that `value`, a parameter, holds as a string; None if it holds none."""
    try:
        found = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and found else None
