"""Schedules on a real Kubeflow Pipelines server, HOPLINE_KFP_HOST, whose cluster has the image of the control steps."""

import itertools
import os
import time
import uuid
from dataclasses import replace

import pytest
from kfp import compiler, dsl

from components.images import CONTROL
from hopline.runtime.errors import ExitCode, UserError
from pipelines.cli import main
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import Connection, Server
from pipelines.kubeflow.schedule import active_runs, apply, delete, named, pause, resume
from pipelines.kubeflow.schedule_plan import Wanted

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]

OFTEN, NEVER = "*/20 * * * * *", "0 0 0 29 2 *"
PATIENCE = 600  # a cluster of one busy node


@dsl.component(base_image=CONTROL, install_kfp_package=False)
def nap(seconds: int):
    import time

    time.sleep(seconds)


@dsl.pipeline(name="hopline-test")
def naps(seconds: int = 0, section: str = "{}"):
    nap(seconds=seconds).set_caching_options(False)


class Place:
    """The server, a version to run, and one name for schedules."""

    def __init__(self, folder):
        host = os.environ.get("HOPLINE_KFP_HOST")
        assert host, "set HOPLINE_KFP_HOST to the Kubeflow Pipelines server to test on"
        self.server, self.name, self.said = Server(host=host), f"hopline-test-{uuid.uuid4().hex[:8]}", []
        self.client = Client(Connection(self.server))
        compiler.Compiler().compile(naps, str(folder / "naps.yaml"))
        pipeline = self.client.pipeline("hopline-test", "Tests of schedules")
        self.version = self.client.upload_version(pipeline, self.name, (folder / "naps.yaml").read_bytes())
        self.experiment = self.client.experiment("hopline-test")

    def wanted(self, cron, *, seconds=0, paused=False):
        parameters = {"seconds": seconds, "section": '{"epochs":3,"words":["a b","\u00e9"]}'}
        return Wanted(
            name=self.name, cron=cron, paused=paused, version=self.version, experiment=self.experiment,
            parameters=parameters,
        )  # fmt: skip

    def apply(self, wanted, client=None, **options):
        return [step.action for step in apply(client or self.client, wanted, self.said.append, **options)]

    def first_run(self):
        """A run of the one schedule, when it has fired."""
        (schedule,) = named(self.client, self.name)
        self.until(lambda: active_runs(self.client, schedule))
        return active_runs(self.client, schedule)[0]

    def until(self, holds):
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(1)

    def holds(self, wanted):
        """Whether the server has exactly what is wanted."""
        (schedule,) = named(self.client, self.name)
        return wanted.describes(schedule) and schedule.enabled != wanted.paused


@pytest.fixture
def place(tmp_path):
    found = Place(tmp_path)
    yield found
    if named(found.client, found.name):
        delete(found.client, found.name, print, end_runs=True)


def test_the_server_has_what_was_applied_and_a_second_apply_changes_nothing(place):
    wanted = place.wanted(NEVER, paused=True)
    assert place.apply(wanted) == ["create"]
    assert place.holds(wanted)
    assert place.apply(wanted) == []


def test_a_schedule_fires_and_its_run_outlives_the_replacement_to_its_own_end(place):
    place.apply(place.wanted(OFTEN, seconds=45))
    run = place.first_run()
    changed = place.wanted(NEVER)
    assert place.apply(changed) == ["create", "disable", "enable"]
    assert not place.client.run(run.id).ended
    place.until(lambda: place.client.run(run.id).ended)
    assert place.client.run(run.id).state == "SUCCEEDED"
    assert place.apply(changed) == ["delete"]
    assert place.holds(changed)


def test_a_paused_schedule_does_not_fire_and_makes_up_for_it_once_when_resumed(place):
    place.apply(place.wanted(OFTEN, paused=True))
    (schedule,) = named(place.client, place.name)
    time.sleep(60)
    assert list(place.client.runs_of(schedule.id)) == []
    resume(place.client, place.name)
    place.first_run()
    pause(place.client, place.name)
    time.sleep(45)
    assert len(list(place.client.runs_of(schedule.id))) == 1


def test_deleting_refuses_while_a_run_is_active_and_can_end_it(place):
    place.apply(place.wanted(OFTEN, seconds=600))
    run = place.first_run()
    with pytest.raises(UserError, match=run.id):
        delete(place.client, place.name, print, end_runs=False)
    assert not place.client.run(run.id).ended
    delete(place.client, place.name, print, end_runs=True)
    assert named(place.client, place.name) == []
    assert place.client.run(run.id).ended


class Mortal(Connection):
    """A connection that breaks for good after some requests have been done."""

    def once(self, *request, **options):
        answer = super().once(*request, **options)
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return answer


def test_whoever_is_killed_after_any_request_is_continued(place):
    first, second = place.wanted(NEVER), place.wanted(NEVER, seconds=1)
    for requests in itertools.count():
        place.apply(first, sleep=lambda seconds: None)
        connection = Mortal(place.server)
        connection.left = requests
        try:
            place.apply(second, Client(connection), sleep=lambda seconds: None)
            break
        except KeyboardInterrupt:
            assert sum(schedule.enabled for schedule in named(place.client, place.name)) <= 1
        place.apply(second, sleep=lambda seconds: None)
        assert place.holds(second)
    assert requests > 5


def test_the_command_finds_its_own_schedule_unchanged(place, tmp_path, capsys):
    config = tmp_path / "retrain.toml"
    config.write_text(
        f'[schedule]\ndisplay_name = "{place.name}"\ncron = "{NEVER}"\npaused = true\n'
        '[cluster]\nregistry = "s3://nowhere/registry"\n'
    )
    words = ("schedule", "apply", "--config", str(config), "--host", place.server.host)
    assert main(words) == ExitCode.DONE
    (schedule,) = named(place.client, place.name)
    capsys.readouterr()
    assert main([*words, "--dry-run"]) == ExitCode.DONE
    assert capsys.readouterr().out.endswith(f"{place.name}: is on the server as it should be\n")
    assert main([*words, "--set", "train.epochs=3"]) == ExitCode.DONE
    (changed,) = named(place.client, place.name)
    assert changed == replace(schedule, id=changed.id, description=changed.description, parameters=changed.parameters)
    assert '"epochs":3' in changed.parameters["train"]
