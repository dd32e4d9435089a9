"""A Kubeflow Pipelines server in memory, and a client of it that does not wait."""

import pytest

from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import Connection, Server
from tests.pipelines.kubeflow.server import KubeflowServer


@pytest.fixture
def server():
    running = KubeflowServer()
    yield running
    running.close()
    assert running.breaches == []


@pytest.fixture
def connect(server):
    """Makes a client; its pauses are noted instead of waited for."""

    def make(**options):
        return Client(Connection(Server(host=server.url, **options), pause=lambda seconds: None))

    return make


@pytest.fixture
def client(connect):
    return connect()
