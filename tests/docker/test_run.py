"""`hopline run --runner docker`: the whole pipeline, each step in its image."""

import json
import os
import signal
import subprocess
import sys
import time

import docker
import pytest
from docker.models.containers import Container
from kfp.local import docker_task_handler

from components.images import CONTROL
from hopline.registry.registry import Registry
from hopline.runtime.errors import UserError
from hopline.store.objects import Store
from pipelines import containers
from pipelines.containers import StepContainers
from tests.docker.conftest import ROOT, USER

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800), pytest.mark.usefixtures("images")]

CONFIG = """\
[corpus]
train = "texts/*.txt"
documents = "blank-line"
valid_fraction = 0.2
test_fraction = 0.2

[model]
width = 16
hops = 2
memory = 8
tie = "output"

[train]
sequences = 4
targets = 8
epochs = 3
learning_rate = 0.5
"""
PARAGRAPHS = 200


class World:
    """A folder with a corpus and a configuration, from which `hopline run` is called."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "texts").mkdir()
        text = "".join(f"word{n % 7} and word{n % 11} say line {n % 3}\nword{n % 5} end\n\n" for n in range(PARAGRAPHS))
        (folder / "texts" / "a.txt").write_text(text)
        (folder / "config.toml").write_text(CONFIG)

    def start(self, *arguments, runner="docker", output="out"):
        command = [sys.executable, "-m", "pipelines.cli", "run", "--config", "config.toml", "--runner", runner]
        return subprocess.Popen(
            [*command, "--output", output, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *arguments, **options):
        process = self.start(*arguments, **options)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed

    def artifact(self, name, output="out"):
        """The folder of that name of the latest run."""
        return max((self.folder / output / "runs").iterdir()) / name

    def containers(self):
        """Those of runs below this folder."""
        with_label = docker.from_env().containers.list(all=True, filters={"label": "hopline.output"})
        return [one for one in with_label if one.labels["hopline.output"].startswith(str(self.folder))]


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    for container in made.containers():
        container.remove(force=True)


def losses(model):
    records = map(json.loads, (model / "log.jsonl").read_text().splitlines())
    return [record["loss"] for record in records if "loss" in record]


def test_the_pipeline_promotes_and_its_numbers_are_those_of_processes(world):
    code, printed = world.run("--workers", "2")
    assert code == 0, printed
    assert "promoted" in printed
    assert Registry(world.folder / "out" / "registry").champion().version == 1
    assert world.containers() == []
    model = world.artifact("model")
    assert {path.stat().st_uid for path in model.iterdir()} == {os.getuid() or USER}
    assert json.loads((model / "manifest.json").read_text())["git"], "an image knows its revision"

    code, printed = world.run("--workers", "2", runner="subprocess", output="processes")
    assert code == 0, printed
    assert len(losses(model)) > 10
    assert losses(world.artifact("model", "processes")) == pytest.approx(losses(model), rel=1e-5)


def test_a_failing_step_ends_the_run_with_its_own_message_and_code(world):
    (world.folder / "texts" / "b.txt").write_bytes(b"not UTF-8: \xff\n")
    code, printed = world.run()
    assert code == 2
    assert "b.txt" in printed
    assert "remedy" in printed
    assert not (world.folder / "out" / "registry" / "champion.json").exists()
    assert world.containers() == []


def until_training(process):
    for line in process.stdout:
        if line.startswith("train: running"):
            return
    pytest.fail("the run ended before it trained")


def await_container(world):
    deadline = time.monotonic() + 60
    while not world.containers():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped_or_killed_it_continues_and_leaves_no_container(world, number):
    process = world.start()
    until_training(process)
    await_container(world)
    process.send_signal(number)
    process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert world.containers() == []
    code, printed = world.run()  # removes what the killed one had to leave
    assert code == 0, printed
    assert "preprocess: found in cache" in printed
    assert world.containers() == []


def test_an_image_that_is_not_there_is_named_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(containers, "IMAGES", {"train": "hopline-train:never"})
    with pytest.raises(UserError, match="hopline-train:never") as caught:
        containers.prepare(tmp_path, [])
    assert "make images" in caught.value.remedy


def test_a_container_reaches_a_store_if_its_arguments_name_one(bucket, tmp_path):
    place = bucket("gs")
    script = f"from hopline.store.objects import Store; Store({place!r}).write('a', b'written')"
    given = json.dumps({"inputs": {"parameterValues": {"registry": place}}})
    client, run = docker.from_env(), StepContainers(tmp_path).run
    for arguments, reached in (([], False), (["--executor_input", given], True)):
        command = ["timeout", "20", "python3", "-c", script, *arguments]
        assert (run(client, CONTROL, command, {}, entrypoint="", network_mode="none") == 0) == reached
    assert Store(place).read("a")[0] == b"written"


@pytest.fixture
def late_wait(monkeypatch):
    """A machine so busy that the exit code of a container is asked for a while after its end."""
    wait = Container.wait

    def late(self, **options):
        time.sleep(0.5)
        return wait(self, **options)

    monkeypatch.setattr(Container, "wait", late)


def test_a_failure_is_a_failure_however_fast_it_came_and_late_it_is_seen(late_wait, tmp_path):
    client, run = docker.from_env(), StepContainers(tmp_path).run
    for script in ("exit 3", "echo word; exit 3", "sleep 0.3; exit 3"):
        assert run(client, CONTROL, ["sh", "-c", script], {}, entrypoint="", network_mode="none") == 3


def test_kfp_still_takes_a_lost_failure_for_a_success(late_wait):
    """The reason for `StepContainers.run`: when this fails, kfp has mended it and the replacement can go."""
    client = docker.from_env()
    kfp_own = docker_task_handler.run_docker_container
    assert kfp_own(client, CONTROL, ["sh", "-c", "sleep 1; exit 3"], {}, entrypoint="", network_mode="none") == 0
