"""The programs as a person or a pod starts them; the cluster is in memory, the workers are real."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.launch.cluster.manifests import build
from components.train.launch.local import reserved_ports
from components.train.state import checkpoint
from hopline import artifacts
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.runtime.process import FAILURE_FILE, child_environment
from tests.components.train.conftest import MODEL, TRAIN
from tests.components.train.launch.cluster.cluster import Life

pytestmark = pytest.mark.slow

STEPS = 6


def start_pods(job, folder, ports=(0,), environment=None):
    """Starts here what the pods of a Job would run, with an empty /tmp each."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    (entry,) = container["env"]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    assert len(entry["value"].split(",")) == len(hosts)
    processes = []
    for index in range(len(hosts)):
        own = folder / f"pod-{index}"
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir()
        places = {"/failure": str(own), "/tmp": str(own / "tmp")}
        arguments = [places.get(argument, argument) for argument in container["args"]]
        place = {"HOPLINE_CLUSTER": ",".join(hosts), "JOB_COMPLETION_INDEX": str(index), **(environment or {})}
        command = [sys.executable, *container["command"][1:], *arguments]
        processes.append(subprocess.Popen(command, env=child_environment(place)))
    return processes


def run_pods(job, folder, ports=(0,)):
    """Runs here what the pods of a Job would run, and returns their exit codes."""
    return [process.wait(timeout=300) for process in start_pods(job, folder, ports)]


def training_pods(world, folder):
    """Has the cluster's pods run here, and go on in the cluster once they have ended; the Jobs that were run."""
    jobs, processes = [], []

    def train(request):
        if request.resource != "pods":
            return
        if not processes:
            jobs.extend(world.cluster.of("Job"))
            processes.extend(start_pods(jobs[0], folder))
        if processes[0].poll() is not None:
            assert processes[0].returncode == 0
            world.cluster.tick()

    world.server.fault = train
    return jobs


def job_for(examples, folder, **train):
    config = TrainConfig.from_mapping({**TRAIN, "max_steps": STEPS, **train})
    arguments = ["--examples", str(examples), "--model-config", ModelConfig.from_mapping(MODEL).to_json()]
    settings, arguments = JobConfig(claim="hopline", cpus="1"), [*arguments, "--train-config", config.to_json()]
    return build(settings, folder / "training", arguments, config.workers, restarts=0).job


@pytest.mark.multiprocess
def test_pods_find_each_other_repair_the_checkpoints_and_train(examples, tmp_path):
    left = tmp_path / "training" / checkpoint.FOLDER / ".step-000000004.abc.partial"
    left.mkdir(parents=True)
    with reserved_ports(2) as ports:
        assert run_pods(job_for(examples, tmp_path, workers=2), tmp_path, ports) == [0, 0]
    assert checkpoint.newest_step(tmp_path / "training" / checkpoint.FOLDER) == STEPS
    assert not left.exists()


def test_a_pod_that_fails_leaves_its_reason_where_its_status_takes_it_from(examples, tmp_path):
    job = job_for(examples, tmp_path, targets=100_000, sequences=1)
    assert run_pods(job, tmp_path) == [2]
    assert json.loads((tmp_path / "pod-0" / FAILURE_FILE).read_text())["error"] == "UserError"


def launch(module, examples, tmp_path, kubeconfig, *more, job=None):
    job = {"claim": "hopline", "mount": str(Path(examples).parents[1]), "cpus": 1, **(job or {})}
    command = [
        sys.executable, "-m", module, "--launcher", "kubernetes", "--examples", str(examples),
        "--job", json.dumps(job), "--model-config", json.dumps(MODEL),
        "--train-config", json.dumps({**TRAIN, "max_steps": STEPS}),
        "--work-dir", str(tmp_path / "work"), *more,
    ]  # fmt: skip
    environment = {name: value for name, value in child_environment(kubeconfig).items() if "KUBERNETES" not in name}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_the_launcher_is_a_command_of_its_own(world, kubeconfig, examples, tmp_path):
    more = ["--training-dir", str(tmp_path / "training")]
    process = launch("components.train.launch", examples, tmp_path, kubeconfig, *more)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert world.jobs_created == 1
    assert world.left == []


def test_told_to_stop_the_command_leaves_nothing_behind(world, kubeconfig, examples, tmp_path):
    world.cluster.lives = {0: [Life(ticks=10_000)]}
    more = ["--training-dir", str(tmp_path / "training")]
    process = launch("components.train.launch", examples, tmp_path, kubeconfig, *more)
    while "started" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert world.left == []


def test_the_train_step_exports_what_the_pods_have_trained(world, kubeconfig, examples, tmp_path):
    training_pods(world, tmp_path)
    process = launch("components.train", examples, tmp_path, kubeconfig, "--output", str(tmp_path / "model"))
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert artifacts.verify(tmp_path / "model", "model").facts["steps"] == STEPS
    assert world.left == []
