"""The launcher on a cluster: what it makes, what it makes of what happens there, and what it leaves."""

import pytest

from hopline.runtime.errors import (
    DivergedError,
    InternalError,
    LostPeersError,
    PreemptedError,
    SaveError,
    UserError,
)
from tests.components.train.launch.cluster.cluster import Life

LOST = LostPeersError("worker lost its peers")


def test_a_job_is_made_with_its_service_and_policy_and_nothing_is_left_when_it_is_done(world):
    world.run()
    kinds = [kind for kind, _ in world.cluster.created]
    assert kinds == ["Job", "Service", "NetworkPolicy", "Pod", "Pod"]
    assert world.left == []


def test_no_worker_starts_before_its_network_policy_is_there(world):
    world.server.fault = lambda request: (503, "busy") if request.resource == "networkpolicies" else None
    world.failure(InternalError)
    assert world.pods_created == [0, 0]


def test_the_chiefs_log_is_shown_line_by_line_and_each_line_once(world, capsys):
    world.cluster.lives = {0: [Life(ticks=8, lines=["first", "second"])], 1: [Life(ticks=8, lines=["not this"])]}

    def more(paused):
        pods = [pod for pod in world.cluster.of("Pod") if "-0-" in pod["metadata"]["name"][14:]]
        if pods and paused > 5:
            world.cluster.say(pods[0]["metadata"]["name"], f"after {paused:g} s")

    world.between = more
    world.run()
    lines = capsys.readouterr().err.splitlines()
    said = [line for line in lines if line in {"first", "second"} or line.startswith("after")]
    assert said[:2] == ["first", "second"]
    assert len(said) == len(set(said)) > 5
    assert "not this" not in lines


@pytest.mark.parametrize("error", [UserError, DivergedError])
def test_what_another_try_cannot_mend_ends_the_job_at_once_with_the_workers_own_words(world, error):
    world.cluster.lives = {0: [Life.failing(LOST)], 1: [Life.failing(error("the reason", remedy="the remedy"))]}
    failure = world.failure(error)
    assert (failure.message, failure.remedy) == ("the reason", "the remedy")
    assert world.pods_created == [1, 1]
    assert world.left == []


def test_a_worker_that_is_killed_because_the_job_has_failed_did_not_fail_it(world):
    waiting = Life(ticks=1000, lingers=30)  # in TensorFlow, for a peer, for as long as it may take to save
    world.cluster.lives = {0: [Life.failing(UserError("the reason", remedy="the remedy"))], 1: [waiting]}
    assert world.failure(UserError).message == "the reason"
    assert world.left == []


def test_a_fallen_worker_and_its_peers_are_started_again(world):
    world.cluster.lives = {0: [Life.failing(LOST, ticks=3)], 1: [Life(ticks=2, code=137)]}
    world.run(restarts=1)
    assert world.pods_created == [2, 2]


def test_without_progress_the_job_is_given_up_and_the_worker_to_blame_is_named(world):
    world.cluster.lives = {0: [Life.failing(LOST, 3)] * 3, 1: [Life(2, code=137, reason="OOMKilled")] * 3}
    failure = world.failure(InternalError, restarts=2)
    assert "worker 1 ran out of memory" in failure.message
    assert "memory" in failure.remedy
    assert world.pods_created == [3, 3]
    assert world.left == []


def test_the_first_failing_workers_last_lines_are_shown(world, capsys):
    lives = [Life(2, code=139, lines=[f"line {index}" for index in range(50)])]
    world.cluster.lives = {0: [Life.failing(LOST, 3)], 1: lives}
    world.failure(InternalError, restarts=0)
    shown = capsys.readouterr().err
    assert "line 49" in shown
    assert "line 29\n" not in shown


def test_a_run_that_advances_is_not_given_up(world):
    world.cluster.lives = {0: [Life(2, code=1)] * 3}
    steps = iter(range(1, 100))
    world.between = lambda paused: world.save(next(steps))
    world.run(restarts=0)
    assert world.jobs_created == 4
    assert world.left == []


