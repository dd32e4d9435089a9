"""`make kind-up`, `kind-run` and `kind-down`, with fakes of all programs that they call."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from components.steps import IMAGES

ROOT = Path(__file__).parents[2]
SECRET = ROOT / "k8s" / "kind" / "object-store-secret.gotemplate"
PROGRAMS = ("kind", "kubectl", "docker", "make", "hopline")
READY = r"ml-pipeline   1   1\nml-pipeline-ui   1   1\nseaweedfs   1   1"
FAKE = Path(__file__).with_name("fake.sh")
TAG = "0123456789ab"
STORE = "the encoded credentials"


class World:
    """A checkout of its own, whose programs are fakes."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        self.checkout = folder / "checkout"
        shutil.copytree(ROOT / "k8s", self.checkout / "k8s")
        (folder / "bin").mkdir()
        for name in PROGRAMS:
            (folder / "bin" / name).symlink_to(FAKE)
        self.rules = [f"get secret mlpipeline-minio-artifact|0|{STORE}|", f"get deployments|0|{READY}|"]

    def start(self, command):
        (self.folder / "calls").write_text("")
        (self.folder / "rules").write_text("".join(f"{rule}\n" for rule in self.rules))
        environment = {
            **os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOPLINE_FAKES": str(self.folder),
            "TAG": TAG, "PORT": str(self.port), "WAIT_SECONDS": "2", "PAUSE_SECONDS": "0.3", "HOME": str(self.folder),
            "COLUMNS": "20",  # to which ps would cut what it prints
        }  # fmt: skip
        script = self.checkout / "k8s" / "kind" / "kind.sh"
        output = (self.folder / "said").open("w")
        process = subprocess.Popen(
            ["bash", script, command], env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        output.close()
        return process

    def run(self, command):
        """Runs the script and returns its exit code."""
        return self.start(command).wait(timeout=60)

    @property
    def said(self):
        return (self.folder / "said").read_text()

    @property
    def records(self):
        """Of each call: words, KUBECONFIG, what it was given to read."""
        return [line.split("|") for line in (self.folder / "calls").read_text().splitlines()]

    @property
    def calls(self):
        return [call for call, *_ in self.records]

    def called(self, words):
        return [call for call in self.calls if words in call]

    def forwarding(self):
        """The process that forwards the port; None if there is none."""
        try:
            pid = int((self.checkout / "build" / "kind" / "port-forward.pid").read_text())
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid


@pytest.fixture
def world(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = World(tmp_path, port)
    yield world
    if pid := world.forwarding():
        os.kill(pid, signal.SIGKILL)


def in_order(calls, *expected):
    """Whether `calls` has calls with all `expected` words, in that order."""
    rest = iter(calls)
    return all(any(words in call for call in rest) for words in expected)


def test_up_makes_all_in_its_order_and_leaves_the_way_open(world):
    assert world.run("up") == 0, world.said
    assert in_order(
        world.calls,
        "hopline doctor kind",
        "make --no-print-directory images",
        "kind create cluster --config k8s/kind/cluster.yaml",
        "kubectl wait --for=condition=Ready node",
        "cluster-scoped-resources?ref=2.17.0",
        "kubectl wait --for=condition=Established",
        "env/platform-agnostic?ref=2.17.0",
        "kubectl apply -k k8s/overlays/kind",
        "kubectl apply -k k8s/overlays/kubeflow",
        "kind load docker-image --name hopline",
        "get secret mlpipeline-minio-artifact",
        "get deployments",
        "port-forward service/ml-pipeline-ui",
        "hopline doctor cluster",
    )
    (loaded,) = world.called("kind load")
    built = {image.partition(":")[0] for image in IMAGES.values()}
    assert set(loaded.split()[5:]) == {f"{name}:{TAG}" for name in built}
    assert world.forwarding()


def test_the_users_own_kubeconfig_is_never_used(world):
    assert world.run("up") == 0
    own = str(world.checkout / "build" / "kind" / "kubeconfig")
    assert {kubeconfig for _, kubeconfig, _ in world.records} == {own}
    assert all(f"--kubeconfig {own}" in call for call in world.calls if call.startswith(("kind create", "kind delete")))


def test_credentials_go_from_program_to_program_and_are_shown_nowhere(world):
    assert world.run("up") == 0
    applied = [call.split()[2] for call, _, read in world.records if STORE in read]
    assert applied == ["kubeflow", "hopline"]
    assert not world.called(STORE)
    assert STORE not in world.said


def test_up_again_continues_with_what_is_there(world):
    assert world.run("up") == 0
    pid = world.forwarding()
    assert world.run("up") == 0
    assert not world.called("kind create")
    assert world.called("kind export kubeconfig --name hopline")
    assert world.called("kind load")
    assert world.forwarding() == pid


STEPS = [
    "hopline doctor kind", "make images", "kind create", "wait Ready node", "apply cluster-scoped-resources",
    "wait Established", "apply env/platform-agnostic", "apply overlays/kind", "apply overlays/kubeflow", "kind load",
    "get secret", "apply --filename", "get deployments", "port-forward", "hopline doctor cluster",
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS)
def test_whatever_fails_ends_it_there_and_the_same_command_continues(world, step):
    good = world.rules
    world.rules = [f"{step}|1||", *good]
    assert world.run("up") != 0
    assert not world.called("kind load") or STEPS.index(step) >= STEPS.index("kind load")
    assert "next: make kind-run" not in world.said
    world.rules = good
    assert world.run("up") == 0, world.said
    assert world.forwarding()


def test_a_cluster_whose_creation_failed_is_removed(world):
    world.rules = ["kind create|1||"]
    assert world.run("up") != 0
    assert world.called("kind delete cluster --name hopline")


def test_ctrl_c_while_the_cluster_is_made_removes_what_was_made(world):
    world.rules = ["kind create|0||sleep", *world.rules]
    process = world.start("up")
    while not world.called("kind create"):
        assert process.poll() is None, world.said
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) != 0
    assert world.called("delete cluster --name hopline")


def test_up_gives_up_waiting_with_the_names_of_what_it_waits_for(world):
    world.rules = [r"get deployments|0|ml-pipeline   1   <none>\nmysql   1   1|", *world.rules]
    assert world.run("up") == 2
    assert "these are not ready: ml-pipeline\n" in world.said
    assert "still waiting for: ml-pipeline\n" in world.said
    assert world.called("get pods")


def test_a_port_that_something_else_holds_is_named(world):
    with socket.create_server(("127.0.0.1", world.port)):
        assert world.run("up") == 2
    assert f"something else answers at port {world.port}" in world.said


def test_run_needs_a_cluster(world):
    assert world.run("run") == 2
    assert "make kind-up" in world.said


def test_run_submits_and_ends_as_the_run_does(world):
    assert world.run("up") == 0
    os.kill(world.forwarding(), signal.SIGKILL)  # as when its pod was replaced
    world.rules = ["hopline submit|3||", *world.rules]
    assert world.run("run") == 3
    host = f"--host http://localhost:{world.port}"
    (submitted,) = world.called("hopline submit")
    assert "--config configs/kind.toml" in submitted
    assert host in submitted
    assert "--wait" in submitted
    assert f'cluster.tag="{TAG}"' in submitted
    assert world.forwarding()


def test_down_leaves_nothing_however_often(world):
    assert world.run("up") == 0
    for _ in range(2):
        assert world.run("down") == 0
        assert world.called("kind delete cluster --name hopline")
        assert not (world.checkout / "build" / "kind").exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", world.port))


def test_an_unknown_command_is_refused(world):
    assert world.run("sideways") == 2
    assert not world.calls


def test_the_secrets_template_names_the_variables_that_clients_read():
    text = (
        SECRET.read_text()
        .partition("-}}\n")[2]
        .replace("{{ .data.accesskey }}", "a")
        .replace("{{ .data.secretkey }}", "b")
    )
    secret = yaml.safe_load(text)
    assert secret["data"].keys() == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert secret["stringData"].keys() == {"AWS_ENDPOINT_URL_S3", "AWS_REGION"}


def test_the_version_of_kubeflow_is_that_of_its_client():
    script = (ROOT / "k8s" / "kind" / "kind.sh").read_text()
    (version,) = [line.rpartition("=")[2] for line in script.splitlines() if line.startswith("readonly KFP=")]
    assert f'"kfp=={version}"' in (ROOT / "pyproject.toml").read_text()
