"""Another number of workers for a Job that runs."""

import pytest

from components.train.worker import CLUSTER_VARIABLE
from hopline.runtime.errors import PreemptedError
from hopline.schema import WORKERS_ANNOTATION
from hopline.store import resizing
from tests.components.train.launch.cluster.cluster import Life
from tests.components.train.launch.cluster.conftest import Killed
from tests.components.train.launch.cluster.test_holders import Pair

LONG = {index: [Life(ticks=30), Life(ticks=30), Life(ticks=3)] for index in range(4)}


class Resized:
    """Notes the Jobs that there are, and asks for another number of workers.

    Attributes:
        jobs: how many workers each Job had, in their order, by uid.
        asked: the number to ask for, by seconds that have passed.
    """

    def __init__(self, world):
        self.world, self.jobs, self.asked = world, {}, {}
        world.cluster.lives = {index: list(lives) for index, lives in LONG.items()}
        world.between = self.look

    def look(self, paused):
        for job in self.world.cluster.of("Job"):
            self.jobs[job["metadata"]["uid"]] = job["spec"]["completions"]
            if paused in self.asked:
                job["metadata"].setdefault("annotations", {})[WORKERS_ANNOTATION] = self.asked[paused]
            hosts = job["spec"]["template"]["spec"]["containers"][0]["env"][0]
            assert hosts["name"] == CLUSTER_VARIABLE
            assert len(hosts["value"].split(",")) == job["spec"]["completions"]

    @property
    def numbers(self):
        return list(self.jobs.values())


@pytest.fixture
def resized(world):
    return Resized(world)


def test_a_training_goes_on_with_as_many_workers_as_are_asked_for(resized):
    resized.asked = {10: "4", 30: "1"}
    resized.world.run(workers=2)
    assert resized.numbers == [2, 4, 1]
    assert resized.world.left == []


def test_the_workers_of_one_number_have_ended_before_those_of_another_begin(resized):
    resized.asked = {10: "4"}
    resized.world.run(workers=2)
    pods = [name for kind, name in resized.world.cluster.created if kind == "Pod"]
    assert len(pods) == 6
    assert resized.numbers == [2, 4]


@pytest.mark.parametrize("asked", ["3", "0", "-1", "two", "", "2"])
def test_a_number_among_which_the_batch_cannot_be_divided_changes_nothing_and_is_told_once(resized, asked, capsys):
    resized.asked = {10: asked}
    resized.world.run(workers=2, allowed=lambda workers: 8 % workers == 0)
    assert resized.numbers == [2]
    said = [line for line in capsys.readouterr().err.splitlines() if f'"{asked}" workers' in line]
    assert len(said) == (asked != "2")


@pytest.mark.parametrize("later", [0, 3, 20])
def test_two_runs_with_one_job_both_go_on_with_the_other_number(resized, later):
    resized.asked = {10: "4", 34: "2"}
    pair = Pair(resized.world)
    assert pair.run(later=later) == [None, None]
    assert resized.numbers == [2, 4, 2]
    assert resized.world.left == []


def test_a_launcher_that_is_started_again_takes_the_resized_job_over(resized):
    world = resized.world
    resized.asked = {10: "4"}

    def kill(request):
        world.killed = world.paused > 20
        return "lost" if world.killed else None

    world.server.fault = kill
    with pytest.raises(Killed):
        world.run(workers=2)
    world.killed, world.server.fault = False, lambda request: None
    world.run(workers=2)
    assert resized.numbers == [2, 4]
    assert world.left == []


def test_a_job_that_somebody_deletes_is_no_request(resized):
    def delete(paused):
        if paused == 10:
            resized.world.cluster.remove("Job", resized.world.cluster.of("Job")[0]["metadata"]["name"])

    resized.world.between = delete
    resized.world.failure(PreemptedError)


def test_a_launcher_whose_job_is_gone_begins_with_the_number_that_was_asked_for(resized):
    world = resized.world
    world.save(1)
    resized.asked = {10: "4"}

    def interrupt(paused):
        resized.look(paused)
        if paused == 20:
            raise KeyboardInterrupt

    world.between = interrupt
    with pytest.raises(KeyboardInterrupt):
        world.run(workers=2)
    assert world.left == []
    world.between = resized.look
    world.run(workers=2)
    assert resized.numbers == [2, 4, 4]
    assert resizing.wanted(world.training, 2) == 2  # training is over


def test_a_remembered_number_among_which_the_batch_cannot_be_divided_is_not_taken(resized):
    resized.world.save(1)
    resizing.ask(resized.world.training, 3)
    resized.world.run(workers=2, allowed=lambda workers: workers != 3)
    assert resized.numbers == [2]
