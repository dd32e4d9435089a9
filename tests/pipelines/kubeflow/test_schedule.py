"""Schedules: what is wanted comes about whatever is there and whoever is killed, and no run dies of it."""

import itertools

import pytest

from hopline.runtime.errors import InternalError, UserError
from pipelines.compiled import pipeline_yaml
from pipelines.config.config import Config
from pipelines.kubeflow.connection import UnreachableError
from pipelines.kubeflow.schedule import apply, delete, pause, resume
from pipelines.kubeflow.schedule_plan import Wanted

CONTENT = pipeline_yaml(Config()).encode()
ENDING = {"CANCELING": {"state": "CANCELED"}}


class World:
    """A server with a version to run and an experiment, and a person who applies configurations to it."""

    def __init__(self, server, client):
        self.server, self.client = server, client
        pipeline = client.pipeline("hopline", "about")
        self.versions = [client.upload_version(pipeline, name, CONTENT) for name in ("abc", "def")]
        self.experiment = client.experiment("retraining")
        self.said, self.sleep = [], lambda seconds: None

    def wanted(self, version=0, **changes):
        values = {"name": "nightly", "cron": "0 0 3 * * *", "paused": False, "parameters": {"registry": "s3://bucket"}}
        return Wanted(version=self.versions[version], experiment=self.experiment, **{**values, **changes})

    def apply(self, wanted):
        return [step.action for step in apply(self.client, wanted, self.said.append, self.sleep)]

    def fires(self, state="RUNNING"):
        """The one enabled schedule starts a run."""
        (schedule,) = self.enabled()
        number = len(self.server.runs)
        run = {
            "run_id": f"run-{number}", "display_name": f"nightly-{number}", "created_at": self.server.stamp(),
            "experiment_id": self.experiment, "recurring_run_id": schedule["recurring_run_id"], "state": state,
        }  # fmt: skip
        self.server.runs[run["run_id"]] = run
        return run

    def enabled(self):
        return [schedule for schedule in self.server.recurring.values() if schedule["status"] == "ENABLED"]

    def holds(self, wanted):
        """Whether the server has exactly what is wanted."""
        (schedule,) = self.client.recurring_runs()
        return wanted.describes(schedule) and schedule.enabled != wanted.paused


@pytest.fixture
def world(server, client):
    return World(server, client)


def of_version(schedules):
    return [schedule["pipeline_version_reference"]["pipeline_version_id"] for schedule in schedules]


def test_a_schedule_is_made_and_then_left_alone(world):
    assert world.apply(world.wanted()) == ["create", "enable"]
    assert world.holds(world.wanted())
    assert world.apply(world.wanted()) == []
    (schedule,) = world.server.recurring.values()
    assert (schedule["max_concurrency"], schedule["no_catchup"]) == ("1", True)
    assert schedule["pipeline_version_reference"]["pipeline_version_id"] == world.versions[0].id


def test_a_paused_schedule_is_never_enabled(world):
    assert world.apply(world.wanted(paused=True)) == ["create"]
    assert world.enabled() == []


def test_pausing_and_resuming_replaces_nothing(world):
    world.apply(world.wanted())
    assert world.apply(world.wanted(paused=True)) == ["disable"]
    assert world.apply(world.wanted()) == ["enable"]


def test_a_change_replaces_the_schedule(world):
    world.apply(world.wanted())
    world.fires("SUCCEEDED")
    assert world.apply(world.wanted(version=1)) == ["create", "disable", "enable", "delete"]
    assert world.holds(world.wanted(version=1))


def test_a_run_that_is_active_outlives_its_schedule(world):
    world.apply(world.wanted())
    run = world.fires()
    assert world.apply(world.wanted(version=1)) == ["create", "disable", "enable"]
    assert world.server.killed == []
    assert of_version(world.enabled()) == [world.versions[1].id]
    assert world.apply(world.wanted(version=1)) == []
    run["state"] = "SUCCEEDED"
    assert world.apply(world.wanted(version=1)) == ["delete"]
    assert world.holds(world.wanted(version=1))


def test_a_run_that_appears_late_outlives_its_schedule(world):
    world.apply(world.wanted())
    late = world.server.runs.pop(world.fires()["run_id"])
    world.sleep = lambda seconds: world.server.runs.update({late["run_id"]: late})
    assert world.apply(world.wanted(version=1)) == ["create", "disable", "enable"]
    assert world.server.killed == []


def test_a_schedule_that_is_wanted_again_while_its_run_is_active_comes_back(world):
    world.apply(world.wanted())
    world.fires()
    world.apply(world.wanted(version=1))
    assert world.apply(world.wanted()) == ["disable", "enable", "delete"]
    assert world.holds(world.wanted())
    assert world.server.killed == []