def test_a_disk_without_room_is_not_tried_again_with_a_new_job(world):
    world.cluster.lives = {0: [Life.failing(SaveError("no room"))] * 2}
    world.between = lambda paused: world.save(int(paused))
    assert "no room" in world.failure(InternalError, restarts=0).message
    assert world.jobs_created == 1


@pytest.mark.parametrize(
    "ended",
    [Life(2, code=143, disruption="drained"), Life(2, evicted="too little memory", disruption="node pressure")],
    ids=["drained", "evicted"],
)
def test_disruptions_are_not_counted(world, ended):
    stopped = Life.failing(PreemptedError("training was told to stop"), ticks=2)
    world.cluster.lives = {0: [stopped] * 4, 1: [ended] * 4}
    world.run(restarts=0)
    assert world.pods_created == [5, 5]


def test_a_worker_that_is_evicted_without_a_word_is_to_blame(world):
    world.cluster.lives = {0: [Life.failing(LOST, 3)], 1: [Life(2, evicted="The node was low on resource: memory")]}
    failure = world.failure(InternalError, restarts=0)
    assert "worker 1" in failure.message
    assert "low on resource" in failure.message


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError"])
def test_an_image_or_a_secret_that_cannot_be_had_ends_the_run_within_two_minutes_but_not_at_once(world, reason):
    world.cluster.lives = {index: [Life(waiting=reason)] for index in range(2)}
    failure = world.failure(UserError)
    assert reason in failure.message
    assert 90 < world.paused < 120
    assert world.left == []


@pytest.mark.parametrize(
    "life",
    [
        Life(pending='0/3 nodes are available: persistentvolumeclaim "data" not found'),
        Life(unmounted='MountVolume.SetUp failed for volume "key": secret "key" not found'),
    ],
    ids=["claim", "secret of a volume"],
)
def test_a_volume_that_does_not_exist_ends_the_run_within_two_minutes(world, life):
    world.cluster.lives = {0: [Life(ticks=9000)], 1: [life]}
    assert "not found" in world.failure(UserError).message
    assert 90 < world.paused < 150
    assert world.left == []


def test_a_volume_that_another_node_still_holds_is_waited_for(world):
    held = Life(unmounted="Multi-Attach error for volume: it is attached to another node")
    world.cluster.lives = {0: [Life(ticks=300)], 1: [held]}

    def detach(paused):
        if paused > 400:
            held.unmounted = ""

    world.between = detach
    world.run()
    assert world.paused > 400


def test_a_volume_that_never_comes_ends_the_run(world):
    world.cluster.lives = {0: [Life(ticks=9000)], 1: [Life(unmounted="Multi-Attach error")]}
    assert "Multi-Attach" in world.failure(UserError).message
    assert world.left == []


@pytest.mark.parametrize(("limit", "ends"), [(600, True), (0, False)])
def test_a_pod_that_no_node_takes_is_waited_for_as_long_as_told(world, limit, ends):
    waiting = Life(pending="0/3 nodes are available: insufficient nvidia.com/gpu")
    world.cluster.lives = {0: [Life(ticks=2600)], 1: [waiting]}

    def scale_up(paused):
        if paused > 5000:
            waiting.pending = ""

    world.between = scale_up
    if ends:
        assert "insufficient" in world.failure(UserError, start_seconds=limit).message
        assert limit < world.paused < limit + 30
    else:
        world.run(start_seconds=limit)
    assert world.left == []


def test_disruptions_without_end_are_not_borne_without_end(world):
    world.cluster.lives = {0: [Life(2, code=143, disruption="drained")] * 100}
    failure = world.failure(InternalError, disruptions=4)
    assert "worker 0 was disrupted 5 times" in failure.message
    assert "job.disruptions" in failure.remedy
    assert world.pods_created[0] in {5, 6}
    assert world.jobs_created == 1
    assert world.left == []


def test_disruptions_of_a_training_that_advances_are_borne(world):
    world.cluster.lives = {0: [Life(2, code=143, disruption="drained")] * 12}
    steps = iter(range(1, 1000))
    world.between = lambda paused: world.save(next(steps))
    world.run(disruptions=4)
    assert world.jobs_created == 3
    assert world.left == []


