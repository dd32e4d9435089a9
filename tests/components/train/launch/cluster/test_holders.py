"""Launchers of two runs that have one Job: none takes anything from the other."""

import threading

import pytest

from hopline.runtime.errors import DivergedError, InternalError, PreemptedError, UserError
from tests.components.train.launch.cluster.cluster import Life
from tests.components.train.launch.cluster.conftest import Killed


class Pair:
    """Two launchers that take turns: while one waits, the other one works.

    Attributes:
        outcomes: of each, None for a training that is done, else what it raised.
        interrupted: launchers that are told to stop at their next pause.
    """

    def __init__(self, world):
        self.world = world
        self.own = [world.cluster.launcher(f"launcher-{index}") for index in range(2)]
        self.outcomes = {}
        self.interrupted = set()
        self.left_alone = False  # whether the Job had gone while one of them was at work
        self._turn = threading.Condition()
        self._next = 0

    def run(self, restarts=3, later=0):
        """Runs both to their ends; the second one begins `later` pauses of the first later."""
        self._begun = later
        threads = [threading.Thread(target=self._launch, args=(index, restarts)) for index in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            assert not thread.is_alive()
        return [self.outcomes[index] for index in range(2)]

    def _launch(self, index, restarts):
        self._take_turn(index)
        try:
            self.world.run(restarts=restarts, own=self.own[index], pause=lambda seconds: self._pause(index, seconds))
            self.outcomes[index] = None
        except BaseException as error:
            self.outcomes[index] = error
        self.world.cluster.objects["Pod", f"launcher-{index}"]["status"]["phase"] = "Succeeded"
        self._give_turn(index)

    def _pause(self, index, seconds):
        if self._begun > 0:
            self._begun -= 1
            self.world.pause(seconds)
        else:
            if index == 0 or 0 in self.outcomes:
                self.world.pause(seconds)
            self._give_turn(index)
            self._take_turn(index)
        if index in self.interrupted:
            self.interrupted.remove(index)
            raise KeyboardInterrupt

    def _give_turn(self, index):
        with self._turn:
            self._next = index if 1 - index in self.outcomes else 1 - index
            self._turn.notify_all()

    def _take_turn(self, index):
        with self._turn:
            assert self._turn.wait_for(lambda: self._next == index, timeout=120)


@pytest.fixture
def pair(world):
    return Pair(world)


@pytest.mark.parametrize("later", [0, 3])
def test_two_runs_with_one_job_both_end_with_the_model_and_nothing_is_left(pair, later):
    pair.world.cluster.lives = {0: [Life(ticks=10)], 1: [Life(ticks=10)]}
    assert pair.run(later=later) == [None, None]
    assert pair.world.jobs_created == 1
    assert pair.world.pods_created == [1, 1]
    assert pair.world.left == []


@pytest.mark.parametrize("index", [0, 1])
def test_a_run_that_is_terminated_leaves_the_job_to_the_other(pair, index):
    pair.world.cluster.lives = {0: [Life(ticks=20)], 1: [Life(ticks=20)]}
    pair.world.between = lambda paused: pair.interrupted.add(index) if paused == 10 else None
    outcomes = pair.run()
    assert isinstance(outcomes[index], KeyboardInterrupt)
    assert outcomes[1 - index] is None
    assert pair.world.pods_created == [1, 1]
    assert pair.world.left == []


def test_when_both_are_terminated_the_job_goes(pair):
    pair.world.cluster.lives = {0: [Life(ticks=100)], 1: [Life(ticks=100)]}
    pair.world.between = lambda paused: pair.interrupted.update({0, 1}) if paused == 10 else None
    assert [type(outcome) for outcome in pair.run()] == [KeyboardInterrupt, KeyboardInterrupt]
    assert pair.world.left == []


def test_both_are_told_why_the_job_failed(pair):
    pair.world.cluster.lives = {1: [Life.failing(DivergedError("the loss is not finite"))]}
    assert [type(outcome) for outcome in pair.run()] == [DivergedError, DivergedError]
    assert pair.world.jobs_created == 1
    assert pair.world.left == []


def test_both_go_on_with_one_new_job_when_the_first_has_advanced(pair):
    pair.world.cluster.lives = {0: [Life(5, code=1)]}
    pair.world.between = lambda paused: pair.world.save(7) if paused == 4 else None
    assert pair.run(restarts=0) == [None, None]
    assert pair.world.jobs_created == 2
    assert pair.world.left == []


def test_both_give_up_when_neither_job_advances(pair):
    pair.world.cluster.lives = {0: [Life(5, code=1)] * 3}
    pair.world.between = lambda paused: pair.world.save(7) if paused == 4 else None
    assert [isinstance(outcome, InternalError) for outcome in pair.run(restarts=0)] == [True, True]
    assert pair.world.jobs_created == 2
    assert pair.world.left == []


def test_the_pod_of_a_launcher_that_died_holds_nothing(world):
    dead, own = world.cluster.launcher("launcher-0"), world.cluster.launcher("launcher-1")
    world.cluster.lives = {0: [Life(ticks=5)]}

    def die(paused):
        for job in world.cluster.of("Job"):
            if dead not in job["metadata"]["ownerReferences"] and paused < 4:
                job["metadata"]["ownerReferences"].append(dead)
                world.cluster.objects["Pod", "launcher-0"]["status"]["phase"] = "Failed"

    world.between = die
    world.run(own=own)
    assert world.left == []


def test_when_the_pod_of_one_launcher_is_deleted_the_job_stays_the_others(pair):
    pair.world.cluster.lives = {0: [Life(ticks=20)], 1: [Life(ticks=20)]}
    own = [reference["uid"] for reference in pair.own]
    held = []

    def delete(paused):
        if paused == 10:
            pair.interrupted.add(0)
            pair.world.cluster.remove("Pod", "launcher-0")
            pair.world.cluster.launcher("launcher-0")  # for the end of its thread; of another uid
        if paused > 10:
            held.extend(owner["uid"] for job in pair.world.cluster.of("Job")
                        for owner in job["metadata"]["ownerReferences"])  # fmt: skip

    pair.world.between = delete
    assert pair.run()[1] is None
    assert set(held) == {own[1]}
    assert pair.world.left == []


@pytest.mark.parametrize("finished", ["epochs", ""])
def test_a_job_that_vanishes_when_training_is_over_was_a_success(world, finished):
    world.cluster.lives = {0: [Life(ticks=100)]}

    def vanish(paused):
        if paused == 10:
            world.save(20, finished)
            world.cluster.remove("Job", world.cluster.of("Job")[0]["metadata"]["name"])

    world.between = vanish
    if finished:
        world.run()
    else:
        world.failure(PreemptedError)
    assert world.left == []


def test_a_job_that_has_ended_with_other_settings_is_kept_for_a_launcher_that_has_not_seen_it(world):
    own, other = world.cluster.launcher("launcher-0"), world.cluster.launcher("launcher-1")
    world.cluster.lives = {0: [Life.failing(UserError("the reason"))]}
    seen = []

    def watch(paused):
        jobs = world.cluster.of("Job")
        if paused == 2:
            jobs[0]["metadata"]["ownerReferences"].append(other)
        if jobs and paused == 40:
            seen.append(jobs[0]["status"]["conditions"][-1]["type"])
            world.cluster.objects["Pod", "launcher-1"]["status"]["phase"] = "Succeeded"

    world.between = watch
    assert world.failure(UserError, own=own).message == "the reason"
    world.run(own=own, cpus=7)
    assert seen == ["Failed"]
    assert world.left == []


def test_a_job_that_is_removed_just_before_it_is_taken_over_is_made_again(world):
    def kill(request):
        world.killed = world.paused > 2
        return "lost" if world.killed else None

    world.server.fault = kill
    with pytest.raises(Killed):
        world.run()
    world.killed, removed = False, []

    def remove(request):
        if request.verb == "patch" and request.resource == "jobs" and not removed:
            removed.extend(world.cluster.of("Job"))
            world.cluster.remove("Job", removed[0]["metadata"]["name"])

    world.server.fault = remove
    world.run()
    assert len(removed) == 1
    assert world.jobs_created == 2
    assert world.left == []