def test_duplicates_of_ours_are_removed(world):
    world.apply(world.wanted())
    (schedule,) = world.server.recurring.values()
    for number in range(3):
        copy = {**schedule, "recurring_run_id": f"copy-{number}", "created_at": world.server.stamp()}
        world.server.recurring[copy["recurring_run_id"]] = copy
    world.apply(world.wanted())
    assert list(world.server.recurring.values()) == [schedule]


def test_schedules_of_other_names_are_left_alone(world):
    world.apply(world.wanted(name="weekly", cron="@weekly"))
    world.apply(world.wanted())
    world.apply(world.wanted(version=1))
    assert sorted(schedule["display_name"] for schedule in world.enabled()) == ["nightly", "weekly"]


def test_a_schedule_that_somebody_keeps_disabling_is_not_fought_for_without_end(world):
    world.server.fault = lambda request: (200, "") if request.operation.endswith("_enable_recurring_run") else None
    with pytest.raises(InternalError, match="keeps changing"):
        world.apply(world.wanted())


def dead_from(point, *, done):
    """A fault by which nothing reaches the server from one request on; that one is `done`, or not."""
    count = itertools.count()

    def strike(request):
        number = next(count)
        return None if number < point else "cut" if number == point and done else "lost"

    return strike


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("scene", ["first", "change", "paused", "active"])
def test_whoever_is_killed_at_any_request_is_continued(world, connect, scene, done):
    before, wanted = world.wanted(), world.wanted(version=1, paused=scene == "paused")
    patient, survived = world.client, 0
    for point in itertools.count():
        world.server.recurring.clear()
        world.server.runs.clear()
        if scene != "first":
            world.apply(before)
            run = world.fires("RUNNING" if scene == "active" else "SUCCEEDED")
        world.client, world.server.fault = connect(patience=0), dead_from(point, done=done)
        try:
            world.apply(wanted)
            break
        except UnreachableError:
            survived += 1
        finally:
            world.client, world.server.fault = patient, lambda request: None
        assert len(world.enabled()) <= 1
        world.apply(wanted)
        if scene == "active":
            assert of_version(world.enabled()) == [wanted.version.id]
            run["state"] = "SUCCEEDED"
            world.apply(wanted)
        assert world.holds(wanted)
        assert world.server.killed == []
    assert survived >= 5


def test_a_paused_schedule_is_resumed_and_its_run_goes_on_meanwhile(world):
    world.apply(world.wanted())
    world.fires()
    pause(world.client, "nightly")
    assert world.enabled() == []
    assert world.server.killed == []
    resume(world.client, "nightly")
    assert len(world.enabled()) == 1


def test_which_of_two_is_resumed_is_not_guessed(world):
    world.apply(world.wanted())
    world.fires()
    world.apply(world.wanted(version=1, paused=True))
    with pytest.raises(UserError, match="2 schedules"):
        resume(world.client, "nightly")
    assert world.enabled() == []


@pytest.mark.parametrize("action", [pause, resume, lambda *given: delete(*given, print, end_runs=True)])
def test_a_name_that_is_not_there_is_answered_with_those_that_are(world, action):
    world.apply(world.wanted(name="weekly"))
    with pytest.raises(UserError) as caught:
        action(world.client, "nightly")
    assert "weekly" in caught.value.remedy


def remove(world, **options):
    delete(world.client, "nightly", world.said.append, sleep=world.sleep, **options)


def test_an_idle_schedule_is_deleted(world):
    world.apply(world.wanted())
    world.fires("SUCCEEDED")
    remove(world, end_runs=False)
    assert world.server.recurring == {}


def test_a_schedule_whose_run_is_active_is_only_disabled(world):
    world.apply(world.wanted())
    run = world.fires()
    with pytest.raises(UserError, match=run["run_id"]):
        remove(world, end_runs=False)
    assert (world.server.killed, world.enabled(), len(world.server.recurring)) == ([], [], 1)
    run["state"] = "SUCCEEDED"
    remove(world, end_runs=False)
    assert world.server.recurring == {}


def test_a_schedules_runs_are_ended_properly_before_it_goes(world):
    world.apply(world.wanted())
    run = world.fires()
    world.sleep = lambda seconds: run.update(ENDING.get(run["state"], {}))
    remove(world, end_runs=True)
    assert (run["state"], world.server.recurring, world.server.killed) == ("CANCELED", {}, [])


def test_a_run_that_does_not_end_does_not_keep_its_schedule(world):
    world.apply(world.wanted())
    world.fires()
    remove(world, end_runs=True)
    assert world.server.recurring == {}