def test_an_image_that_comes_at_last_does_no_harm(world):
    late = Life(waiting="ErrImagePull")
    world.cluster.lives = {0: [late]}

    def arrive(paused):
        if paused > 100:
            late.waiting = ""

    world.between = arrive
    world.run()


def test_a_pod_that_no_node_takes_is_waited_for_and_people_are_told(world, capsys):
    waiting = Life(pending="0/3 nodes are available: insufficient nvidia.com/gpu")
    world.cluster.lives = {1: [waiting]}

    def scale_up(paused):
        if paused > 1500:
            waiting.pending = ""

    world.between = scale_up
    world.run()
    assert capsys.readouterr().err.count("insufficient") == 1


def test_a_quota_that_refuses_the_job_is_named(world):
    message = "jobs.batch is forbidden: exceeded quota: jobs"
    world.server.fault = lambda request: (403, message) if request.verb == "create" else None
    failure = world.failure(UserError)
    assert "exceeded quota" in failure.message
    assert "quota" in failure.remedy


def test_a_quota_that_refuses_the_pods_is_named_when_waiting_does_not_help(world):
    world.cluster.quota = "exceeded quota: gpus, requested: 8, used: 0, limited: 4"
    assert "exceeded quota" in world.failure(UserError).message
    assert world.left == []


def test_an_account_that_is_not_there_ends_the_run_within_two_minutes(world):
    why = 'error looking up service account hopline/absent: serviceaccount "absent" not found'
    world.cluster.quota = why
    assert why in world.failure(UserError).message
    assert 90 < world.paused < 150
    assert world.left == []


def test_a_quota_that_is_free_in_time_does_no_harm(world):
    world.cluster.quota = "exceeded quota"

    def free(paused):
        if paused > 100:
            world.cluster.quota = ""

    world.between = free
    world.run()


def test_a_refusal_of_long_ago_is_no_obstacle(world):
    world.cluster.lives = {0: [Life(ticks=300)], 1: [Life(ticks=300)]}
    world.cluster.quota = "exceeded quota"

    def free(paused):
        if paused > 20:
            world.cluster.quota = ""
        if world.cluster.of("Pod"):
            world.cluster.of("Job")[0]["status"]["active"] = 1  # as between a failure and the next start

    world.between = free
    world.run()


def test_workers_that_only_stopped_because_the_job_failed_are_not_to_blame(world):
    stopped = Life.failing(PreemptedError("training was told to stop"))
    world.cluster.lives = {0: [Life(2, code=1), stopped, Life(ticks=1000)]}
    world.between = lambda paused: world.cluster.fail("MaxFailedIndexesExceeded") if paused == 60 else None
    assert "worker 0 left with exit code 1" in world.failure(InternalError, workers=1).message


def test_a_missing_right_is_named_with_the_remedy(world):
    world.server.fault = lambda request: (403, "jobs.batch is forbidden: User cannot create")
    failure = world.failure(UserError)
    assert "cannot create" in failure.message
    assert "hopline-launcher" in failure.remedy


def test_a_job_that_someone_else_deletes_is_a_stop(world):
    world.cluster.lives = {0: [Life(ticks=100)]}

    def delete(paused):
        if paused > 10:
            for job in world.cluster.of("Job"):
                world.cluster.remove("Job", job["metadata"]["name"])

    world.between = delete
    assert "deleted" in world.failure(PreemptedError).message
    assert world.left == []


def test_a_job_past_its_deadline_fails_and_says_so(world):
    world.cluster.lives = {0: [Life(ticks=100)]}
    world.between = lambda paused: world.cluster.fail("DeadlineExceeded") if paused == 20 else None
    assert "job.max_seconds" in world.failure(InternalError, max_seconds=20).message
    assert world.left == []


def test_told_to_stop_it_deletes_the_job_and_all_that_belongs_to_it(world):
    world.cluster.lives = {0: [Life(ticks=100)]}

    def stop(paused):
        if paused > 10 and "deletionTimestamp" not in world.cluster.of("Job")[0]["metadata"]:
            raise KeyboardInterrupt

    world.between = stop
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.between = lambda paused: None
    assert world.left == []


def test_a_folder_that_workers_cannot_see_is_refused(world):
    assert "job.mount" in world.failure(UserError, mount="/elsewhere").message
    assert not world.server.requests
