"""Makes, pauses, resumes and deletes a server's schedules, so that no run dies of it; see `schedule_plan`."""

import itertools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from hopline.runtime.errors import InternalError, UserError
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.resources import RecurringRun, Run
from pipelines.kubeflow.schedule_plan import MARK, Step, Wanted, next_step

_SETTLE_SECONDS = 10.0  # in which a run that a schedule has just started appears in the server's list
RECENT = 200  # runs of a schedule that are looked at; one that fires each hour has thousands
_STEPS = 50  # more than any number of leftovers takes: another command works towards another schedule at the same time
_POLL_SECONDS = 2.0

_END_SECONDS = 300.0  # for a run that was told to end; training saves within a minute

Say = Callable[[str], None]
Sleep = Callable[[float], None]


def named(client: Client, name: str) -> list[RecurringRun]:
    """The server's schedules of this name, newest first."""
    return [run for run in client.recurring_runs() if run.name == name]


def apply(client: Client, wanted: Wanted, say: Say, sleep: Sleep = time.sleep) -> list[Step]:
    """Makes the steps that are needed; returns them.

    Args:
        client: the server.
        wanted: what is to be.
        say: called with what was done, and with what was left.
        sleep: sleeps so many seconds.

    Raises:
        InternalError: another command works towards another schedule at the same time.
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


def resume(client: Client, name: str) -> RecurringRun:
    """Enables the schedule, and returns it.

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
    return replace(schedule, enabled=True)


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


@dataclass(frozen=True, kw_only=True)
class History:
    """What became of a schedule's runs, of the newest RECENT.

    Attributes:
        active: runs that have not ended.
        last: the newest that has ended; None for none.
        success: the newest that was one; None for none.
    """

    active: tuple[Run, ...] = ()
    last: Run | None = None
    success: Run | None = None


def history(client: Client, schedule: RecurringRun) -> History:
    """The schedule's runs, looked at from the newest on, up to the first success."""
    active: list[Run] = []
    last = None
    for run in itertools.islice(client.runs_of(schedule.id), RECENT):
        if not run.ended:
            active.append(run)
            continue
        last = last or run
        if run.state == "SUCCEEDED":
            return History(active=tuple(active), last=last, success=run)
    return History(active=tuple(active), last=last)


def active_runs(client: Client, schedule: RecurringRun) -> list[Run]:
    """The runs of a schedule that have not ended, of the newest RECENT: it starts no run beside one that is active."""
    return [run for run in itertools.islice(client.runs_of(schedule.id), RECENT) if not run.ended]


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
    say(f"a run was told to end {_END_SECONDS:.0f} s ago and has not: the schedule is deleted without it")


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
