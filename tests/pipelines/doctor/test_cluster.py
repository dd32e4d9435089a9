"""The doctor against a Kubernetes API server and a Kubeflow Pipelines server that check what they are asked."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from hopline.config.job import JobConfig
from pipelines.cli import main
from pipelines.config.cluster import ClusterConfig
from pipelines.config.config import Config
from pipelines.doctor import cluster as doctor
from pipelines.doctor.check import State, diagnose
from pipelines.kubeflow import submission
from pipelines.kubeflow.connection import Server as KubeflowServer
from tests.components.train.launch.cluster.cluster import Cluster
from tests.components.train.launch.cluster.server import Server
from tests.pipelines.kubeflow.conftest import COMPILED_ONCE
from tests.pipelines.kubeflow.server import KubeflowServer as FakeKubeflow

RUNNER = "system:serviceaccount:hopline:pipeline-runner"
PLACE = doctor.Place(
    namespace="hopline",
    account="hopline/pipeline-runner",
    workers="hopline-worker",
    claims=("hopline",),
    secrets=("store",),
)
RULES = yaml.safe_load((Path(__file__).parents[3] / "k8s" / "base" / "role.yaml").read_text())["rules"]


def granted(attributes):
    """Whether our Role grants it, as RBAC would decide."""
    resource = "/".join(part for part in (attributes["resource"], attributes.get("subresource")) if part)
    return attributes["namespace"] == "hopline" and any(
        attributes.get("group", "") in rule["apiGroups"]
        and resource in rule["resources"]
        and attributes["verb"] in rule["verbs"]
        for rule in RULES
    )


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Server(Cluster())
    server.allowed = lambda user, attributes: user in {RUNNER, ""} and granted(attributes)
    for kind, name in (
        ("ServiceAccount", "hopline-worker"),
        ("ServiceAccount", "pipeline-runner"),
        ("Secret", "store"),
        ("PersistentVolumeClaim", "hopline"),
    ):
        server.cluster.add({"kind": kind, "metadata": {"name": name}})
    server.cluster.objects["PersistentVolumeClaim", "hopline"] |= {
        "spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"},
    }  # fmt: skip
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


def answers(place=PLACE):
    return {finding.name: finding.answer for finding in diagnose(doctor.checks(place))}


def test_a_cluster_with_all_that_a_run_needs_passes(server):
    assert {name: answer.state for name, answer in answers().items()} == dict.fromkeys(
        [
            "Kubernetes", "namespace", "steps' account", "launcher's rights", "workers' account", "volume hopline",
            "Secret store",
        ],
        State.OK,
    )  # fmt: skip


def test_the_rights_asked_for_are_exactly_those_of_the_role(server):
    asked = set()

    def allowed(user, attributes):
        asked.add(
            (attributes.get("group", ""), attributes["resource"], attributes.get("subresource", ""), attributes["verb"])
        )
        return True

    server.allowed = allowed
    answers()
    assert asked == {
        (group, *[*resource.split("/"), ""][:2], verb)
        for rule in RULES for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("account", "found"),
    [("hopline/default", "create jobs.batch"), ("self", ""), ("hopline/pipeline-runner", "")],
)
def test_the_account_that_is_asked_about_is_the_one_that_answers(server, account, found):
    answer = answers(replace(PLACE, account=account))["launcher's rights"]
    assert answer.state is (State.MISSING if found else State.OK)
    assert found in answer.found


def test_one_missing_right_is_named(server):
    server.allowed = lambda user, attributes: granted(attributes) and attributes.get("subresource") != "log"
    answer = answers()["launcher's rights"]
    assert answer.state is State.MISSING
    assert answer.found.endswith("may not get pods/log")


def test_who_may_not_ask_for_others_is_told_so(server):
    server.fault = lambda request: (403, "not you") if request.resource.endswith("/subjectaccessreviews") else None
    found = answers()
    assert found["launcher's rights"].state is State.UNKNOWN
    assert "self" in found["launcher's rights"].remedy
    assert answers(replace(PLACE, account="self"))["launcher's rights"].state is State.OK


@pytest.mark.parametrize(
    ("kind", "name", "check"),
    [
        ("ServiceAccount", "hopline-worker", "workers' account"),
        ("ServiceAccount", "pipeline-runner", "steps' account"),
        ("Secret", "store", "Secret store"),
        ("PersistentVolumeClaim", "hopline", "volume hopline"),
    ],
)
def test_an_object_that_is_not_there_is_missing_and_nothing_else(server, kind, name, check):
    server.cluster.remove(kind, name)
    found = answers()
    assert [at for at, answer in found.items() if answer.state is not State.OK] == [check]
    assert found[check].state is State.MISSING
    assert found[check].remedy


def test_a_claim_that_waits_for_its_first_pod_is_not_called_missing(server):
    server.cluster.objects["PersistentVolumeClaim", "hopline"]["status"] = {"phase": "Pending"}
    assert answers()["volume hopline"].state is State.UNKNOWN


def test_an_old_cluster_is_refused(server):
    server.version = "v1.30.14"
    assert answers()["Kubernetes"].state is State.MISSING


@pytest.mark.parametrize(("fault", "state"), [((403, "forbidden"), State.UNKNOWN), ((500, "broken"), State.UNKNOWN)])
def test_a_server_that_refuses_is_reported_with_its_words(server, fault, state):
    server.fault = lambda request: fault
    for answer in answers().values():
        assert answer.state is state
        assert fault[1] in answer.found


def test_no_server_and_no_kubeconfig_are_answers_too(server, monkeypatch, tmp_path):
    server.close()
    assert {answer.state for answer in answers().values()} == {State.MISSING}
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    assert "kubeconfig" in answers()["namespace"].found


@pytest.fixture
def kubeflow():
    """Starts a server that answers `said` where Kubeflow Pipelines says how it is."""
    servers = []

    def start(said, status=200):
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                self.send_response(status if self.path == "/apis/v2beta1/healthz" else 404)
                self.end_headers()
                self.wfile.write(said.encode())

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("said", "status", "state"),
    [
        ('{"commit_sha": "1", "tag_name": "2.17.0", "multi_user": false}', 200, State.OK),
        ('{"commit_sha": "1", "tag_name": "2.17.3", "multi_user": false}', 200, State.OK),
        ('{"commit_sha": "1", "tag_name": "2.16.1", "multi_user": false}', 200, State.MISSING),
        ('{"commit_sha": "1", "tag_name": "2.18.0", "multi_user": false}', 200, State.UNKNOWN),
        ('{"commit_sha": "1", "tag_name": "unknown", "multi_user": false}', 200, State.UNKNOWN),
        ("<html>", 200, State.MISSING),
        ("[]", 200, State.MISSING),
        ("bad gateway", 502, State.MISSING),
    ],
)
def test_kubeflow_is_known_by_its_version(kubeflow, said, status, state):
    assert doctor.kubeflow(KubeflowServer(host=kubeflow(said, status))).state is state


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "localhost:8080", "file:///etc"])
def test_a_host_that_is_not_kubeflow_is_missing_with_the_way_there(host):
    answer = doctor.kubeflow(KubeflowServer(host=host))
    assert answer.state is State.MISSING
    assert "port-forward" in answer.remedy


def test_what_is_looked_for_is_what_the_configuration_names():
    sections = {"service_account": "steps", "secret": "one", "claim": "disk"}, {"service_account": "w", "secret": "one"}
    config = Config(cluster=ClusterConfig.from_mapping(sections[0]), job=JobConfig.from_mapping(sections[1]))
    assert doctor.Place.of(config, "kubeflow", "", None) == doctor.Place(
        namespace="kubeflow", account="kubeflow/steps", workers="w", claims=("disk",), secrets=("one",)
    )
    assert doctor.Place.of(Config(), "kubeflow", "", None).account == "kubeflow/pipeline-runner"
    profile = KubeflowServer(host="http://localhost", namespace="team-a")
    assert doctor.Place.of(Config(), "team-a", "", profile).account == "team-a/default-editor"


def test_the_command_ends_with_2_if_something_is_missing_and_with_0_if_not(server, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["doctor", "cluster", "--kube-namespace", "hopline", "--service-account", "self", "--host", ""]
    assert main(arguments) == 0
    server.cluster.remove("ServiceAccount", "hopline-worker")
    assert main(arguments) == 2
    assert "hopline-worker is not there" in capsys.readouterr().out


def test_the_command_asks_kubeflow_as_we_would_be_asked_to_prove_ourselves(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    kubeflow_server = FakeKubeflow()
    kubeflow_server.token = "secret"
    try:
        arguments = ["doctor", "cluster", "--service-account", "self", "--host", kubeflow_server.url, "-o", "json"]
        arguments += ["--kube-namespace", "hopline", "--namespace", "team-a"]

        def state_of(name, *more):
            main([*arguments, *more])
            return {row["check"]: row["state"] for row in json.loads(capsys.readouterr().out)}[name]

        assert state_of("its credentials") == "missing"
        (tmp_path / "token").write_text("secret\n")
        assert state_of("its credentials", "--token-file", str(tmp_path / "token")) == "ok"
        (asked,) = kubeflow_server.called("run_service_list_runs")
        assert asked.query["namespace"] == "team-a"
        assert state_of("its credentials", "--ca-file", str(tmp_path / "nowhere")) == "missing"
    finally:
        kubeflow_server.close()


CONFIG = """\
[cluster]
registry = "s3://models/x"
secret = "store"
launcher = "kubernetes"
[job]
store = "s3://models/training"
pull_secrets = ["pull"]
[schedule]
display_name = "nightly"
cron = "@daily"
"""


@pytest.fixture
def command(server, tmp_path, capsys, monkeypatch):
    """Gives a command, without its last step; returns the code and what was said."""
    monkeypatch.setattr(submission, "pipeline_yaml", COMPILED_ONCE)
    (tmp_path / "config.toml").write_text(CONFIG)
    server.cluster.add({"kind": "Secret", "metadata": {"name": "pull"}})

    def call(*words, host="http://127.0.0.1:9"):
        options = ["--config", str(tmp_path / "config.toml"), "--kube-namespace", "hopline", "--host", host]
        code = main([*words, *options])
        return code, "".join(capsys.readouterr())

    return call


LACKING = [("Secret", "store"), ("Secret", "pull"), ("ServiceAccount", "hopline-worker")]


@pytest.mark.parametrize(("kind", "name"), [*LACKING, ("ServiceAccount", "pipeline-runner")])
def test_what_a_run_would_wait_for_without_end_is_told_before_it_is_sent(server, command, kind, name):
    assert command("submit", "--dry-run")[0] == 0
    server.cluster.remove(kind, name)
    for words in (("submit", "--dry-run"), ("schedule", "apply", "--dry-run")):
        code, said = command(*words)
        assert code == 2
        assert f"{name} is not there" in said
        assert "--no-preflight" in said
    assert command("submit", "--dry-run", "--no-preflight")[0] == 0


@pytest.mark.parametrize(("kind", "name"), LACKING[1:])
def test_what_only_a_job_s_workers_need_is_not_asked_for_where_there_is_none(server, command, kind, name):
    server.cluster.remove(kind, name)
    assert command("submit", "--dry-run", "--launcher", "local")[0] == 0


def test_what_nobody_lets_us_see_is_a_warning(server, command):
    server.fault = lambda request: (403, "forbidden") if request.resource == "secrets" else None
    code, said = command("submit", "--dry-run")
    assert code == 0
    assert "warning: Secret store" in said


@pytest.mark.parametrize(("active", "state"), [("True", State.OK), ("False", State.MISSING), (None, State.MISSING)])
def test_the_queue_of_the_workers_is_looked_for(server, active, state):
    server.kueue = True
    if active:
        queue = {"kind": "LocalQueue", "metadata": {"name": "team"}, "spec": {"clusterQueue": "all"}}
        server.cluster.add(queue)["status"] = {"conditions": [{"type": "Active", "status": active, "message": "no"}]}
    assert answers(replace(PLACE, queue="team"))["queue team"].state is state


@pytest.mark.parametrize(
    ("covered", "state"),
    [(("cpu", "memory", "ephemeral-storage"), State.OK), (("cpu", "memory"), State.UNKNOWN), ((), State.OK)],
)
def test_a_queue_without_quota_for_what_workers_ask_for_is_a_warning_that_names_it(server, covered, state):
    server.kueue = True
    queue = {"kind": "LocalQueue", "metadata": {"name": "team"}, "spec": {"clusterQueue": "all"}}
    flavors = [{"name": "any", "resources": [{"name": name, "total": "0"} for name in covered]}] if covered else []
    server.cluster.add(queue)["status"] = {"flavorsReservation": flavors}
    answer = answers(replace(PLACE, queue="team"))["queue team"]
    assert answer.state is state
    assert ("no quota for ephemeral-storage" in answer.found) == (state is State.UNKNOWN)


def test_a_queue_without_kueue_is_missing(server):
    assert answers(replace(PLACE, queue="team"))["queue team"].state is State.MISSING
