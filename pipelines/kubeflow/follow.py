"""Follows a run to its end, and tells what came of it from the logs of its pods."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from components.steps import STEPS
from hopline.runtime.errors import HoplineError, InternalError, PreemptedError
from hopline.runtime.process import failure_from
from hopline.runtime.records import read_records
from pipelines.display import Display
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import UnreachableError
from pipelines.kubeflow.logs import own_lines, step_log
from pipelines.kubeflow.nodes import views
from pipelines.kubeflow.resources import Run
from pipelines.watch import State, StepView

LOOK_SECONDS = 3.0
_LOG_SECONDS = 10.0  # between looks into the running step's log, which the server gives as a whole
_UNREACHABLE_SECONDS = 900.0  # how long a server may be away while a run is followed
_TAIL_LINES = 30


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes:
        run: as it ended.
        records: the last that its steps printed, by kind: resolution, evaluation, promotion.
        failure: why it failed; None if it succeeded.
        tail: the last lines of the failed step's log.
    """

    run: Run
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    failure: HoplineError | None = None
    tail: tuple[str, ...] = ()


class FollowError(InternalError):
    """The run was not followed to its end; it goes on."""


def follow(
    client: Client,
    identity: str,
    screen: Display,
    *,
    timeout: float = 0.0,
    pause: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Shows the run on `screen` until it has ended, and returns what came of it.

    Args:
        client: of its server, which may be away for a while.
        identity: the run's id.
        screen: where its steps are shown.
        timeout: seconds after which it is given up on; 0 for never.
        pause: sleeps so many seconds between two looks.

    Raises:
        FollowError: the time is over.
        UnreachableError: the server has been away for too long.
        UserError: it does not let us look.
    """
    end = time.monotonic() + timeout if timeout else None
    lines = _Lines(client)
    while True:
        run = look(client, identity, screen.note, pause)
        shown = views(run)
        if run.ended:
            screen.show(shown)
            return outcome(client, run)
        screen.show([lines.beside(run, view) for view in shown])
        if end is not None and time.monotonic() >= end:
            raise FollowError(
                f"the run {run.id} has not ended after {timeout:g} s; it goes on",
                remedy=f"follow it with `hopline runs show {run.id} --wait`, or end it with "
                f"`hopline runs terminate {run.id}`",
            )
        pause(LOOK_SECONDS)


def outcome(client: Client, run: Run) -> Outcome:
    """What came of a run that has ended."""
    if run.state == "SUCCEEDED":
        records: dict[str, dict[str, Any]] = {}
        for step in STEPS:
            if step.record:
                records |= read_records(step_log(client, run, step.name))
        return Outcome(run, records)
    failed = next((view.step for view in views(run) if view.state is State.FAILED), None)
    if run.terminated:
        failure: HoplineError = PreemptedError(
            f"the run {run.id} was terminated", remedy="submit it again: what Kubeflow has cached is not done again"
        )
        return Outcome(run, failure=failure)
    if failed is None:
        return Outcome(run, failure=_outside(run))
    log = step_log(client, run, failed)
    said = failure_from(read_records(log).get("failure"))
    lines = own_lines(log) if said else log.splitlines()
    return Outcome(run, failure=said or _silent(failed, log), tail=tuple(lines[-_TAIL_LINES:]))


def _outside(run: Run) -> InternalError:
    """The error for a run that failed while no step of ours did."""
    node = next((task.name for task in run.tasks if task.state == "FAILED" and task.name.endswith("-driver")), "")
    reason = run.error or (f"its node {node} failed" if node else "it may have come to cluster.max_seconds")
    return InternalError(f"the run {run.id} failed outside of its steps: {reason}", remedy="see the run's page")


def _silent(step: str, log: str) -> InternalError:
    """The error for a step that failed and left no word of why."""
    if log:
        return InternalError(f"{step} ended without saying why", remedy="see the last lines of its log")
    return InternalError(
        f"{step} failed before its program began, or its log is gone",
        remedy="see the run's page, or kubectl describe pod: an image that cannot be pulled, a Secret or a volume that "
        "is not there, too little memory; --kube-namespace reads logs that were not archived",
    )


def look(client: Client, identity: str, note: Callable[[str], None], pause: Callable[[float], None]) -> Run:
    """The run as it is now; calls `note` where it has to wait for a server that is away."""
    deadline = time.monotonic() + _UNREACHABLE_SECONDS
    while True:
        try:
            return client.run(identity)
        except UnreachableError as error:
            if time.monotonic() >= deadline:
                raise
            note(f"{error.message}: the run goes on, asking again")
            pause(LOOK_SECONDS)


class _Lines:
    """The last line of the log of whichever step runs, which is where its progress is to be seen."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._line, self._of, self._next = "", "", 0.0

    def beside(self, run: Run, view: StepView) -> StepView:
        """The view with that line, if its step runs."""
        if view.state is not State.RUNNING:
            return view
        now = time.monotonic()
        if view.step != self._of or now >= self._next:
            self._of, self._next = view.step, now + _LOG_SECONDS
            log = own_lines(step_log(self._client, run, view.step))
            lines = [line for line in log if line.startswith(f"{view.step}: ")]
            self._line = lines[-1].removeprefix(f"{view.step}: ") if lines else ""
        return replace(view, line=self._line)
