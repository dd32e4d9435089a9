"""`hopline runs retry`, `runs logs --follow` and `hopline resize`, against servers in memory."""

import json

import pytest

from components.train.launch.cluster.manifests import build
from hopline.config.job import JobConfig
from hopline.runtime.errors import ExitCode, UserError
from hopline.schema import WORKERS_ANNOTATION
from pipelines.kubeflow import tail as module
from pipelines.kubeflow.jobs import ask_for_workers
from pipelines.kubeflow.nodes import pods
from pipelines.kubeflow.resources import run_of
from tests.components.train.launch.cluster.cluster import Cluster
from tests.components.train.launch.cluster.server import Server
from tests.pipelines.kubeflow.server import failing
from tests.pipelines.kubeflow.test_commands import call, fail, play, succeed  # noqa: F401
from tests.pipelines.kubeflow.workflow import Workflow


def test_a_run_that_failed_goes_on_when_it_is_tried_again(server, call, play):  # noqa: F811
    play(fail, succeed)
    call("submit", "--wait")
    (run,) = server.runs
    server.fault = failing(1, "cut", "run_service_retry_run")  # it was done, and nobody has heard
    code, out, _ = call("runs", "retry", run)
    assert code == 0
    assert f"hopline runs show {run} --wait" in out
    assert server.runs[run]["state"] == "RUNNING"


def test_a_run_that_has_not_failed_is_not_tried_again(server, call, play):  # noqa: F811
    play(succeed)
    call("submit", "--wait")
    (run,) = server.runs
    assert call("runs", "retry", run)[0] == ExitCode.USER
    assert server.runs[run]["state"] == "SUCCEEDED"


def test_a_log_is_followed_line_by_line_until_the_run_has_ended(server, call, monkeypatch):  # noqa: F811
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.001)
    call("submit")
    (run,) = server.runs.values()
    workflow = Workflow(server, run)
    looks = [
        lambda: workflow.starts("resolve", "one\ntw"),
        lambda: workflow.ends("resolve", "one\ntwo\n").starts("train", "three\n"),
        lambda: workflow.starts("train", "three\nfour\n"),
        lambda: workflow.ends("train", "three\nfour\nfive").over("FAILED"),
    ]

    def go_on(run):
        if looks and server.called("run_service_get_run"):
            looks.pop(0)()

    server.watched = go_on
    code, out, _ = call("runs", "logs", run["run_id"], "--follow")
    assert code == 0
    assert out.splitlines() == ["--- resolve", "one", "two", "--- train", "three", "four", "five"]


def test_a_wide_list_names_its_columns(server, call, play):  # noqa: F811
    play(succeed)
    call("submit", "--name", "first", "--wait")
    head, line = call("runs", "list", "-o", "wide")[1].splitlines()
    assert head.split()[:4] == ["id", "created", "state", "name"]
    (run,) = server.runs.values()
    assert run["experiment_id"] in line
    assert run["pipeline_version_reference"]["pipeline_version_id"] in line


@pytest.fixture
def kubernetes(tmp_path, monkeypatch):
    server = Server(Cluster())
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": server.url}}], "users": [{"name": "one", "user": {}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield server
    server.close()
    assert not server.breaches


def add_job(kubernetes, name, launcher):
    job = build(JobConfig(store="gs://bucket/x"), "gs://bucket/x/training", [], 1, 0).job
    owner = {"apiVersion": "v1", "kind": "Pod", "name": launcher, "uid": launcher}
    job["metadata"] |= {"name": name, "ownerReferences": [owner], "annotations": {}}
    kubernetes.cluster.add(job)


@pytest.fixture
def training(server, call):  # noqa: F811
    """A run that trains, with a batch of 32 sequences."""
    call("submit", "--set", "train.sequences=32")
    (run,) = server.runs.values()
    Workflow(server, run).ends("resolve").ends("preprocess").starts("train")
    return run


def test_the_job_of_the_run_s_own_workers_is_asked_for_another_number(training, call, kubernetes):  # noqa: F811
    mine = pods(run_of(training), "train")[0]
    add_job(kubernetes, "hopline-train-other", "another-pod")
    add_job(kubernetes, "hopline-train-mine", mine)
    code, out, _ = call("resize", training["run_id"], "--workers", "4", "--kube-namespace", "hopline")
    assert code == 0
    assert "hopline-train-mine" in out
    asked = {job["metadata"]["name"]: job["metadata"].get("annotations", {}) for job in kubernetes.cluster.of("Job")}
    assert asked == {"hopline-train-other": {}, "hopline-train-mine": {WORKERS_ANNOTATION: "4"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "5", "--kube-namespace", "hopline"], "train.sequences"),
        (["--workers", "4"], "--kube-namespace"),
        (["--workers", "4", "--kube-namespace", "hopline"], "no Job"),
    ],
)
def test_what_cannot_be_resized_is_refused(training, call, kubernetes, arguments, words):  # noqa: F811
    code, _, err = call("resize", training["run_id"], *arguments)
    assert code == ExitCode.USER
    assert words in err


def test_without_the_configuration_of_kubectl_it_is_named(training, call, monkeypatch, tmp_path):  # noqa: F811
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    code, _, err = call("resize", training["run_id"], "--workers", "4", "--kube-namespace", "hopline")
    assert code == ExitCode.USER
    assert "--kube-namespace needs kubectl's configuration" in err
    assert "set KUBECONFIG, or leave out --kube-namespace" in err


def test_workers_are_not_asked_for_without_the_configuration_of_kubectl(monkeypatch, tmp_path):
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="--kube-namespace needs kubectl's configuration") as caught:
        ask_for_workers("hopline", ["a-pod"], 4)
    assert caught.value.remedy == "set KUBECONFIG"


def test_who_may_not_change_jobs_is_told_which_right_is_missing(training, call, kubernetes):  # noqa: F811
    add_job(kubernetes, "hopline-train-mine", pods(run_of(training), "train")[0])
    kubernetes.fault = lambda request: (403, "forbidden") if request.verb == "patch" else None
    code, _, err = call("resize", training["run_id"], "--workers", "4", "--kube-namespace", "hopline")
    assert code == ExitCode.USER
    assert "refuses PATCH" in err
    assert "403" in err
    assert "rights" in err


def test_a_run_that_has_ended_is_not_resized(training, server, call, kubernetes):  # noqa: F811
    Workflow(server, training).over("FAILED")
    code, _, err = call("resize", training["run_id"], "--workers", "4", "--kube-namespace", "hopline")
    assert code == ExitCode.USER
    assert "does not run" in err
