"""Two workers in containers of their own, which find each other by name, as on a cluster."""

import json
import subprocess
import time
import uuid

import pytest

from components import images
from components.train.report.log import read_log
from components.train.state import checkpoint
from components.train.state.checkpoint import LOG_FILE
from hopline import artifacts
from tests.components.train.conftest import MODEL, TRAIN
from tests.docker.conftest import HARDENED, LABEL, docker, mounted, owner_of, remove_containers
from tests.support import synthetic_documents, write_examples

pytestmark = [
    pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("images"),
]  # fmt: skip

PORT = 2222
STEPS = 20
WAIT_SECONDS = 120


class Workers:
    """A group of two workers that has been started on `training`."""

    def __init__(self, network, examples, training):
        name = f"hopline-test-{uuid.uuid4().hex[:12]}"
        self.containers = [f"{name}-{index}" for index in range(2)]
        hosts = [f"{container}:{PORT}" for container in self.containers]
        config = {**TRAIN, "workers": len(hosts), "max_steps": STEPS}
        for index, container in enumerate(self.containers):
            place = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
            docker(
                "run", "--detach", "--name", container, "--label", LABEL, *HARDENED, "--network", network,
                *mounted(examples), *mounted(training, writable=True), *owner_of(training),
                "--env", f"TF_CONFIG={json.dumps(place)}", "--entrypoint", "python3", images.TRAIN,
                "-m", "components.train.worker", "--examples", str(examples), "--training-dir", str(training),
                "--work-dir", str(training / f"worker-{index}"), "--threads", "1",
                "--model-config", json.dumps(MODEL), "--train-config", json.dumps(config),
            )  # fmt: skip

    def kill(self, index):
        docker("kill", "--signal", "KILL", self.containers[index])

    def codes(self):
        """The exit codes, once all have ended by themselves."""
        return [int(code) for code in docker("wait", *self.containers).split()]

    def running(self):
        return docker("inspect", "--format", "{{.State.Running}}", *self.containers).split() == ["true", "true"]

    def said(self):
        logs = [["docker", "logs", "--tail", "30", container] for container in self.containers]
        return "".join(
            subprocess.run(log, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
            for log in logs
        )


@pytest.fixture(scope="module")
def network(engine):
    """A network that leads nowhere else."""
    name = f"hopline-test-{uuid.uuid4().hex[:12]}"
    docker("network", "create", "--internal", name)
    yield name
    remove_containers()
    docker("network", "rm", name)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    folder.chmod(0o755)  # for the containers' user
    write_examples(folder, {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)})
    return folder


@pytest.fixture(scope="module")
def undisturbed(network, examples, tmp_path_factory):
    """The training folder of workers that nothing happened to."""
    training = tmp_path_factory.mktemp("undisturbed")
    workers = Workers(network, examples, training)
    assert workers.codes() == [0, 0], workers.said()
    return training


def log_of(training):
    return list(read_log(training / LOG_FILE))


def step(training):
    return checkpoint.newest_step(training / checkpoint.FOLDER)


def wait_for_a_checkpoint(training, workers):
    deadline = time.monotonic() + WAIT_SECONDS
    while not step(training):
        assert workers.running(), workers.said()
        assert time.monotonic() < deadline, f"waited in vain: {workers.said()}"
        time.sleep(0.05)


def checksums(training):
    """Of all that the newest checkpoint holds: weights, the best ones, and where training stands."""
    return artifacts.verify(training / checkpoint.FOLDER / f"step-{step(training):09}", checkpoint.KIND).files


def losses(log):
    return [(record["step"], record["loss"]) for record in log if "loss" in record]


@pytest.mark.parametrize("victim", [pytest.param(0, id="chief"), pytest.param(1, id="other")])
def test_killed_in_the_middle_and_started_again_they_end_with_the_very_weights(
    victim, network, examples, undisturbed, tmp_path
):
    workers = Workers(network, examples, tmp_path)
    wait_for_a_checkpoint(tmp_path, workers)
    workers.kill(victim)
    codes = workers.codes()
    assert codes[victim] == 137
    assert codes[1 - victim] == 1, f"it cannot go on alone: {workers.said()}"
    reached = checkpoint.repair(tmp_path / checkpoint.FOLDER)
    assert 0 < reached < STEPS
    log = log_of(tmp_path)[:reached]
    again = Workers(network, examples, tmp_path)
    assert again.codes() == [0, 0], again.said()
    assert step(tmp_path) == step(undisturbed) == STEPS
    assert checksums(tmp_path) == checksums(undisturbed)
    assert losses(log_of(tmp_path)) == losses(log_of(undisturbed))
    assert log_of(tmp_path)[:reached] == log, "with its times: no step was done again"
