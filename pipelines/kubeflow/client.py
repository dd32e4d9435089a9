"""The calls of the Kubeflow Pipelines API, version v2beta1, that we need."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from hopline.runtime.errors import UserError
from pipelines.kubeflow.connection import Connection, NotFoundError, StrangeAnswerError
from pipelines.kubeflow.resources import (
    ENDED,
    Json,
    RecurringRun,
    Run,
    Version,
    recurring_run_of,
    run_of,
    version_of,
)

_API = "/apis/v2beta1"
_PAGE = 100
Thing = TypeVar("Thing")


class Client:
    """One server.  Every method may raise `UserError` (it refuses) and `UnreachableError` (it does not answer).

    Args:
        connection: to it.
        live_log: reads the log of a pod without it, see `live.live_logs`.
    """

    def __init__(self, connection: Connection, live_log: Callable[[str], str] = lambda pod: "") -> None:
        self._connection, self._live_log = connection, live_log
        self.host, self.namespace = connection.host, connection.namespace

    def page(self, run: str) -> str:
        """The page of the run with this id, for a browser."""
        return f"{self.host}/#/runs/details/{run}"

    def healthy(self) -> Json:
        """What the server says of itself."""
        return self._connection.get(f"{_API}/healthz")

    def find_pipeline(self, name: str) -> str | None:
        """The id of the pipeline `name`, if there is one."""
        found = self._pipeline(name)
        return self._read(_pipeline_id, found) if found else None

    def pipeline(self, name: str, description: str) -> str:
        """The id of the pipeline `name`, which is made if there is none."""
        found = self._pipeline(name) or self._connection.create(
            f"{_API}/pipelines",
            lambda: self._pipeline(name),
            body=_filled(name=name, display_name=name, description=description, namespace=self.namespace),
        )
        return self._read(_pipeline_id, found)

    def find_version(self, pipeline: str, name: str) -> Version | None:
        """The version `name` of the pipeline with this id, if there is one."""
        found = self._version(pipeline, name)
        return self._read(version_of, found) if found else None

    def upload_version(
        self, pipeline: str, name: str, content: bytes, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> Version:
        """Makes `content`, a compiled pipeline, the version `name`; one that is there already is left as it is."""
        query = {"pipelineid": pipeline, "name": name, "description": description}
        created = self._connection.create(
            f"{_API}/pipelines/upload_version",
            lambda: self._version(pipeline, name),
            query={**query, "tags": json.dumps(dict(tags)) if tags else ""},
            file=("pipeline.yaml", content),
        )
        return self._read(version_of, created)

    def versions(self, pipeline: str) -> Iterator[Version]:
        """All versions of the pipeline with this id, newest first."""
        found = self._list(f"pipelines/{quote(pipeline)}/versions", "pipeline_versions", sort_by="created_at desc")
        return (self._read(version_of, each) for each in found)

    def find_experiment(self, name: str) -> str | None:
        """The id of the experiment `name`, if there is one."""
        found = self._experiment(name)
        return self._read(_experiment_id, found) if found else None

    def experiment(self, name: str) -> str:
        """The id of the experiment `name`, which is made if there is none."""
        found = self._experiment(name) or self._connection.create(
            f"{_API}/experiments",
            lambda: self._experiment(name),
            body=_filled(display_name=name, namespace=self.namespace),
        )
        return self._read(_experiment_id, found)

    def create_run(
        self,
        name: str,
        version: Version,
        parameters: Mapping[str, Any],
        *,
        experiment: str,
        description: str,
        service_account: str = "",
    ) -> Run:
        """Starts a run.  Name and description together must be unique: by them a run whose answer was lost is found."""
        body = _filled(display_name=name, description=description, experiment_id=experiment)
        body |= _source(version.pipeline, version.id, parameters) | _filled(service_account=service_account)

        def find() -> Json | None:
            query = _filter(display_name=name, description=description)
            return next(self._list("runs", "runs", filter=query, experiment_id=experiment), None)

        return self._read(run_of, self._connection.create(f"{_API}/runs", find, body=body))

    def run(self, identity: str) -> Run:
        """The run with this id.

        Raises:
            NotFoundError: there is none.
        """
        return self._read(run_of, self._connection.get(f"{_API}/runs/{quote(identity, safe='')}"))

    def runs(self, experiment: str = "") -> Iterator[Run]:
        """The runs, of one experiment if its id is given, newest first; fetched as they are taken."""
        place = {"experiment_id": experiment} if experiment else {"namespace": self.namespace}
        found = self._list("runs", "runs", sort_by="created_at desc", **place)
        return (self._read(run_of, each) for each in found)

    def runs_of(self, recurring_run: str) -> Iterator[Run]:
        """The runs that the schedule with this id has started, newest first; fetched as they are taken."""
        query = {"filter": _filter(recurring_run_id=recurring_run), "namespace": self.namespace}
        found = self._list("runs", "runs", sort_by="created_at desc", **query)
        return (self._read(run_of, each) for each in found)

    def terminate(self, identity: str) -> None:
        """Ends the run with this id; one that has ended, or that is being ended, is left as it is."""
        try:
            self._connection.patiently("POST", f"{_API}/runs/{quote(identity, safe='')}:terminate")
        except UserError:  # it refuses for a run that has ended, and the second time
            if self.run(identity).state not in {*ENDED, "CANCELING"}:
                raise

    def retry(self, identity: str) -> None:
        """Has the run with this id, which has failed, do again what failed of it and what was to follow."""
        try:
            self._connection.patiently("POST", f"{_API}/runs/{quote(identity, safe='')}:retry")
        except UserError:  # an answer was lost, and the second request found the run at work
            if self.run(identity).ended:
                raise

    def log(self, run: str, pod: str) -> str:
        """What the container of the run's pod has printed so far; "" while there is none or it cannot be had."""
        if text := self._live_log(pod):
            return text
        path = f"/apis/v1alpha1/runs/{quote(run, safe='')}/nodes/{quote(pod, safe='')}/log"
        text = self._connection.patiently("GET", path).decode(errors="replace")
        # The server has begun to answer with 200 when it finds out that it cannot.
        return "" if text.startswith('{"error_message":') else text

    def create_recurring_run(
        self,
        name: str,
        version: Version,
        parameters: Mapping[str, Any],
        *,
        cron: str,
        experiment: str,
        description: str,
        max_concurrency: int = 1,
        no_catchup: bool = True,
        enabled: bool = True,
        service_account: str = "",
    ) -> RecurringRun:
        """Makes a schedule.  Name and description together must be unique: by them one whose answer was lost is found.

        Args:
            name: shown to people; each run of it is named after it.
            version: of the pipeline, which it keeps to.
            parameters: of every run.
            cron: six fields, the first of them seconds.
            experiment: id of the experiment of its runs.
            description: free text.
            max_concurrency: how many of its runs may be active, 1 to 10.
            no_catchup: whether times that were missed are left out.
            enabled: whether it fires.
            service_account: of its pods; "" for the server's default.
        """
        body = _filled(display_name=name, description=description, experiment_id=experiment)
        body |= _source(version.pipeline, version.id, parameters) | _filled(service_account=service_account)
        body |= {
            "trigger": {"cron_schedule": {"cron": cron}},
            "max_concurrency": str(max_concurrency),
            "no_catchup": no_catchup,
            "mode": "ENABLE" if enabled else "DISABLE",
        }

        def find() -> Json | None:
            query = _filter(display_name=name, description=description)
            found = self._list("recurringruns", "recurringRuns", filter=query, experiment_id=experiment)
            return next(found, None)

        return self._read(recurring_run_of, self._connection.create(f"{_API}/recurringruns", find, body=body))

    def recurring_runs(self, experiment: str = "") -> Iterator[RecurringRun]:
        """All schedules, of one experiment if its id is given, newest first."""
        place = {"experiment_id": experiment} if experiment else {"namespace": self.namespace}
        found = self._list("recurringruns", "recurringRuns", sort_by="created_at desc", **place)
        return (self._read(recurring_run_of, each) for each in found)

    def enable_recurring_run(self, identity: str, *, enabled: bool) -> None:
        """Lets the schedule with this id fire, or no more."""
        self._connection.patiently("POST", f"{_recurring(identity)}:{'enable' if enabled else 'disable'}")

    def delete_recurring_run(self, identity: str) -> None:
        """Removes the schedule with this id; its runs stay, also those that are active."""
        try:
            # By default Kubernetes would remove a schedule's workflows with it, in the middle of their work.
            self._connection.patiently("DELETE", _recurring(identity), query={"propagation_policy": "ORPHAN"})
        except NotFoundError:
            return  # an answer was lost, or another client was faster

    def _pipeline(self, name: str) -> Json | None:
        try:
            return self._connection.get(f"{_API}/pipelines/names/{quote(name, safe='')}", namespace=self.namespace)
        except NotFoundError:
            return None

    def _version(self, pipeline: str, name: str) -> Json | None:
        found = self._list(f"pipelines/{quote(pipeline)}/versions", "pipeline_versions", filter=_filter(name=name))
        return next(found, None)

    def _experiment(self, name: str) -> Json | None:
        query = {"filter": _filter(display_name=name), "namespace": self.namespace}
        return next(self._list("experiments", "experiments", **query), None)

    def _list(self, path: str, key: str, **query: str) -> Iterator[Json]:
        """All things of a list, page by page."""
        token = ""
        while True:
            page = self._connection.get(f"{_API}/{path}", **query, page_size=_PAGE, page_token=token)
            # An empty field is left out, so that an empty page is {}; whatever else answers has fields of its own.
            if not page.keys() <= {key, "next_page_token", "total_size"} or not isinstance(page.get(key, []), list):
                raise StrangeAnswerError(self.host, page)
            yield from page.get(key, [])
            token = page.get("next_page_token", "")
            if not token:
                return

    def _read(self, reader: Callable[[Json], Thing], content: Json) -> Thing:
        """What `reader` makes of an answer; one that it cannot read is not of the API's form."""
        try:
            return reader(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StrangeAnswerError(self.host, content) from error


def _pipeline_id(content: Json) -> str:
    return str(content["pipeline_id"])


def _experiment_id(content: Json) -> str:
    return str(content["experiment_id"])


def _recurring(identity: str) -> str:
    return f"{_API}/recurringruns/{quote(identity, safe='')}"


def _filled(**values: str) -> Json:
    return {name: value for name, value in values.items() if value}


def _source(pipeline: str, version: str, parameters: Mapping[str, Any]) -> Json:
    reference = {"pipeline_id": pipeline, "pipeline_version_id": version}
    return {"pipeline_version_reference": reference, "runtime_config": {"parameters": dict(parameters)}}


def _filter(**values: str) -> str:
    """A filter, as the API has it, for things all of whose fields have these values."""
    predicates = [{"operation": "EQUALS", "key": key, "string_value": value} for key, value in values.items()]
    return json.dumps({"predicates": predicates})
