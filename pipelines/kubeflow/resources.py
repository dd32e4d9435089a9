"""What a Kubeflow Pipelines server keeps, read from the API's JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = dict[str, Any]

ENDED = frozenset({"SUCCEEDED", "SKIPPED", "FAILED", "CANCELED"})  # the states that a run does not leave


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a pipeline: `id` and `pipeline` are the server's, `name` is ours."""

    id: str
    pipeline: str
    name: str
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """A node of a run's workflow, as Argo has it.

    Attributes:
        name: of the task, or of a part of it such as "train-driver" or "executor".
        state: PENDING, RUNNING, SUCCEEDED, SKIPPED, FAILED, CANCELED ...; "" for a node that was left out.
        started: None for not yet.
        finished: None for not yet.
        children: the nodes' names that follow, `<workflow>-<number>`.
    """

    name: str
    state: str
    started: datetime | None = None
    finished: datetime | None = None
    children: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run as it is now; one that was `terminated` ends as FAILED, like others."""

    id: str
    name: str
    state: str
    description: str = ""
    experiment: str = ""
    version: str = ""
    recurring_run: str = ""
    created: datetime | None = None
    finished: datetime | None = None
    error: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    terminated: bool = False
    tasks: tuple[Task, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it has come to an end, good or bad."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class RecurringRun:
    """A schedule as the server has it.

    Attributes:
        id: the server's.
        name: shown to people, and not unique.
        cron: six fields, the first of them seconds; "" for a schedule that counts seconds instead.
        enabled: whether it fires.
        max_concurrency: how many of its runs may be active.
        no_catchup: whether missed times are left out.
        pipeline: and `version`: what it runs; `version` is "" for the newest.
    """

    id: str
    name: str
    cron: str
    enabled: bool
    max_concurrency: int
    no_catchup: bool
    pipeline: str
    version: str
    description: str = ""
    experiment: str = ""
    service_account: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


def version_of(content: Json) -> Version:
    """The version as the API writes it."""
    return Version(
        id=content["pipeline_version_id"],
        pipeline=content["pipeline_id"],
        name=content.get("name") or content["display_name"],
        tags=content.get("tags", {}),
    )


def run_of(content: Json) -> Run:
    """The run as the API writes it."""
    details = content.get("run_details", {}).get("task_details", [])
    return Run(
        id=content["run_id"],
        name=content.get("display_name", ""),
        state=content.get("state", "PENDING"),  # before the workflow is seen there is none
        description=content.get("description", ""),
        experiment=content.get("experiment_id", ""),
        version=content.get("pipeline_version_reference", {}).get("pipeline_version_id", ""),
        recurring_run=content.get("recurring_run_id", ""),
        created=_time(content.get("created_at")),
        finished=_time(content.get("finished_at")),
        error=content.get("error", {}).get("message", ""),
        parameters=content.get("runtime_config", {}).get("parameters", {}),
        terminated=any(past.get("state") in {"CANCELING", "CANCELED"} for past in content.get("state_history", [])),
        tasks=tuple(_task(detail) for detail in details),
    )


def _task(detail: Json) -> Task:
    return Task(
        name=detail.get("display_name", ""),
        state=detail.get("state", ""),
        started=_time(detail.get("start_time")),
        finished=_time(detail.get("end_time")),
        children=tuple(child["pod_name"] for child in detail.get("child_tasks", []) if "pod_name" in child),
    )


def recurring_run_of(content: Json) -> RecurringRun:
    """The schedule as the API writes it."""
    reference = content.get("pipeline_version_reference", {})
    return RecurringRun(
        id=content["recurring_run_id"],
        name=content.get("display_name", ""),
        cron=content.get("trigger", {}).get("cron_schedule", {}).get("cron", ""),
        enabled=content.get("status") == "ENABLED",
        max_concurrency=int(content.get("max_concurrency", 0)),
        no_catchup=content.get("no_catchup", False),
        pipeline=reference.get("pipeline_id", ""),
        version=reference.get("pipeline_version_id", ""),
        description=content.get("description", ""),
        experiment=content.get("experiment_id", ""),
        service_account=content.get("service_account", ""),
        parameters=content.get("runtime_config", {}).get("parameters", {}),
    )


def _time(text: str | None) -> datetime | None:
    """A time as the server writes it; the year 1970 is its word for never."""
    time = datetime.fromisoformat(text) if text else None
    return time if time and time.timestamp() > 0 else None
