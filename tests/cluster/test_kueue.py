"""Two trainings and a queue of Kueue with room for one, on a real cluster that has Kueue."""

import json

import pytest

from tests.cluster.conftest import LONG, ended, until

pytestmark = [pytest.mark.kueue, pytest.mark.slow, pytest.mark.timeout(1800)]

QUEUE, URGENT = "hopline-test", "hopline-test-urgent"
API = "kueue.x-k8s.io/v1beta2"
CPU = "300m"  # two workers ask for 100m each: one run fits, a second does not


def manifests():
    """A queue, its quota and a priority above all others."""
    quotas = {"cpu": CPU, "memory": "64Gi", "ephemeral-storage": "64Gi"}
    resources = [{"name": name, "nominalQuota": most} for name, most in quotas.items()]
    group = {"coveredResources": [*quotas], "flavors": [{"name": QUEUE, "resources": resources}]}
    quota = {
        "namespaceSelector": {}, "preemption": {"withinClusterQueue": "LowerPriority"}, "resourceGroups": [group],
    }  # fmt: skip
    return [
        {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": QUEUE}},
        {"apiVersion": API, "kind": "ClusterQueue", "metadata": {"name": QUEUE}, "spec": quota},
        {"apiVersion": API, "kind": "WorkloadPriorityClass", "metadata": {"name": URGENT}, "value": 1000},
        {
            "apiVersion": API, "kind": "LocalQueue", "metadata": {"name": QUEUE, "namespace": "hopline"},
            "spec": {"clusterQueue": QUEUE},
        },
    ]  # fmt: skip


@pytest.fixture(scope="module")
def queue(cluster):
    """The name of a queue with room for one run of two workers."""
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests()}).encode()
    cluster.kubectl("apply", "--filename", "-", input=objects)
    cluster.kubectl("wait", "--for=condition=Active", "--timeout=60s", f"clusterqueue/{QUEUE}")
    yield QUEUE
    cluster.sweep()
    cluster.kubectl("delete", "--ignore-not-found", "--filename", "-", input=objects)


def test_of_two_runs_the_second_waits_says_why_and_then_runs(cluster, undisturbed, queue):
    first, second = (undisturbed.replace("undisturbed", name) for name in ("first", "second"))
    running = cluster.launch(first, claim="hopline", queue=queue)
    until(running, "targets/s")
    waiting = cluster.launch(second, claim="hopline", queue=queue)
    assert "insufficient unused quota" in until(waiting, f"queued in {queue}: ")
    assert len(cluster.pods()) == 2
    for process in (running, waiting):
        ended(process)
    assert cluster.weights(first) == cluster.weights(second) == cluster.weights(undisturbed)
    assert cluster.left() == []


def test_a_run_that_gives_its_place_to_a_more_urgent_one_goes_on_and_ends_with_the_same_weights(
    cluster, undisturbed, queue
):
    alone, taken, urgent = (undisturbed.replace("undisturbed", name) for name in ("alone", "taken", "urgent"))
    ended(cluster.launch(alone, steps=LONG))
    low = cluster.launch(taken, steps=LONG, claim="hopline", queue=queue)
    until(low, "targets/s")
    high = cluster.launch(urgent, claim="hopline", queue=queue, queue_priority=URGENT)
    until(low, f"queued in {queue}: ")
    ended(high)
    ended(low)
    assert cluster.weights(taken) == cluster.weights(alone)
    assert cluster.weights(urgent) == cluster.weights(undisturbed)
    assert cluster.left() == []
