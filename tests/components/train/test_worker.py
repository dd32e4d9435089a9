"""A worker's place among the workers."""

import json
import os

import pytest

from components.train.worker import set_cluster_config, worker_index
from hopline.errors import UserError


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
