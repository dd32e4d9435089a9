"""The client, against a server that checks every request."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hopline.runtime.errors import ExitCode, UserError
from pipelines.compiled import pipeline_yaml
from pipelines.config.config import Config
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import ConflictError, Connection, NotFoundError, Server, UnreachableError
from pipelines.kubeflow.resources import Version
from tests.pipelines.kubeflow.server import failing

CONTENT = pipeline_yaml(Config()).encode()
FAULTS = [(503, "no healthy upstream"), "lost", "cut"]


def version_of(client, name="abc"):
    return client.upload_version(client.pipeline("hopline", "about"), name, CONTENT)


def start(client, name="night", **options):
    values = {"experiment": client.experiment("tests"), "description": "submission 1", **options}
    return client.create_run(name, version_of(client), {"registry": "s3://bucket"}, **values)


def schedule(client):
    return client.create_recurring_run(
        "nightly", version_of(client), {"registry": "s3://bucket"}, cron="0 0 3 * * *",
        experiment=client.experiment("tests"), description="schedule 1",
    )  # fmt: skip


def test_what_is_there_already_is_found_and_not_made_again(server, client):
    assert client.pipeline("hopline", "about") == client.pipeline("hopline", "about")
    assert client.experiment("tests") == client.experiment("tests")
    assert version_of(client) == version_of(client)
    assert [len(server.pipelines), len(server.experiments), len(server.versions)] == [1, 1, 1]


def test_nothing_is_found_where_nothing_is(client):
    assert client.find_pipeline("hopline") is None
    assert client.find_experiment("tests") is None
    assert client.find_version(client.pipeline("hopline", "about"), "abc") is None
    assert list(client.runs()) == []


def test_a_run_is_of_its_version_with_its_parameters(server, client):
    run = start(client, service_account="trainer")
    assert (run.state, run.ended, run.finished, run.parameters) == ("PENDING", False, None, {"registry": "s3://bucket"})
    (made,) = server.runs.values()
    assert made["service_account"] == "trainer"
    assert client.run(run.id) == run


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    ("operation", "kind", "make"),
    [
        ("pipeline_service_create_pipeline", "pipelines", lambda client: client.pipeline("hopline", "about")),
        ("upload_pipeline_version", "versions", version_of),
        ("experiment_service_create_experiment", "experiments", lambda client: client.experiment("tests")),
        ("run_service_create_run", "runs", start),
        ("recurring_run_service_create_recurring_run", "recurring", schedule),
    ],
)
def test_a_lost_request_or_answer_makes_exactly_one(server, client, operation, kind, make, times, fault):
    server.fault = failing(times, fault, operation)
    make(client)
    assert len(getattr(server, kind)) == 1


def test_two_runs_of_one_name_are_two(server, client):
    first, second = start(client), start(client, description="submission 2")
    assert first.id != second.id
    assert [run.id for run in client.runs()] == [second.id, first.id]


def test_a_list_is_read_to_its_end(server, client):
    version, experiment = version_of(client), client.experiment("tests")
    for number in range(105):
        options = {"experiment": experiment, "description": str(number)}
        client.create_run("night", version, {"registry": "s3://bucket"}, **options)
    assert [run.description for run in client.runs(experiment)] == [str(number) for number in reversed(range(105))]


def test_a_server_that_fails_for_a_while_is_asked_again(server, client):
    server.fault = failing(3, (500, "database is locked"))
    assert list(client.runs()) == []


def test_a_server_that_is_down_ends_in_an_error_with_a_remedy(server):
    server.close()
    try:
        with pytest.raises(UnreachableError) as caught:
            Client(Connection(Server(host=server.url), patience=0)).healthy()
    finally:
        server.start()
    assert server.url in caught.value.message
    assert "port-forward" in caught.value.remedy
    assert caught.value.code == ExitCode.INTERNAL


def test_a_name_that_somebody_else_has_taken_is_an_error(server, client):
    server.fault = failing(1, (409, "it already exists"), "run_service_create_run")
    with pytest.raises(ConflictError):
        start(client)


def test_an_experiment_that_somebody_else_makes_at_the_same_time_is_theirs_and_ours(server, client):
    def strike(request):
        if request.operation == "experiment_service_create_experiment":
            server.fault = lambda request: None
            server.answer(request)

    server.fault = strike
    assert client.experiment("tests") == next(iter(server.experiments))


def test_what_the_server_refuses_is_the_users_fault_in_the_servers_words(client):
    with pytest.raises(UserError, match="registry is not optional"):
        client.create_run("night", version_of(client), {}, experiment=client.experiment("tests"), description="1")


def test_an_unknown_run_is_not_found(client):
    with pytest.raises(NotFoundError, match="nowhere"):
        client.run("nowhere")


def test_an_expired_token_is_an_error_until_a_new_one_is_in_the_file(server, connect, tmp_path):
    server.token = "new"
    file = tmp_path / "token"
    file.write_text("old\n")
    client = connect(token_file=file)
    with pytest.raises(UserError, match="401") as caught:
        client.healthy()
    assert "--token-file" in caught.value.remedy
    assert "old" not in f"{caught.value.message}{caught.value.remedy}"
    file.write_text("new\n")
    client.healthy()


@pytest.mark.parametrize("content", ["", "two words", None])
def test_a_file_without_a_token_is_refused_at_once(connect, tmp_path, content):
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match="token"):
        connect(token_file=file)


@pytest.mark.parametrize("host", ["", "localhost:8080"])
def test_an_address_that_is_none_is_refused_with_the_remedy(host):
    with pytest.raises(UserError) as caught:
        Connection(Server(host=host))
    assert "http://localhost:8080" in caught.value.remedy


def test_something_else_at_the_address_is_told_apart(server, client, monkeypatch):
    monkeypatch.setattr(server, "answer", lambda request: "<html>Log in</html>")
    with pytest.raises(UserError, match="does not answer as"):
        client.healthy()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_is_terminated_once_also_when_the_answer_is_lost(server, client, fault):
    run = start(client)
    server.fault = failing(1, fault, "run_service_terminate_run")
    client.terminate(run.id)
    assert server.runs[run.id]["state"] == "CANCELING"


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELED", "CANCELING"])
def test_a_run_that_has_ended_is_left_as_it_is(server, client, state):
    run = start(client)
    server.runs[run.id]["state"] = state
    client.terminate(run.id)
    assert server.runs[run.id]["state"] == state


def test_a_log_is_what_the_pod_printed_and_empty_where_there_is_none(server, client):
    run = start(client)
    server.logs[run.id, "pod-1"] = "one\ntwo\n"
    assert client.log(run.id, "pod-1") == "one\ntwo\n"
    assert client.log(run.id, "pod-2") == ""


def test_a_log_that_can_be_read_live_is_not_asked_for(server, client):
    live = Client(client._connection, lambda pod: {"pod-1": "now"}.get(pod, ""))
    run = start(live)
    server.logs[run.id, "pod-1"] = server.logs[run.id, "pod-2"] = "archived"
    assert live.log(run.id, "pod-1") == "now"
    assert live.log(run.id, "pod-2") == "archived"


def test_a_schedule_is_made_paused_resumed_and_deleted(server, client):
    made = schedule(client)
    assert (made.cron, made.enabled, made.max_concurrency, made.no_catchup) == ("0 0 3 * * *", True, 1, True)
    client.enable_recurring_run(made.id, enabled=False)
    assert [found.enabled for found in client.recurring_runs()] == [False]
    client.enable_recurring_run(made.id, enabled=True)
    assert list(client.recurring_runs(made.experiment)) == [made]
    client.delete_recurring_run(made.id)
    client.delete_recurring_run(made.id)
    assert server.recurring == {}


def test_a_schedule_that_is_deleted_leaves_its_active_run_alone(server, client):
    made, run = schedule(client), start(client)
    server.runs[run.id] |= {"state": "RUNNING", "recurring_run_id": made.id}
    client.delete_recurring_run(made.id)
    assert made.id not in server.recurring
    assert server.killed == []  # runs whose workflows have gone with the schedule


@pytest.mark.parametrize(
    "answer",
    [b'{"status":"ok"}', b"[]", b'"ok"', b"null", b"<html>", b'{"runs": "none"}', b'{"runs": [1]}', b'{"runs": [{}]}'],
)
@pytest.mark.parametrize("call", ["list", "experiment", "run", "submit"])
def test_another_server_that_answers_everything_is_told_from_kubeflow(answer, call):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments):
            pass

    other = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=other.serve_forever, args=(0.01,), daemon=True).start()
    client = Client(Connection(Server(host=f"http://127.0.0.1:{other.server_port}"), 0.0))
    version = Version(id="1", pipeline="2", name="one")
    calls = {
        "list": lambda: list(client.runs()),
        "experiment": lambda: client.experiment("one"),
        "run": lambda: client.run("one"),
        "submit": lambda: client.create_run("one", version, {}, experiment="1", description="one"),
    }
    with pytest.raises(UserError, match="does not answer as a Kubeflow Pipelines server does") as caught:
        calls[call]()
    assert "--host" in caught.value.remedy
    other.shutdown()
    other.server_close()


def test_versions_are_listed_newest_first(client):
    made = [version_of(client, name) for name in ("one", "two", "three")]
    assert list(client.versions(made[0].pipeline)) == made[::-1]
