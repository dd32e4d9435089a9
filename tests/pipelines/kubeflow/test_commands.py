"""`hopline submit` and `hopline runs` in this process, against a server in memory."""

import json
import signal
import threading

import pytest

from hopline.runtime.errors import ExitCode
from pipelines.cli import main
from pipelines.kubeflow import connection
from pipelines.kubeflow import follow as module
from tests.pipelines.kubeflow.server import failing
from tests.pipelines.kubeflow.test_follow import FACTS, FAILURE, record
from tests.pipelines.kubeflow.workflow import Workflow

STALE = record("failure", error="StaleBlessingError", code=4, message="the champion has changed", remedy="again")


@pytest.fixture
def call(server, tmp_path, monkeypatch, capsys):
    """Runs a command, and returns its exit code and what it printed."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    monkeypatch.setenv("HOPLINE_KFP_HOST", server.url)
    (tmp_path / "config.toml").write_text('[cluster]\nregistry = "s3://models/x"\n')

    def run(*arguments):
        command = [*arguments, "--config", str(tmp_path / "config.toml")] if arguments[0] == "submit" else arguments
        code = main([*command])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture
def play(server):
    """Lets each run, one after the other, go the way of one of `ways`."""

    def make(*ways):
        begun, left = {}, list(ways)

        def go_on(run):
            if run["run_id"] not in begun:
                begun[run["run_id"]] = left.pop(0)(Workflow(server, run))

        server.watched = go_on

    return make


def succeed(workflow):
    workflow.ends("resolve", record("resolution", action="train", reason="new")).ends("preprocess").ends("train")
    workflow.ends("evaluate", record("evaluation", **FACTS)).ends("promote", record("promotion", version=7))
    return workflow.over("SUCCEEDED")


def fail(workflow):
    return workflow.ends("resolve").ends("preprocess").ends("train", FAILURE, "FAILED").over("FAILED")


def stale(workflow):
    return workflow.ends("resolve").ends("evaluate").ends("promote", STALE, "FAILED").over("FAILED")


def test_a_submitted_run_is_named_with_its_page(server, call):
    code, out, _ = call("submit")
    (run,) = server.runs
    assert code == 0
    assert f"{server.url}/#/runs/details/{run}" in out


def test_a_run_that_is_waited_for_ends_with_the_decision(call, play):
    play(succeed)
    code, out, _ = call("submit", "--wait")
    assert code == 0
    for words in ("perplexity 111.5 on test", "promoted", "better", "version 7 is the champion"):
        assert words in out


def test_a_run_that_finds_nothing_new_says_so(call, play):
    skip = record("resolution", action="skip", reason="the corpus has not changed")
    play(lambda workflow: workflow.ends("resolve", skip).over("SUCCEEDED"))
    code, out, _ = call("submit", "--wait")
    assert code == 0
    assert "nothing was trained: the corpus has not changed" in out


def test_a_decision_whose_log_is_gone_is_said_to_be_missing(call, play):
    play(lambda workflow: workflow.ends("resolve").ends("evaluate").over("SUCCEEDED"))
    code, out, _ = call("submit", "--wait")
    assert code == 0
    assert "--kube-namespace" in out


def test_a_run_that_fails_ends_with_the_code_of_its_step(call, play):
    play(fail)
    code, _, err = call("submit", "--wait")
    assert code == ExitCode.DIVERGED
    assert "loss is nan" in err
    assert "lower it" in err


@pytest.mark.parametrize(("ways", "code", "runs"), [([stale, succeed], 0, 2), ([stale] * 3, ExitCode.STALE, 3)])
def test_a_stale_decision_is_made_again_and_not_for_ever(server, call, play, ways, code, runs):
    play(*ways)
    assert call("submit", "--wait")[0] == code
    assert len(server.runs) == runs
    assert len(server.versions) == 1


def test_a_dry_run_asks_the_server_nothing(server, call):
    place = ("--launcher", "kubernetes", "--set", "job.store=s3://models/training")
    code, out, _ = call("submit", "--dry-run", "--experiment", "night", *place, "--name", "mine")
    assert code == 0
    assert server.requests == []
    for words in ("night", "kubernetes", "mine", "s3://models/x", "hopline-train:"):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "train.epoch=3"], 'did you mean "train.epochs"?'),
        (["--set", "cluster.experimnt=x"], 'did you mean "cluster.experiment"?'),
        (["--registry", "/tmp/registry"], "cluster.registry"),
        (["--host", "localhost"], "must begin with http"),
        (["--host", ""], "no Kubeflow Pipelines server is named"),
        (["--token-file", "nowhere"], "token"),
        (["--ca-file", "nowhere"], "--ca-file"),
    ],
)
def test_what_is_wrong_here_is_said_before_anything_is_sent(server, call, arguments, words):
    code, _, err = call("submit", *arguments)
    assert code == ExitCode.USER
    assert words in err
    assert server.requests == []


def test_a_server_that_is_down_is_one_message(server, call, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0)
    server.close()
    try:
        code, _, err = call("submit")
    finally:
        server.start()
    assert code == ExitCode.INTERNAL
    assert "remedy:" in err


@pytest.mark.parametrize("fault", [(500, "database is locked"), "lost", "cut"])
def test_a_server_that_stumbles_gets_one_run(server, call, play, fault):
    play(succeed)
    server.fault = failing(1, fault, "run_service_create_run")
    assert call("submit", "--wait")[0] == 0
    assert len(server.runs) == 1


def test_the_time_to_follow_may_end_before_the_run(server, call, play):
    play(lambda workflow: workflow.starts("resolve"))
    code, _, err = call("submit", "--wait", "--timeout", "0.05")
    (run,) = server.runs
    assert code == ExitCode.INTERNAL
    assert f"hopline runs show {run} --wait" in err
    assert server.runs[run]["state"] == "RUNNING"


def test_ctrl_c_while_following_leaves_the_run_running_and_says_how_to_go_on(server, call, play):
    def interrupt(workflow):
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return workflow.starts("resolve")

    play(interrupt)
    code, out, _ = call("submit", "--wait")
    (run,) = server.runs
    assert code == ExitCode.INTERRUPTED
    assert f"hopline runs show {run} --wait" in out
    assert f"hopline runs terminate {run}" in out
    assert server.runs[run]["state"] == "RUNNING"


def test_runs_are_listed_newest_first_whole_or_by_experiment(server, call):
    call("submit", "--name", "first")
    call("submit", "--name", "second", "--experiment", "night")
    _, out, _ = call("runs", "list")
    assert [line.split()[-1] for line in out.splitlines()] == ["second", "first"]
    _, out, _ = call("runs", "list", "--experiment", "night")
    assert [line.split()[0] for line in out.splitlines()] == [list(server.runs)[1]]
    code, _, err = call("runs", "list", "--experiment", "nowhere")
    assert code == ExitCode.USER
    assert "nowhere" in err


@pytest.mark.parametrize("count", ["-3", "0", "many"])
def test_a_count_of_runs_that_is_none_is_refused(call, capsys, count):
    with pytest.raises(SystemExit) as caught:
        call("runs", "list", "--count", count)
    assert caught.value.code == ExitCode.USER
    assert count in capsys.readouterr().err


def test_runs_are_documents_where_they_are_asked_for(server, call, play):
    play(succeed, fail)
    call("submit", "--name", "first", "--wait")
    call("submit", "--name", "second", "--wait")
    listed = json.loads(call("runs", "list", "-o", "json")[1])
    assert [(run["name"], run["state"]) for run in listed] == [("second", "FAILED"), ("first", "SUCCEEDED")]
    first, second = (json.loads(call("runs", "show", run, "-o", "json")[1]) for run in server.runs)
    assert first["records"]["promotion"]["version"] == 7
    assert first["failure"] is None
    assert {step["step"]: step["state"] for step in first["steps"]}["promote"] == "done"
    assert second["failure"]["code"] == ExitCode.DIVERGED
    assert second["failure"]["remedy"] == "lower it"
    assert second["page"].endswith(second["id"])


def test_a_run_that_is_waited_for_ends_in_a_document_too(server, call, play):
    play(fail)
    call("submit")
    (run,) = server.runs
    code, out, _ = call("runs", "show", run, "--wait", "-o", "json")
    assert code == ExitCode.DIVERGED
    assert json.loads(out)["state"] == "FAILED"


def test_a_run_is_shown_with_its_steps_while_it_runs_and_after(server, call, play):
    call("submit")
    (run,) = server.runs
    play(lambda workflow: workflow.ends("resolve").starts("preprocess"))
    code, out, _ = call("runs", "show", run)
    assert code == 0
    assert "preprocess  running" in out
    play(fail)
    assert call("runs", "show", run, "--wait")[0] == ExitCode.DIVERGED
    code, out, err = call("runs", "show", run)
    assert code == 0
    assert "train       failed" in out
    assert "loss is nan" in err


def test_the_log_of_a_step_is_printed_as_it_is(server, call, play):
    call("submit")
    (run,) = server.runs
    play(lambda workflow: workflow.ends("resolve", "one\ntwo\n").starts("preprocess", "three\n"))
    assert call("runs", "logs", run, "--step", "resolve")[1] == "one\ntwo\n"
    assert call("runs", "logs", run)[1] == "--- resolve\none\ntwo\n--- preprocess\nthree\n"
    assert call("runs", "logs", run, "--step", "trian")[0] == ExitCode.USER


def test_a_run_is_terminated(server, call):
    call("submit")
    (run,) = server.runs
    assert call("runs", "terminate", run)[0] == 0
    assert server.runs[run]["state"] == "CANCELING"
    assert call("runs", "terminate", "nowhere")[0] == ExitCode.USER
