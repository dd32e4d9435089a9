"""Following a run on a server in memory, to whatever end it comes."""

import json

import pytest

from hopline.runtime.errors import DivergedError, ExitCode, InternalError, PreemptedError, UserError
from pipelines.kubeflow import follow as module
from pipelines.kubeflow.connection import UnreachableError
from pipelines.kubeflow.follow import FollowError, follow
from pipelines.kubeflow.logs import own_lines, step_log
from pipelines.watch import State
from tests.pipelines.kubeflow.server import failing
from tests.pipelines.kubeflow.test_client import start
from tests.pipelines.kubeflow.workflow import Workflow

FACTS = {"decision": "promote", "split": "test", "challenger_perplexity": 111.5, "reasons": ["better"]}


def record(kind, **content):
    return f"some line\nhopline-record {json.dumps({'kind': kind, **content})}\n"


FAILURE = record("failure", step="train", error="DivergedError", code=3, message="loss is nan", remedy="lower it")


class Screen:
    """Keeps what is shown."""

    def __init__(self):
        self.shown, self.notes = [], []

    def show(self, views):
        self.shown.append({view.step: view for view in views})

    def note(self, text):
        self.notes.append(text)


@pytest.fixture
def screen():
    return Screen()


@pytest.fixture
def play(server, client, screen):
    """Starts a run that goes on by one of `acts` at each look, and follows it."""

    def make(*acts, **options):
        run = start(client)
        workflow = Workflow(server, server.runs[run.id])
        left = list(acts)
        server.watched = lambda run: left.pop(0)(workflow) if left else None
        return follow(client, run.id, screen, pause=lambda seconds: None, **options)

    return make


def test_a_run_that_succeeds_tells_what_its_steps_found(play, screen):
    came = play(
        lambda w: w.starts("resolve", "reading\nresolve: 3 of 4 files\n"),
        lambda w: w.ends("resolve", record("resolution", action="train", reason="new")),
        lambda w: w.finds("preprocess").finds("train").ends("evaluate", record("evaluation", **FACTS)),
        lambda w: w.ends("promote", record("promotion", version=7)).over("SUCCEEDED"),
    )
    assert came.failure is None
    assert came.records == {
        "resolution": {"action": "train", "reason": "new"}, "evaluation": FACTS, "promotion": {"version": 7},
    }  # fmt: skip
    assert screen.shown[0]["resolve"].line == "3 of 4 files"
    assert [view.state for view in screen.shown[-1].values()] == [State.DONE, *[State.FOUND] * 2, *[State.DONE] * 2]


def test_a_step_that_fails_is_the_same_error_here(play):
    came = play(
        lambda w: w.ends("resolve").ends("preprocess"), lambda w: w.ends("train", FAILURE, "FAILED").over("FAILED")
    )
    assert isinstance(came.failure, DivergedError)
    assert (came.failure.code, came.failure.message, came.failure.remedy) == (
        ExitCode.DIVERGED,
        "loss is nan",
        "lower it",
    )
    assert came.tail == ("some line",)


def test_the_last_try_of_a_step_says_why_it_failed(play):
    def fail(workflow):
        workflow.ends(
            "resolve", record("failure", error="UserError", code=2, message="no text", remedy=""), "FAILED", tries=3
        )
        workflow.over("FAILED")

    came = play(fail)
    assert isinstance(came.failure, UserError)


@pytest.mark.parametrize("log", ["half a line of hopl", 'hopline-record {"kind": "failure", "err', "hopline-record 3"])
def test_a_step_that_was_killed_in_the_middle_of_a_word_is_an_internal_error_with_its_log(play, log):
    came = play(lambda w: w.ends("resolve", f"reading\n{log}", "FAILED").over("FAILED"))
    assert type(came.failure) is InternalError
    assert came.tail[0] == "reading"


def test_a_pod_that_never_began_is_an_error_that_says_where_to_look(play):
    came = play(lambda w: w.never_starts("resolve").over("FAILED"))
    assert "kubectl describe" in came.failure.remedy


def test_a_run_that_fails_outside_of_its_steps_names_the_node(play):
    def fail(workflow):
        (driver,) = (name for name in workflow.nodes if name.endswith("root-driver"))
        workflow._set(driver, "FAILED")
        workflow.over("FAILED")

    came = play(fail)
    assert "root-driver" in came.failure.message


def test_a_run_that_somebody_else_terminates_is_told_apart_from_a_failure(play):
    def terminate(workflow):
        past = {"update_time": workflow.server.stamp(), "state": "CANCELING"}
        workflow.run.update(state="CANCELING", state_history=[past])

    came = play(lambda w: w.starts("resolve"), terminate, lambda w: w.ends("resolve", state="FAILED").over("FAILED"))
    assert isinstance(came.failure, PreemptedError)
    assert "terminated" in came.failure.message


def test_a_run_that_takes_too_long_goes_on_and_can_be_found_again(server, play):
    with pytest.raises(FollowError) as caught:
        play(lambda w: w.starts("resolve"), timeout=1e-9)
    (identity,) = server.runs
    assert f"hopline runs terminate {identity}" in caught.value.remedy
    assert server.runs[identity]["state"] == "RUNNING"


def test_a_server_that_goes_away_for_a_while_is_waited_for(server, client, play, screen, monkeypatch):
    monkeypatch.setattr(client._connection, "patience", 0)
    server.fault = failing(3, (503, "upgrade"), "run_service_get_run")
    came = play(lambda w: w.ends("resolve").over("SUCCEEDED"))
    assert came.failure is None
    assert len(screen.notes) == 3


def test_a_server_that_stays_away_ends_in_an_error(server, client, play, monkeypatch):
    monkeypatch.setattr(client._connection, "patience", 0)
    monkeypatch.setattr(module, "_UNREACHABLE_SECONDS", 0)
    server.fault = failing(1000, "lost", "run_service_get_run")
    with pytest.raises(UnreachableError):
        play()


def test_a_token_that_expires_meanwhile_is_an_error_at_once(server, play):
    def expire(workflow):
        server.token = "new"

    with pytest.raises(UserError, match="401"):
        play(lambda w: w.starts("resolve"), expire)


def test_a_log_is_found_also_where_tasks_are_retried(server, client):
    run = start(client)
    workflow = Workflow(server, server.runs[run.id]).ends("resolve")
    server.logs.clear()
    server.logs[run.id, workflow.pod("resolve", "retry-system-container-impl")] = "tried"
    assert step_log(client, client.run(run.id), "resolve") == "tried"


LOG = """\
I1121 15:02:44.277825      16 main.go:67] Setting log level to: '1'
[KFP Executor 2026-11-21 15:02:44,858 INFO]: Got executor_input:
{
    "inputs": {
        "parameterValues": {}
    }
}
resolve: train. There is no champion yet.
I0000 00:00:1795274407.869189      25 port.cc:153] oneDNN custom operations are on.
  two words

hopline-record {"kind": "resolution"}
[KFP Executor 2026-11-21 15:02:45,470 INFO]: Wrote executor output file to /minio/output_metadata.json.
I1121 15:02:45.513059      16 launcher_v2.go:1230] ExecutorOutput: {
  "artifacts": {}
}
I1121 15:02:45.626899      16 launcher_v2.go:206] publish success.
time=2026-11-21T15:02:46.189Z level=INFO msg="sub-process exited" argo=true error=<nil>
"""


def test_what_a_step_says_is_told_from_what_kubeflow_says_around_it():
    """The log is that of a real pod, shortened."""
    assert own_lines(LOG) == ["resolve: train. There is no champion yet.", "  two words"]
