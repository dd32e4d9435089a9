"""A launcher that is started again finds its Job, wherever the one before it was killed."""

import pytest

from hopline.runtime.errors import InternalError, PreemptedError, UserError
from tests.components.train.launch.cluster.cluster import Life
from tests.components.train.launch.cluster.conftest import Killed

REQUESTS = 25  # of a run whose workers run for three ticks


def kill_at(world, number, done):
    """Kills the launcher at its request `number`, before it is done or when it is but nobody has heard."""

    def fault(request):
        if world.killed:
            return "lost"
        if len(world.server.requests) < number:
            return None
        world.killed = True
        return "cut" if done else "lost"

    world.server.fault = fault


@pytest.mark.parametrize("done", [False, True], ids=["before it is done", "after it is done"])
@pytest.mark.parametrize("number", range(1, REQUESTS + 1))
def test_a_launcher_killed_at_any_request_is_taken_over_from(world, number, done):
    world.cluster.lives = {0: [Life(ticks=3, lines=["a line"])]}
    kill_at(world, number, done)
    with pytest.raises(Killed):
        world.run()
    requests = len(world.server.requests)
    world.killed, world.server.fault = False, lambda request: None
    world.cluster.tick(600)
    world.run()
    assert len(world.server.requests) > requests
    # The last request deletes the Job: after it, workers of a new one find training done.
    assert world.jobs_created == (2 if number == REQUESTS and done else 1)
    assert world.left == []


def test_no_request_is_left_out_above(world):
    world.cluster.lives = {0: [Life(ticks=3, lines=["a line"])]}
    world.run()
    assert len(world.server.requests) == REQUESTS


def test_a_job_that_goes_on_is_adopted_and_becomes_the_new_launchers(world, monkeypatch):
    world.cluster.lives = {0: [Life(ticks=50)], 1: [Life(ticks=50)]}
    kill_at(world, 12, done=False)
    monkeypatch.setenv("POD_NAME", "launcher-1")
    monkeypatch.setenv("POD_UID", "uid-1")
    with pytest.raises(Killed):
        world.run()
    monkeypatch.setenv("POD_NAME", "launcher-2")
    monkeypatch.setenv("POD_UID", "uid-2")
    world.killed, world.server.fault = False, lambda request: None
    owners = []
    world.between = lambda paused: owners.extend(job["metadata"]["ownerReferences"] for job in world.cluster.of("Job"))
    world.run()
    assert [owner["uid"] for owner in owners[-1]] == ["uid-2"]
    assert world.jobs_created == 1
    assert world.pods_created == [1, 1]


@pytest.mark.parametrize("prefix", ["", "KFP_"])
def test_when_the_launchers_pod_is_deleted_all_is_gone(world, monkeypatch, prefix):
    launcher = world.cluster.launcher("launcher")
    monkeypatch.setenv(f"{prefix}POD_NAME", "launcher")
    monkeypatch.setenv(f"{prefix}POD_UID", launcher["uid"])
    world.cluster.lives = {0: [Life(ticks=50)]}
    kill_at(world, 14, done=False)
    with pytest.raises(Killed):
        world.run()
    assert len(world.cluster.of("Pod")) > 1
    world.cluster.remove("Pod", "launcher")
    assert world.left == []


def test_a_running_job_with_other_settings_is_refused_and_left_alone(world):
    world.cluster.lives = {0: [Life(ticks=50)]}
    kill_at(world, 12, done=False)
    with pytest.raises(Killed):
        world.run()
    world.killed, world.server.fault = False, lambda request: None
    failure = world.failure(UserError, cpus=7)
    assert "other settings" in failure.message
    assert "kubectl delete job" in failure.remedy
    assert "Job" in world.left


def test_a_finished_job_with_other_settings_makes_room(world):
    kill_at(world, 12, done=False)
    with pytest.raises(Killed):
        world.run()
    world.killed, world.server.fault = False, lambda request: None
    world.cluster.tick(600)
    world.cluster.tick(600)
    world.cluster.tick(600)
    world.run(cpus=7)
    assert world.jobs_created == 2
    assert world.left == []


def test_a_job_that_failed_while_nobody_watched_tells_why(world):
    world.cluster.lives = {1: [Life.failing(UserError("wrong configuration"))]}
    kill_at(world, 9, done=False)
    with pytest.raises(Killed):
        world.run()
    world.killed, world.server.fault = False, lambda request: None
    for _ in range(5):
        world.cluster.tick()
    assert world.failure(UserError).message == "wrong configuration"
    assert world.left == []


def test_an_adopted_jobs_log_is_not_shown_again_from_the_start(world, capsys):
    world.cluster.lives = {0: [Life(ticks=20, lines=[f"line {index}" for index in range(100)])]}
    kill_at(world, 14, done=False)
    with pytest.raises(Killed):
        world.run()
    capsys.readouterr()
    world.killed, world.server.fault = False, lambda request: None
    world.run()
    lines = capsys.readouterr().err.splitlines()
    assert "line 99" in lines
    assert "line 50" not in lines


def test_of_an_adopted_job_earlier_chiefs_are_not_heard_again(world, capsys):
    world.cluster.lives = {0: [Life(2, code=1, lines=["of the first"]), Life(50, lines=["of the second"])]}
    kill_at(world, 40, done=False)
    with pytest.raises(Killed):
        world.run()
    capsys.readouterr()
    world.killed, world.server.fault = False, lambda request: None
    world.run()
    said = capsys.readouterr().err
    assert "of the second" in said
    assert "of the first" not in said


def test_a_job_that_another_has_put_in_the_place_of_ours_is_not_deleted(world):
    def replace(request):
        if request.verb == "delete":
            (job,) = world.cluster.of("Job")
            job["metadata"]["uid"] = "another"

    world.server.fault = replace
    world.run()
    assert "Job" in world.left


def test_what_an_earlier_job_of_the_name_has_left_is_replaced(world):
    world.run()
    _, name = world.cluster.created[0]
    labels = {"owner": "long gone"}
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "another"}
    for kind in ("Service", "NetworkPolicy"):
        world.cluster.add({"kind": kind, "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}})
    world.run()
    assert world.left == []


def test_a_job_on_its_way_out_is_waited_for(world):
    world.cluster.lives = {0: [Life(ticks=50)] * 2}
    kill_at(world, 12, done=False)
    with pytest.raises(Killed):
        world.run()
    world.killed, world.server.fault = False, lambda request: None
    (job,) = world.cluster.of("Job")
    job["metadata"]["deletionTimestamp"] = world.cluster.stamp()
    world.run()
    assert world.jobs_created == 2
    assert world.left == []


def test_a_launcher_that_cannot_reach_the_server_leaves_the_job_to_the_next_one(world):
    world.cluster.lives = {0: [Life(ticks=1000)]}
    away = []  # since when

    def fault(request):
        if not away and world.paused > 4 and (request.verb, request.resource) == ("get", "jobs"):
            away.append(world.paused)
        return "lost" if away else None

    world.server.fault = fault
    world.failure(InternalError)
    assert 200 < world.paused - away[0] < 400
    assert {request.verb for request in world.server.requests} <= {"create", "get", "list", "patch"}
    assert "Job" in world.left


def test_a_job_that_is_deleted_while_it_is_made_is_a_stop(world):
    def fault(request):
        if request.verb == "patch":
            (job,) = world.cluster.of("Job")
            world.cluster.remove("Job", job["metadata"]["name"])

    world.server.fault = fault
    world.failure(PreemptedError)
    assert world.left == []
