"""A Kubeflow Pipelines server in memory, and a client of it that does not wait."""

import functools

import pytest

from pipelines.kubeflow import submission
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import PATIENCE_SECONDS, Connection, Server
from tests.pipelines.kubeflow.server import KubeflowServer

# kfp takes seconds to compile a pipeline, and does so for each command: of one configuration once is enough here.
COMPILED_ONCE = functools.cache(submission.pipeline_yaml)


@pytest.fixture(autouse=True)
def compiled_once(monkeypatch):
    monkeypatch.setattr(submission, "pipeline_yaml", COMPILED_ONCE)


@pytest.fixture
def server():
    running = KubeflowServer()
    yield running
    running.close()
    assert running.breaches == []


@pytest.fixture
def connect(server):
    """Makes a client; its pauses are noted instead of waited for."""

    def make(patience=PATIENCE_SECONDS, **options):
        return Client(Connection(Server(host=server.url, **options), patience, lambda seconds: None))

    return make


@pytest.fixture
def client(connect):
    return connect()
