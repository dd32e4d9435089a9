"""What holds for every test; and buckets of each kind of object store, on servers of their own."""

import os
import signal
import threading
import uuid

import pytest

from tests.servers import AmazonServer, GoogleServer, Server

# A shell starts what runs in the background with SIGINT ignored, and children would inherit that: several tests are of
# Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

SERVERS = {server.scheme: server for server in (GoogleServer, AmazonServer)}


@pytest.fixture(autouse=True)
def environment_of_its_own():
    """Restores the environment: a program's `main` may set variables of the process, here that of all tests."""
    before = dict(os.environ)
    yield
    if os.environ != before:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """Gives the running server of a scheme, started when it is first asked for."""
    servers: dict[str, Server] = {}

    def server(scheme: str) -> Server:
        if scheme not in servers:
            servers[scheme] = SERVERS[scheme](tmp_path_factory.mktemp(scheme))
            servers[scheme].start()
        return servers[scheme]

    yield server
    for started in servers.values():
        started.close()


@pytest.fixture
def bucket(running, monkeypatch):
    """Makes an empty bucket of the scheme and returns its URI."""

    def make(scheme: str) -> str:
        server = running(scheme)
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        return server.bucket(f"bucket-{uuid.uuid4().hex[:12]}")

    return make


@pytest.fixture(params=SERVERS)
def remote_place(request, bucket):
    """A URI below which nothing is, in each kind of object store."""
    return f"{bucket(request.param)}/some/prefix"


@pytest.fixture(params=SERVERS)
def mortal(request, tmp_path, monkeypatch):
    """A server of its own for a test that kills it: with the bucket `bucket`."""
    server = SERVERS[request.param](tmp_path / "server")
    (server.folder / "bucket").mkdir(parents=True)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    yield server
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):  # a failed test may leave one that starts the server again
            thread.join()
    server.close()


@pytest.fixture(scope="session")
def used(tmp_path_factory):
    """An output with a promoted model, and its network."""
    from tests.exported import make_output

    folder = tmp_path_factory.mktemp("output")
    return folder, make_output(folder)
