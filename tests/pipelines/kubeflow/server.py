"""A Kubeflow Pipelines API server in memory, spoken to over HTTP, that checks every request against the contract.

Its own rules are those of the server's source, version 2.17.0 (backend/src/apiserver): names that must be unique, what
a run may be given, what may be ended; and so is the form of its answers, in which an empty field is left out.
"""

import itertools
import json
import re
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml

from tests.pipelines.kubeflow.contract import check, operations, require

LOG = re.compile(r"/apis/v1alpha1/runs/([^/]+)/nodes/([^/]+)/log")
OPERATIONS = operations()
ACTIVE = {"PENDING", "RUNNING", "PAUSED"}
NEVER = "1970-01-01T00:00:00Z"
FILTERS = {  # by what a list can be filtered and sorted
    "pipelines": {"name", "display_name", "created_at", "description"},
    "versions": {"name", "display_name", "created_at", "description"},
    "experiments": {"display_name", "created_at", "description", "storage_state"},
    "runs": {"display_name", "created_at", "description", "state", "storage_state", "recurring_run_id"},
    "recurring": {"display_name", "created_at", "updated_at", "description"},
}


@dataclass(frozen=True)
class Request:
    """One request, of the published form; `operation` is the name of the client's method, or "log"."""

    operation: str
    path: dict = field(default_factory=dict)
    query: dict = field(default_factory=dict)
    body: dict | None = None
    file: bytes | None = None


