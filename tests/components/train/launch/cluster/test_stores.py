"""Workers that meet in an object store: real worker processes, real server processes."""

import signal
import threading
import time

import numpy as np
import pytest

from components.train.launch.cluster.manifests import build
from components.train.launch.local import reserved_ports
from components.train.report.log import read_log
from components.train.state import checkpoint
from components.train.state.stored import StoredTraining
from hopline import artifacts
from hopline.config.job import JobConfig
from hopline.config.model import ModelConfig
from hopline.config.train import TrainConfig
from hopline.runtime.process import FAILURE_FILE, read_failure
from hopline.store import trees
from tests.components.train.conftest import MODEL, TRAIN
from tests.components.train.launch.cluster.test_programs import STEPS, launch, run_pods, start_pods, training_pods
from tests.servers import AmazonServer, GoogleServer, serving

pytestmark = [pytest.mark.slow, pytest.mark.multiprocess]

LONG = 24  # steps: long enough to be disturbed in


def job_for(examples, training, steps=LONG):
    config = TrainConfig.from_mapping({**TRAIN, "workers": 2, "epochs": 100, "max_steps": steps})
    arguments = ["--examples", str(examples), "--model-config", ModelConfig.from_mapping(MODEL).to_json()]
    arguments += ["--train-config", config.to_json()]
    claim = "" if isinstance(training, str) else "hopline"
    return build(JobConfig(claim=claim, cpus="1"), training, arguments, 2, restarts=0).job


def best(folder):
    return sorted(checkpoint.load_newest(folder / checkpoint.FOLDER).best.items())


@pytest.fixture(scope="module")
def undisturbed(examples, tmp_path_factory):
    """The folder of a run of two workers, on a volume, that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with reserved_ports(2) as ports:
        assert run_pods(job_for(examples, folder / "training"), folder, ports) == [0, 0]
    return folder / "training"


class Pods:
    """The pods of a Job, which all start again when one has failed, as Kubernetes has it."""

    def __init__(self, examples, server, folder):
        self.stored = StoredTraining(f"{server.scheme}://bucket/training", folder / "fetched")
        self._folder = folder
        uri = f"{server.scheme}://bucket/examples"
        trees.send_tree(examples, uri, "test")
        self._job = job_for(uri, f"{server.scheme}://bucket/training")

    def start(self, ports):
        self.processes = start_pods(self._job, self._folder, ports)

    def wait_for_a_step(self, least=1):
        deadline = time.monotonic() + 120
        while self.stored.newest_step() < least:
            assert not [process for process in self.processes if process.poll()], "a worker failed"
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def codes(self):
        return [process.wait(timeout=300) for process in self.processes]

    def ended(self):
        """The training folder, fetched, after a start to the end."""
        with reserved_ports(2) as ports:
            self.start(ports)
            assert self.codes() == [0, 0]
        self.stored.fetch_newest()
        return self.stored.folder


def assert_same(one, other):
    for (name, array), (expected_name, expected) in zip(best(one), best(other), strict=True):
        assert name == expected_name
        np.testing.assert_array_equal(array, expected)
    logs = [[record.get("loss") for record in read_log(folder / checkpoint.LOG_FILE)] for folder in (one, other)]
    assert logs[0] == logs[1]


def test_a_chief_that_is_killed_leaves_all_it_has_sent_and_the_weights_are_the_same_in_the_end(
    examples, undisturbed, tmp_path, monkeypatch
):
    with serving(GoogleServer(tmp_path / "server"), monkeypatch) as server:
        pods = Pods(examples, server, tmp_path)
        with reserved_ports(2) as ports:
            pods.start(ports)
            pods.wait_for_a_step()
            pods.processes[0].kill()
            assert 0 not in pods.codes()
        assert 0 < pods.stored.newest_step() < LONG
        assert_same(pods.ended(), undisturbed)


def test_told_to_stop_the_workers_send_first_and_a_store_that_is_away_for_a_while_does_no_harm(
    examples, undisturbed, tmp_path, monkeypatch
):
    with serving(GoogleServer(tmp_path / "server"), monkeypatch) as server:
        pods = Pods(examples, server, tmp_path)
        with reserved_ports(2) as ports:
            pods.start(ports)
            pods.wait_for_a_step()
            server.kill()
            pods.processes[1].send_signal(signal.SIGTERM)
            back = threading.Timer(3, server.start)
            back.start()
            assert pods.codes() == [143, 143]
            back.join()
        sent = pods.stored.newest_step()
        assert 0 < sent < LONG
        assert f"step {sent}" in read_failure(tmp_path / "pod-0" / FAILURE_FILE).message
        assert_same(pods.ended(), undisturbed)


def test_a_store_that_may_not_be_used_ends_the_job_at_once(examples, tmp_path, monkeypatch):
    with serving(AmazonServer(tmp_path / "server"), monkeypatch):
        job = job_for(examples, "s3://no-such-bucket/training")
        processes = start_pods(job, tmp_path, (0, 0))
        assert processes[0].wait(timeout=120) == 2
        processes[1].kill()
        assert "no-such-bucket" in read_failure(tmp_path / "pod-0" / FAILURE_FILE).message


def test_the_train_step_sends_the_examples_and_fetches_what_the_pods_have_trained(
    world, kubeconfig, examples, tmp_path, monkeypatch
):
    jobs = training_pods(world, tmp_path)
    with serving(AmazonServer(tmp_path / "server"), monkeypatch):
        job = {"claim": "", "store": "s3://bucket/hopline", "secret": "store"}
        more = ["--output", str(tmp_path / "model")]
        process = launch("components.train", examples, tmp_path, kubeconfig, *more, job=job)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    assert artifacts.verify(tmp_path / "model", "model").facts["steps"] == STEPS
    assert list((tmp_path / "model" / "events").iterdir())
    pod = jobs[0]["spec"]["template"]["spec"]
    identity = artifacts.read_manifest(examples, "examples").id
    assert f"s3://bucket/hopline/examples/{identity}" in pod["containers"][0]["args"]
    assert not [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    assert world.left == []
