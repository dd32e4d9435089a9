"""A launcher at work on a cluster in memory."""

import json

import kubernetes
import pytest

from components.train.launch.cluster.api import Api
from components.train.launch.cluster.launcher import run_workers
from components.train.state import checkpoint
from components.train.state.checkpoint import Checkpoint, TrainState
from hopline.config.job import JobConfig
from tests.components.train.launch.cluster.cluster import Cluster
from tests.components.train.launch.cluster.server import Server

ARGUMENTS = ["--examples", "/data/examples", "--model-config", "{}", "--train-config", "{}"]


class Killed(BaseException):
    """SIGKILL, for a launcher within a test: nothing it does after this comes through."""


class World:
    """A cluster, its API server, and launchers that use it.

    Attributes:
        settings: of the Job.
        training: the group's folder.
        paused: seconds that launchers have waited altogether.
        between: called at each pause, with the time waited so far.
        killed: whether the launcher is dead.
    """

    def __init__(self, server, folder):
        self.server, self.cluster = server, server.cluster
        self.settings = JobConfig(claim="hopline", mount=str(folder))
        self.training = folder / "training"
        self.paused = 0.0
        self.between = lambda paused: None
        self.killed = False

    def pause(self, seconds):
        if self.killed:
            raise Killed
        self.paused += seconds
        assert self.paused < 7200, "the launcher waits in vain"
        self.cluster.tick(seconds)
        self.between(self.paused)

    def run(self, workers=2, restarts=3, own=None, pause=None, allowed=lambda workers: True, **changed):
        configuration = kubernetes.client.Configuration(host=self.server.url)
        configuration.retries = False
        settings = JobConfig.from_mapping({**self.settings.to_dict(), **changed})
        with kubernetes.client.ApiClient(configuration) as client:
            pause = pause or self.pause
            api = Api(client, "hopline", pause)
            run_workers(
                ARGUMENTS, workers, self.training, restarts, settings, allowed=allowed, api=api, own=own, pause=pause
            )

    def failure(self, error, **changed):
        with pytest.raises(error) as caught:
            self.run(**changed)
        return caught.value

    def save(self, step, finished=""):
        """A checkpoint that a worker has written."""
        arrays, state = {}, TrainState(0.5, step=step, finished=finished)
        checkpoint.save(self.training / checkpoint.FOLDER, Checkpoint(state, arrays, arrays))

    @property
    def jobs_created(self):
        return sum(kind == "Job" for kind, _ in self.cluster.created)

    @property
    def pods_created(self):
        """How many pods each worker had."""
        names = [name for kind, name in self.cluster.created if kind == "Pod"]
        return [sum(f"-{index}-" in name[14:] for name in names) for index in range(2)]

    @property
    def left(self):
        """What is there, once the cluster has come to rest, of what a launcher has made or caused."""
        for _ in range(3):
            self.cluster.tick()
        launchers = ("Pod", "launcher")
        kept = [kind for kind, name in self.cluster.objects if (kind, name[:8]) != launchers and kind != "Event"]
        return sorted(kept)


@pytest.fixture
def world(tmp_path):
    server = Server(Cluster())
    yield World(server, tmp_path)
    server.close()
    assert not server.breaches


@pytest.fixture
def kubeconfig(world, tmp_path):
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "one",
        "clusters": [{"name": "one", "cluster": {"server": world.server.url}}], "users": [{"name": "one", "user": {}}],
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one", "namespace": "hopline"}}],
    }  # fmt: skip
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))

    def go_on(request):  # a launcher of its own process moves the cluster on by looking
        if request.resource == "pods":
            world.cluster.tick()

    world.server.fault = go_on
    return {"KUBECONFIG": str(path)}
