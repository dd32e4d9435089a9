"""Requests that fail: for a passing reason they are made again, for another they say what to do."""

import json

import pytest

from components.train.launch.cluster.api import PATIENCE_SECONDS, UnreachableError, connect
from hopline.runtime.errors import UserError
from tests.components.train.launch.cluster.rules import RefusedError, check


def once_each(world, fault):
    """Lets every kind of request fail once."""
    seen = set()

    def faulty(request):
        if request in seen:
            return None
        seen.add(request)
        return fault

    world.server.fault = faulty
    return seen


@pytest.mark.parametrize(
    "fault",
    [(500, "internal"), (502, "bad gateway"), (503, "unavailable"), (429, "too many requests"), "lost", "cut"],
    ids=["500", "502", "503", "429", "connection closed", "answer cut off"],
)
def test_a_request_of_any_kind_that_fails_once_is_made_again(world, fault):
    seen = once_each(world, fault)
    world.run()
    assert len(seen) >= 8
    assert world.jobs_created == 1
    assert world.left == []


def test_a_server_that_is_down_for_minutes_does_no_harm(world):
    down = []

    def fault(request):
        if len(world.server.requests) > 12 and world.paused < PATIENCE_SECONDS / 2:
            down.append(request)
            return "lost"
        return None

    world.server.fault = fault
    world.run()
    assert down


def test_a_server_that_stays_down_is_given_up(world):
    world.server.fault = lambda request: "lost"
    failure = world.failure(UnreachableError)
    assert "does not answer" in failure.message
    assert world.paused >= PATIENCE_SECONDS


def test_nobody_listening_is_a_server_that_is_down(world):
    world.server.url = "http://127.0.0.1:9"
    world.failure(UnreachableError)


def test_a_rejected_object_says_what_is_wrong_with_it(world):
    world.server.fault = lambda request: (422, "spec.template.spec.containers[0].image: Required value")
    failure = world.failure(UserError)
    assert "image: Required value" in failure.message
    assert "--job" in failure.remedy


def test_without_a_cluster_the_error_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "none"))
    with pytest.raises(UserError) as caught:
        connect()
    assert "KUBECONFIG" in caught.value.remedy


def test_a_kubeconfig_names_server_and_namespace(monkeypatch, tmp_path):
    context = {"cluster": "one", "user": "one", "namespace": "research"}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": "http://127.0.0.1:9"}}],
        "users": [{"name": "one", "user": {}}], "contexts": [{"name": "one", "context": context}],
    }  # fmt: skip
    (tmp_path / "config").write_text(json.dumps(config))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    assert connect().namespace == "research"


def test_the_fake_refuses_what_the_schemas_do_not_know():
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"clusterIPs": ["None"]}}
    check(service)
    service["spec"]["clusterIp"] = "None"
    with pytest.raises(RefusedError):
        check(service)
