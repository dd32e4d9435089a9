"""A Job in a queue of Kueue, on a cluster in memory whose server refuses whoever changes `suspend` under Kueue."""

import pytest

from hopline.runtime.errors import UserError
from tests.components.train.launch.cluster.cluster import QUEUE_LABEL, Life


@pytest.fixture
def queue(world):
    """A queue without room."""
    world.server.kueue = True
    world.cluster.queues["team"] = False
    return world.cluster.queues


def test_a_job_waits_until_its_queue_has_room_and_people_are_told_why(world, queue, capsys):
    seen = []

    def admit(paused):
        seen.append(world.pods_created)
        queue["team"] = paused > 5000  # longer than a worker may wait for a node

    world.between = admit
    world.run(queue="team", queue_priority="high")
    assert [0, 0] in seen
    assert world.paused > 5000
    assert world.pods_created == [1, 1]
    assert capsys.readouterr().err.count("queued in team: insufficient unused quota") == 1
    assert world.left == []


def test_the_label_comes_when_service_and_policy_are_there_and_with_the_priority(world, queue):
    found = []

    def look(paused):
        (job,) = world.cluster.of("Job") or [None]
        if job and not found:
            found.append((job["metadata"]["labels"], sorted(kind for kind, _ in world.cluster.objects)))
        queue["team"] = True

    world.server.fault = lambda request: made.append(request) if request.verb == "create" else None
    made = []
    world.between = look
    world.run(queue="team", queue_priority="high")
    labels, kinds = found[0]
    assert (labels[QUEUE_LABEL], labels["kueue.x-k8s.io/priority-class"]) == ("team", "high")
    assert {"Service", "NetworkPolicy"} <= set(kinds)


def test_a_job_that_is_preempted_waits_and_goes_on(world, queue):
    queue["team"] = True
    world.cluster.lives = {0: [Life(ticks=100), Life(ticks=5)], 1: [Life(ticks=100), Life(ticks=5)]}

    def preempt(paused):
        queue["team"] = not 20 < paused < 400

    world.between = preempt
    world.run(queue="team", restarts=0)
    assert world.paused > 400
    assert world.jobs_created == 1
    assert world.pods_created == [2, 2]
    assert world.left == []


def test_where_the_cluster_gives_each_job_a_queue_suspend_is_left_alone(world, queue):
    world.cluster.default_queue = "team"
    world.between = lambda paused: queue.update(team=paused > 20)
    world.run()
    assert world.paused > 20
    assert world.left == []


def test_a_queue_that_is_not_there_ends_the_run_within_two_minutes(world, queue):
    del queue["team"]
    assert "doesn't exist" in world.failure(UserError, queue="team").message
    assert 90 < world.paused < 150
    assert world.left == []


@pytest.mark.parametrize(
    "why",
    [
        "couldn't assign flavors to pod set main: resource ephemeral-storage unavailable in ClusterQueue",
        "couldn't assign flavors to pod set main: insufficient quota for cpu in flavor default, previously considered "
        "podsets requests (0) + current podset request (8) > maximum capacity (4)",
    ],
    ids=["no quota", "more than all"],
)
def test_a_queue_that_would_never_have_room_ends_the_run_within_two_minutes(world, queue, why):
    queue["team"] = why
    assert why in world.failure(UserError, queue="team").message
    assert 90 < world.paused < 150
    assert world.left == []


def test_without_kueue_a_job_in_a_queue_would_wait_without_end_and_is_refused(world):
    failure = world.failure(UserError, queue="team")
    assert "no Kueue" in failure.message
    assert "job.queue" in failure.remedy
    assert world.left == []


def test_a_job_that_somebody_suspends_by_hand_is_waited_for_and_said_to_be(world, capsys):
    world.cluster.lives = {0: [Life(ticks=1)]}

    def suspend(paused):
        for job in world.cluster.of("Job"):
            job["spec"]["suspend"] = paused < 400

    world.between = suspend
    world.run(workers=1)
    assert world.paused > 400
    assert "the Job is suspended" in capsys.readouterr().err


def test_two_launchers_agree_upon_the_queue_of_the_first(world, queue):
    own, other = world.cluster.launcher("launcher-0"), world.cluster.launcher("launcher-1")
    queue.update(team=True, other=True)
    world.cluster.lives = {0: [Life(ticks=20)], 1: [Life(ticks=20)]}
    inner = []

    def second(paused):
        if paused == 10 and not inner:
            inner.append(True)
            world.run(own=other, queue="other")

    world.between = second
    world.run(own=own, queue="team")
    assert inner
    assert world.jobs_created == 1
    assert world.left == []