class AnswerError(Exception):
    """An answer that is an error: the server's own rules."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class KubeflowServer:
    """Answers over HTTP at `url`.

    Attributes:
        requests: all that were made and answered by the server itself, in order.
        breaches: requests that no server would take; a test ends by looking here.
        fault: called with each request before it is done; what it returns is done instead: a status and a message,
            "lost" (the connection breaks before anything is done) or "cut" (it breaks before the answer).
        token: the bearer token that requests must carry; "" for none.
        watched: called with a run each time that somebody asks for it, before the answer: lets the run go on.
        killed: the ids of runs whose workflow is gone while they were active; their state stays as it was.
        logs: what a pod has printed, by the run's id and the pod's name.
        runs: and the like: all objects by id, as the API shows them.
    """

    def __init__(self):
        self.requests, self.breaches, self.logs, self.killed = [], [], {}, []
        self.fault = lambda request: None
        self.watched = lambda run: None
        self.token = ""
        self.pipelines, self.versions, self.experiments, self.runs, self.recurring = {}, {}, {}, {}, {}
        self._ids, self._seconds = itertools.count(1), itertools.count()
        self._port = 0
        self._lock = threading.Lock()
        self.start()
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self):
        handler = type("Handler", (_Handler,), {"server_of": self})
        self._http = _Http(("127.0.0.1", self._port), handler)
        self._port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        """Ends it; `start` goes on with the same port and content."""
        self._http.shutdown()
        self._http.server_close()

    def stamp(self):
        """A time, a second after the one before."""
        return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._seconds))).strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )

    def called(self, operation):
        """The requests of one kind."""
        return [request for request in self.requests if request.operation == operation]

    def answer(self, request):
        """What the server has to say to a request of the published form."""
        if request.operation == "log":
            return self._log(**request.path)
        with self._lock:
            done = getattr(self, f"_{request.operation}")(request)
        (operation,) = (known for known in OPERATIONS if known.name == request.operation)
        check(operation.answer, done, f"the answer to {request.operation}")
        return done

    def _healthz_service_get_healthz(self, request):
        return {"pipeline_store": "database"}

    def _pipeline_service_create_pipeline(self, request):
        name = request.body.get("name") or request.body.get("display_name")
        refuse(not name, 400, "name is required")
        _unique(self.pipelines, name=name)
        return self._add(self.pipelines, "pipeline_id", {**request.body, "name": name})

    def _pipeline_service_get_pipeline_by_name(self, request):
        found = [pipeline for pipeline in self.pipelines.values() if pipeline["name"] == request.path["name"]]
        refuse(not found, 404, f"Pipeline {request.path['name']} not found")
        return found[0]

    def _pipeline_service_list_pipelines(self, request):
        return self._page("pipelines", "pipelines", request)

    def _upload_pipeline_version(self, request):
        pipeline, name = request.query.get("pipelineid"), request.query.get("name", "pipeline.yaml")
        refuse(pipeline not in self.pipelines, 400, "Failed to create a pipeline version")
        refuse(len(name) > 127, 400, "PipelineVersion.Name length cannot exceed 127")
        spec, *platform = yaml.safe_load_all(request.file)
        require(spec["schemaVersion"] == "2.1.0", "no compiled pipeline")
        _unique(self.versions, 409, pipeline_id=pipeline, name=name)
        full = {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
        shown = {"pipeline_id": pipeline, "name": name, "display_name": name, "pipeline_spec": full}
        shown |= {key: request.query[key] for key in ("description",) if key in request.query}
        tags = json.loads(request.query.get("tags", "{}"))
        return self._add(self.versions, "pipeline_version_id", {**shown, "tags": tags})

    def _pipeline_service_list_pipeline_versions(self, request):
        mine = lambda version: version["pipeline_id"] == request.path["pipeline_id"]  # noqa: E731
        return self._page("versions", "pipeline_versions", request, mine)

    def _pipeline_service_get_pipeline_version(self, request):
        return _known(self.versions, request.path["pipeline_version_id"], "PipelineVersion")

    def _experiment_service_create_experiment(self, request):
        refuse(not request.body.get("display_name"), 400, "Experiment name cannot be empty")
        _unique(self.experiments, display_name=request.body["display_name"])
        state = {"storage_state": "AVAILABLE", "last_run_created_at": NEVER}
        return self._add(self.experiments, "experiment_id", {**request.body, **state})

    def _experiment_service_list_experiments(self, request):
        return self._page("experiments", "experiments", request)

    def _run_service_create_run(self, request):
        run = request.body
        refuse(not run.get("display_name"), 400, "Run name cannot be empty")
        self._check_source(run)
        run = {**run, "storage_state": "AVAILABLE", "finished_at": NEVER}
        return self._add(self.runs, "run_id", {**run, "state": "PENDING", "scheduled_at": self.stamp()})

    def _run_service_get_run(self, request):
        run = _known(self.runs, request.path["run_id"], "Run")
        self.watched(run)
        return run

    def _run_service_list_runs(self, request):
        experiment = request.query.get("experiment_id")
        return self._page("runs", "runs", request, lambda run: experiment in {None, run["experiment_id"]})

    def _run_service_terminate_run(self, request):
        run = _known(self.runs, request.path["run_id"], "Run")
        refuse(run["state"] not in ACTIVE, 400, f"Failed to terminate a run {run['run_id']}. Row not found")
        run["state"] = "CANCELING"
        run["state_history"] = [{"update_time": self.stamp(), "state": "CANCELING"}]
        refuse(run["run_id"] in self.killed, 500, f"Failed to terminate its workflow: {run['run_id']} not found")
        return {}

    def _run_service_retry_run(self, request):
        run = _known(self.runs, request.path["run_id"], "Run")
        refuse(run["state"] != "FAILED", 400, f"Workflow must be Failed/Error to retry: it is {run['state']}")
        run.update(state="RUNNING", finished_at=NEVER)
        return {}

    def _recurring_run_service_create_recurring_run(self, request):
        made = request.body
        refuse(not made.get("display_name"), 400, "Recurring run name is empty")
        self._check_source(made)
        concurrency = int(made.get("max_concurrency", "0"))
        refuse(not 1 <= concurrency <= 10, 400, "The max_concurrency must be in range [1, 10]")
        cron = made.get("trigger", {}).get("cron_schedule", {}).get("cron", "")
        refuse(len(cron.split()) not in {5, 6} and cron[:1] != "@", 400, f"Schedule cron is not valid: {cron}")
        status = "ENABLED" if made.get("mode") == "ENABLE" else "DISABLED"
        filled = {"service_account": "pipeline-runner", **made, "status": status, "updated_at": self.stamp()}
        return self._add(self.recurring, "recurring_run_id", filled)

    def _recurring_run_service_get_recurring_run(self, request):
        return _known(self.recurring, request.path["recurring_run_id"], "Job")

    def _recurring_run_service_list_recurring_runs(self, request):
        experiment = request.query.get("experiment_id")
        return self._page("recurring", "recurringRuns", request, lambda r: experiment in {None, r["experiment_id"]})

    def _recurring_run_service_enable_recurring_run(self, request):
        _known(self.recurring, request.path["recurring_run_id"], "Job").update(status="ENABLED", mode="ENABLE")
        return {}

    def _recurring_run_service_disable_recurring_run(self, request):
        _known(self.recurring, request.path["recurring_run_id"], "Job").update(status="DISABLED", mode="DISABLE")
        return {}

    def _recurring_run_service_delete_recurring_run(self, request):
        """What is active of a schedule goes with it: its workflow is gone, and nobody tells the run."""
        identity = request.path["recurring_run_id"]
        _known(self.recurring, identity, "Job")
        del self.recurring[identity]
        if request.query.get("propagation_policy") != "ORPHAN":
            runs = [run for run in self.runs.values() if run.get("recurring_run_id") == identity]
            self.killed += [run["run_id"] for run in runs if run["state"] in ACTIVE | {"CANCELING"}]
        return {}

    def _check_source(self, run):
        """A run is of a version that there is, in an experiment that there is, with the parameters that it wants."""
        reference = run.get("pipeline_version_reference", {})
        version = _known(self.versions, reference.get("pipeline_version_id"), "PipelineVersion")
        _known(self.experiments, run.get("experiment_id"), "Experiment")
        spec = version["pipeline_spec"].get("pipeline_spec", version["pipeline_spec"])
        wanted = spec["root"].get("inputDefinitions", {}).get("parameters", {})
        given = run.get("runtime_config", {}).get("parameters", {})
        for name in given.keys() - wanted.keys():
            raise AnswerError(400, f"parameter(s) provided are not required by pipeline: {name}")
        for name, parameter in wanted.items():
            missing = name not in given and "defaultValue" not in parameter and not parameter.get("isOptional")
            refuse(
                missing, 400, f"parameter {name} is not optional, yet has neither default value nor user provided value"
            )
            wrong = parameter["parameterType"] == "STRING" and not isinstance(given.get(name, ""), str)
            refuse(wrong, 400, f"input parameter {name} requires type string")

    def _log(self, run, pod):
        """The server answers with 200 before it looks, and says afterwards that there is no log."""
        refused = json.dumps({"error_message": f"Failed to read logs for run {run}", "error_details": "pod not found"})
        return self.logs.get((run, pod), refused)

    def _add(self, objects, key, content):
        identity = f"{next(self._ids):08x}-0000-4000-8000-000000000000"
        objects[identity] = {key: identity, **content, "created_at": self.stamp()}
        return objects[identity]

    def _page(self, kind, key, request, mine=lambda item: True):
        query = request.query
        items = [item for item in getattr(self, kind).values() if mine(item) and _passes(item, kind, query)]
        field, _, order = query.get("sort_by", "created_at").partition(" ")
        refuse(field not in FILTERS[kind], 400, f"Invalid sorting field {field}")
        items.sort(key=lambda item: item[field], reverse=order == "desc")
        first, size = int(query.get("page_token", "0")), min(int(query.get("page_size", "20")), 200)
        found = {key: items[first : first + size]} if items[first:] else {}
        more = {"next_page_token": str(first + size)} if items[first + size :] else {}
        return {**found, **more, "total_size": len(items)} if items else {}


def refuse(when, status, message):
    """Ends the request with an error, `when` it does."""
    if when:
        raise AnswerError(status, message)


def _known(objects, identity, kind):
    refuse(identity not in objects, 404, f"ResourceNotFoundError: {kind} {identity} not found")
    return objects[identity]


def _unique(objects, status=409, **fields):
    taken = any(fields.items() <= item.items() for item in _plain(objects.values()))
    refuse(taken, status, f"Already exist error: {fields} already exists. Please specify a new name")


def _plain(items):
    return [{key: value for key, value in item.items() if isinstance(value, str)} for item in items]


def _passes(item, kind, query):
    predicates = json.loads(query.get("filter", "{}")).get("predicates", [])
    check("list[V2beta1Predicate]", predicates, "filter")
    for predicate in predicates:
        require(predicate["key"] in FILTERS[kind], f"no filter by {predicate['key']}")
        require(predicate["operation"] == "EQUALS", "the fake knows no other operation")
        if item.get(predicate["key"], "") != predicate["string_value"]:
            return False
    return True


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, or the client waits 40 ms for the second
    server_of: KubeflowServer

    def log_message(self, *arguments):
        pass

    def _handle(self):
        server = self.server_of
        split = urlsplit(self.path)
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if server.token and self.headers.get("Authorization") != f"Bearer {server.token}":
            return self._send(401, {"error": "Unauthenticated", "code": 16, "message": "token is invalid or expired"})
        try:
            request = self._request(split, text)
        except Exception as error:
            server.breaches.append(f"{self.command} {self.path}: {error!r}")
            return self._send(400, {"code": 3, "message": str(error)})
        fault = server.fault(request)
        if fault == "lost":
            self.close_connection = True
            return None
        if isinstance(fault, tuple):
            return self._send(fault[0], {"code": 13, "message": fault[1]})
        server.requests.append(request)
        try:
            status, answer = 200, server.answer(request)
        except AnswerError as error:
            form = "error_message" if request.file else "message"
            status, answer = error.status, {form: error.message}
        except Exception as error:
            server.breaches.append(f"{request}: {error!r}")
            status, answer = 500, {"code": 13, "message": str(error)}
        return self._send(status, answer, cut=fault == "cut")

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = _handle  # noqa: N815

    def _request(self, split, text):
        """The request as the contract has it."""
        query = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=bool(split.query)))
        if (found := LOG.fullmatch(split.path)) and self.command == "GET":
            require(not query, "a log takes no parameters")
            return Request("log", dict(zip(("run", "pod"), map(unquote, found.groups()), strict=True)))
        kind = self.headers.get_content_type()
        matches = [(known, known.match(self.command, split.path)) for known in OPERATIONS]
        # The most words of its own: .../upload_version is no pipeline's id.
        operation, path = min(((o, p) for o, p in matches if p is not None), key=lambda pair: len(pair[1]))
        file = self._file(text) if kind == "multipart/form-data" else None
        body = json.loads(text) if text and not file else None
        operation.check(query, body, file)
        return Request(operation.name, {name: unquote(value) for name, value in path.items()}, query, body, file)

    def _file(self, text):
        """The file of a form."""
        message = message_from_bytes(
            f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode() + text, policy=HTTP
        )
        (part,) = message.iter_parts()
        require(part.get_param("name", header="content-disposition") == "uploadfile", "the file is called uploadfile")
        require(part.get_filename().endswith(".yaml"), "a pipeline's file is called .yaml")
        return part.get_payload(decode=True)

    def _send(self, status, content, *, cut=False):
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        if cut:  # it was done, and the answer never comes
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def failing(times, fault, *operations_):
    """A fault that befalls the first `times` requests of these operations, or of all."""
    left = itertools.count()

    def strike(request):
        if operations_ and request.operation not in operations_:
            return None
        return fault if next(left) < times else None

    return strike


def slow(seconds):
    """A fault that makes every answer wait."""
    return lambda request: time.sleep(seconds)
