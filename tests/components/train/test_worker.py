"""A worker's place among the workers."""

import json
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from components.train.worker import require_accelerators, set_cluster_config, worker_index
from hopline.runtime.errors import UserError
from hopline.runtime.process import child_environment


@pytest.fixture(autouse=True)
def outside_of_any_cluster(monkeypatch):
    for name in ("TF_CONFIG", "HOPLINE_CLUSTER", "JOB_COMPLETION_INDEX"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_in_a_pod_of_an_indexed_job_tf_config_comes_from_the_hosts_and_the_index(monkeypatch):
    monkeypatch.setenv("HOPLINE_CLUSTER", "job-0.job:2222,job-1.job:2222")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "1")
    assert set_cluster_config()
    assert worker_index() == 1
    assert json.loads(os.environ["TF_CONFIG"]) == {
        "cluster": {"worker": ["job-0.job:2222", "job-1.job:2222"]},
        "task": {"type": "worker", "index": 1},
    }


def test_a_single_pod_needs_no_cluster(monkeypatch):
    monkeypatch.setenv("HOPLINE_CLUSTER", "job-0.job:2222")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", "0")
    assert set_cluster_config()
    assert "TF_CONFIG" not in os.environ


def test_outside_of_a_pod_nothing_is_set():
    assert not set_cluster_config()
    assert worker_index() == 0


@pytest.mark.parametrize("index", ["", "2", "-1", "one"])
def test_an_index_that_is_none_of_a_worker_is_named(monkeypatch, index):
    monkeypatch.setenv("HOPLINE_CLUSTER", "job-0.job:2222,job-1.job:2222")
    monkeypatch.setenv("JOB_COMPLETION_INDEX", index)
    with pytest.raises(UserError) as caught:
        set_cluster_config()
    assert f'"{index}"' in caught.value.message


APART = """
import time
from components.train import worker
worker.JOIN_SECONDS = 1
with worker._joining():
    time.sleep(60)
"""


def test_a_worker_that_waits_for_others_says_for_whom_and_not_without_end():
    place = {"cluster": {"worker": ["one:1", "two:2"]}, "task": {"type": "worker", "index": 0}}
    environment = child_environment({"TF_CONFIG": json.dumps(place)})
    done = subprocess.run(
        [sys.executable, "-c", APART],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == -signal.SIGALRM
    assert "waits for worker 1 at two:2" in done.stderr  # what the person reads, nothing else tells it


def see(monkeypatch, count):
    """Makes TensorFlow see so many GPUs, and returns those that are left to it."""
    devices = tf.config.list_physical_devices("CPU") * count
    left = {"GPU": devices}
    monkeypatch.setattr(tf.config, "list_physical_devices", left.get)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda devices, kind: left.update({kind: devices}))
    return left


@pytest.mark.parametrize(("promised", "seen"), [(1, 0), (8, 7)])
def test_a_worker_that_sees_fewer_gpus_than_it_was_promised_does_not_train_without(monkeypatch, promised, seen):
    see(monkeypatch, seen)
    with pytest.raises(UserError) as caught:
        require_accelerators(promised)
    assert f"{promised} GPUs" in caught.value.message
    assert "job.image" in caught.value.remedy


@pytest.mark.parametrize(("promised", "seen", "used"), [(2, 2, True), (None, 0, False), (None, 2, True), (0, 0, False)])
def test_gpus_are_used_where_they_are(monkeypatch, promised, seen, used):
    left = see(monkeypatch, seen)
    assert require_accelerators(promised) is used
    assert len(left["GPU"]) == seen


def test_a_worker_that_was_promised_no_gpu_leaves_those_of_its_node_alone(monkeypatch):
    left = see(monkeypatch, 2)
    assert require_accelerators(0) is False
    assert left["GPU"] == []
