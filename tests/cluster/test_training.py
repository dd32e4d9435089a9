"""Two workers on a real cluster."""

import json
import signal
import time

import pytest

from hopline.schema import WORKERS_ANNOTATION
from tests.cluster.conftest import LONG, STEPS, WINDOW, ended, stored_weights, until

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_two_workers_train_to_the_end_and_leave_nothing(cluster, undisturbed):
    assert cluster.weights(undisturbed)[0] == str(STEPS)
    assert cluster.left() == []


@pytest.mark.parametrize("worker", [0, 1])
def test_a_run_whose_worker_is_deleted_resumes_and_ends_with_the_same_weights(cluster, undisturbed, worker):
    training = undisturbed.replace("undisturbed", f"deleted-{worker}")
    process = cluster.launch(training)
    until(process, "targets/s")  # the chief's progress
    (victim,) = [pod for pod in cluster.pods() if f"-{worker}-" in pod.removeprefix("pod/hopline-train-")]
    cluster.kubectl("delete", victim, "--wait=false")
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert cluster.weights(training) == cluster.weights(undisturbed)
    assert cluster.left() == []


@pytest.mark.parametrize("worker", [0, 1])
def test_workers_that_meet_in_a_store_resume_there_and_end_with_the_same_weights(
    cluster, undisturbed, store, tmp_path, worker
):
    training = f"{store}/deleted-{worker}"
    process = cluster.launch(training, examples=f"{store}/examples", secret=WINDOW)
    until(process, "targets/s")
    (victim,) = [pod for pod in cluster.pods() if f"-{worker}-" in pod.removeprefix("pod/hopline-train-")]
    cluster.kubectl("delete", victim, "--wait=false")
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    assert stored_weights(training, tmp_path / "fetched") == cluster.weights(undisturbed)
    assert cluster.left() == []


def test_a_folder_that_may_not_be_written_ends_the_job_at_once(cluster, undisturbed):
    folder = undisturbed.replace("undisturbed", "closed")
    cluster.run("import os, sys; os.mkdir(sys.argv[1], 0o555)", folder)
    process = cluster.launch(f"{folder}/training")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 2, said
    assert "Permission denied" in said
    assert cluster.left() == []


def test_no_other_pod_reaches_a_worker(cluster, undisturbed):
    process = cluster.launch(undisturbed.replace("undisturbed", "guarded"), steps=100_000)
    until(process, "targets/s")
    job = cluster.pods()[0].removeprefix("pod/").rsplit("-", 2)[0]
    assert not cluster.reaches(f"{job}-0.{job}")
    cluster.kubectl("delete", "networkpolicy", job)
    deadline = time.monotonic() + 60
    while not cluster.reaches(f"{job}-0.{job}"):  # it was the policy that kept others out
        assert time.monotonic() < deadline
        time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert cluster.left() == []


def test_a_launcher_that_is_told_to_stop_leaves_nothing_but_its_checkpoints(cluster, undisturbed):
    training = undisturbed.replace("undisturbed", "stopped")
    process = cluster.launch(training)
    until(process, "targets/s")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=120)
    assert process.returncode == 143
    assert cluster.left() == []
    again = cluster.launch(training)
    _, said = again.communicate(timeout=900)
    assert again.returncode == 0, said
    assert cluster.weights(training) == cluster.weights(undisturbed)


def test_a_training_goes_on_with_one_worker_instead_of_two_and_has_the_same_curve(cluster, undisturbed):
    alone, resized = (undisturbed.replace("undisturbed", name) for name in ("whole", "resized"))
    ended(cluster.launch(alone, steps=LONG))
    process = cluster.launch(resized, steps=LONG)
    until(process, "targets/s")
    job = cluster.pods()[0].removeprefix("pod/").rsplit("-", 2)[0]
    cluster.kubectl("annotate", "job", job, f"{WORKERS_ANNOTATION}=1")
    until(process, "1 workers are asked for")
    until(process, "targets/s")
    assert len(cluster.pods()) == 1
    ended(process)
    found, expected = cluster.losses(resized), cluster.losses(alone)
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], rel=1e-4)
    assert cluster.left() == []


@pytest.fixture
def two_pods(cluster):
    """The pods of two launchers."""
    names = ("hopline-test-first", "hopline-test-second")
    yield [cluster.pod(name) for name in names]
    cluster.kubectl("delete", "pods", "--ignore-not-found", *names)


@pytest.mark.parametrize("terminated", [None, 0, 1], ids=["none", "the first", "the second"])
def test_of_two_launchers_that_share_a_job_none_takes_anything_from_the_other(
    cluster, undisturbed, two_pods, terminated
):
    training = undisturbed.replace("undisturbed", f"shared-{terminated}")
    launchers = [cluster.launch(training, steps=LONG, pod=two_pods[0])]
    until(launchers[0], "targets/s")
    launchers.append(cluster.launch(training, steps=LONG, pod=two_pods[1]))
    until(launchers[1], "targets/s")
    assert cluster.owners() == [2]
    if terminated is not None:
        process = launchers.pop(terminated)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
        assert process.returncode == 143
        cluster.kubectl("delete", "pod", two_pods[terminated][0])  # as Kubeflow does with a run that is terminated
        assert cluster.owners() == [1]
    for process in launchers:
        ended(process)
    assert int(cluster.weights(training)[0]) > STEPS
    assert cluster.left() == []


@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"secret": "hopline-test-absent"}, 'secret "hopline-test-absent" not found'),
        ({"image": "hopline-test.invalid/absent:1"}, "hopline-test.invalid/absent:1"),
        ({"service_account": "hopline-test-absent"}, 'serviceaccount "hopline-test-absent" not found'),
    ],
    ids=["secret", "image", "service account"],
)
def test_what_is_not_there_ends_the_run_and_is_named(cluster, undisturbed, job, said):
    process = cluster.launch(undisturbed.replace("undisturbed", "lacking"), **{"claim": "hopline", **job})
    _, output = process.communicate(timeout=480)
    assert process.returncode == 2, output
    assert said in output.partition("workers cannot start: ")[2]
    assert cluster.left() == []


@pytest.fixture
def limits(cluster):
    """A quota that counts all that pods ask for and may take, and so refuses whatever does not say it."""
    counted = ("requests.cpu", "limits.cpu", "requests.memory", "limits.memory", "limits.ephemeral-storage")
    quota = {"hard": {name: "3" if "cpu" in name else "40Gi" for name in counted}}
    name, ranges = "hopline-test", [{"type": "Container", "max": {"cpu": "2", "memory": "4Gi"}}]
    manifests = [
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": quota},
        {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": name}, "spec": {"limits": ranges}},
    ]
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}).encode()
    cluster.kubectl("apply", "--filename", "-", input=objects)
    yield
    cluster.kubectl("delete", "--filename", "-", input=objects)


def test_in_a_namespace_with_a_quota_and_limits_a_run_is_like_any_other(cluster, undisturbed, limits):
    training = undisturbed.replace("undisturbed", "counted")
    ended(cluster.launch(training))
    assert cluster.weights(training) == cluster.weights(undisturbed)
    assert cluster.left() == []
