"""A registry of each kind, and a server that serves what the follower gives it."""

import time

import pytest

from components.follow.config import ServingConfig
from components.follow.follower import Follower
from components.follow.server import Server
from hopline.registry.registry import Registry
from tests.components.follow.serving import Serving
from tests.hopline.conftest import model

__all__ = ["model"]

PATIENCE_SECONDS = 30


@pytest.fixture(params=["folder", "gs", "s3"])
def registry(request, tmp_path, bucket):
    return Registry(tmp_path / "registry" if request.param == "folder" else f"{bucket(request.param)}/registry")


@pytest.fixture
def local_registry(tmp_path):
    return Registry(tmp_path / "registry")


class Pod:
    """The follower and its server, and the volume that they share."""

    def __init__(self, folder):
        self.models, self.work = folder / "hopline", folder / ".work"
        self.models.mkdir(parents=True)
        self.work.mkdir()
        self.serving = Serving(self.models)

    def follower(self, registry, server=None):
        config = ServingConfig(self.serving.config, "hopline", self.models)
        return Follower(registry, self.models, self.work, server or Server(self.serving.url), config)

    def follow(self, registry):
        """Turns until the champion is served alone."""
        version = registry.champion().version
        follower = self.follower(registry)
        self.until(lambda: follower.turn() == f"version {version} is champion and is served")
        self.until(lambda: self.serving.ready.keys() == {version})
        return version

    @staticmethod
    def until(holds):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def pod(tmp_path):
    pod = Pod(tmp_path / "volume")
    yield pod
    pod.serving.close()
