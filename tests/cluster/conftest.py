"""A real cluster: `make test-cluster` with KUBECONFIG, on a cluster of one node that has the image.

HOPLINE_TEST_IMAGE names another image than the release's.  HOPLINE_TEST_HOST is the address of this machine as pods
reach it, for the object store that the tests start here; by default the one from which this machine reaches the node,
which is right where the node runs on it, as with kind on Linux.
"""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from components import images
from components.train.state.stored import StoredTraining
from hopline.runtime.process import child_environment
from hopline.store import trees
from tests.components.train.conftest import MODEL, TRAIN
from tests.servers import AmazonServer
from tests.support import synthetic_documents, write_examples

OVERLAY = Path(__file__).resolve().parents[2] / "k8s" / "overlays" / "kind"
WINDOW = "hopline-test"  # the pod through which tests see the volume, and the Secret of the object store
IMAGE = os.environ.get("HOPLINE_TEST_IMAGE", images.TRAIN)
STEPS = 120
LONG = 4000  # steps at most: it is not over before something has happened to the run
# As Kubeflow passes it on: so that two workers fit on a node of two cores that has other pods.
SMALL = json.dumps({"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "100m"}}})
WAIT_SECONDS = 120
DIGEST = """
import hashlib, sys
from pathlib import Path
from components.train.state import checkpoint
newest = checkpoint.load_newest(Path(sys.argv[1]) / checkpoint.FOLDER)
arrays = b"".join(array.tobytes() for _, array in sorted(newest.best.items()))
print(newest.state.step, hashlib.sha256(arrays).hexdigest())
"""
LOSSES = """
import json, sys
from pathlib import Path
from components.train.state import checkpoint
records = map(json.loads, (Path(sys.argv[1]) / checkpoint.LOG_FILE).open())
print(json.dumps([(record["step"], record["loss"]) for record in records if "loss" in record]))
"""


class Cluster:
    """The cluster, with a volume that holds examples."""

    def __init__(self, kubeconfig, examples, folder):
        self.environment = child_environment({"KUBECONFIG": str(kubeconfig)})
        self.examples, self.folder = examples, folder
        self.launchers = []

    def kubectl(self, *arguments, **options):
        command = ["kubectl", *arguments]
        return subprocess.run(command, check=True, env=self.environment, stdout=subprocess.PIPE, **options).stdout

    def launch(self, training, steps=STEPS, examples=None, pod=None, **job):
        """A launcher of two workers, as a person starts it; they meet on the volume unless `job` says else.

        With `pod`, (name, uid), it is as that pod's: the Job ends with the pods of all its launchers.
        """
        config = {**TRAIN, "workers": 2, "epochs": 1000, "max_steps": steps, "checkpoint_seconds": 2.0}
        command = [
            sys.executable, "-m", "components.train.launch", "--launcher", "kubernetes",
            "--job", json.dumps({"image": IMAGE, "cpus": 1, "memory": "2Gi", **(job or {"claim": "hopline"})}),
            "--task-config", SMALL, "--examples", examples or self.examples, "--training-dir", training,
            "--model-config", json.dumps(MODEL), "--train-config", json.dumps(config),
            "--work-dir", str(self.folder / Path(training).name),
        ]  # fmt: skip
        own = dict(zip(("POD_NAME", "POD_UID"), pod or (), strict=False))
        environment = {**self.environment, **own}
        self.launchers.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
        return self.launchers[-1]

    def pod(self, name):
        """Makes a pod that sleeps, like that of a step that launches; its name and uid."""
        manifest = window()
        manifest["metadata"]["name"] = name
        self.kubectl("apply", "--filename", "-", input=json.dumps(manifest).encode())
        return name, self.kubectl("get", "pod", name, "--output", "jsonpath={.metadata.uid}").decode()

    def owners(self):
        """How many owners each training Job has."""
        selector = "app.kubernetes.io/managed-by=hopline-launcher"
        found = self.kubectl("get", "jobs", "--selector", selector, "--output", "json")
        return [len(job["metadata"].get("ownerReferences", [])) for job in json.loads(found)["items"]]

    def sweep(self):
        """Ends what a failed test has left: its launcher, then the Jobs."""
        for process in self.launchers:
            process.kill()
            process.wait()
        self.kubectl("delete", "jobs", "--selector", "app.kubernetes.io/managed-by=hopline-launcher")

    def weights(self, training):
        """The newest checkpoint's step, and a digest of its best weights."""
        return self.kubectl("exec", WINDOW, "--", "python3", "-c", DIGEST, training).decode().split()

    def losses(self, training):
        """The step and the loss of each entry of the training's log."""
        return json.loads(self.kubectl("exec", WINDOW, "--", "python3", "-c", LOSSES, training))

    def run(self, program, *arguments):
        """Runs Python code in the pod that sees the volume."""
        self.kubectl("exec", WINDOW, "--", "python3", "-c", program, *arguments)

    def pods(self):
        """The names of the workers' pods."""
        selector = "app.kubernetes.io/component=training"
        return self.kubectl("get", "pods", "--selector", selector, "--output", "name").decode().split()

    def reaches(self, host):
        """Whether a pod that is not of the Job gets through to the worker's TensorFlow server."""
        connect = "import socket, sys; socket.create_connection((sys.argv[1], 2222), timeout=5)"
        command = ["kubectl", "exec", WINDOW, "--", "python3", "-c", connect, host]
        return subprocess.run(command, check=False, env=self.environment, capture_output=True).returncode == 0

    def left(self):
        """What is left of a launcher's objects when the cluster has had time to remove them."""
        selector = "app.kubernetes.io/managed-by=hopline-launcher"
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            kinds = "jobs,services,networkpolicies,pods"
            found = self.kubectl("get", kinds, "--selector", selector, "--output", "name").decode().split()
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(1)


def until(process, word):
    """Reads what the launcher says, up to the first line with `word`, which it returns."""
    while word not in (line := process.stderr.readline()):
        assert line, f"the launcher ended without {word!r}"
    return line


def ended(process):
    """Waits for the launcher to end well."""
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said


def window():
    """A pod that sleeps, with the volume, and nothing that the namespace forbids."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "window", "image": IMAGE, "command": ["sleep", "infinity"], "securityContext": context,
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }  # fmt: skip
    spec = {
        "containers": [container], "automountServiceAccountToken": False, "terminationGracePeriodSeconds": 0,
        "securityContext": {"runAsNonRoot": True, "fsGroup": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "hopline"}}],
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": WINDOW}, "spec": spec}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    assert os.environ.get("KUBECONFIG"), "set KUBECONFIG to the cluster to test on"
    assert shutil.which("kubectl"), "install kubectl"
    folder = tmp_path_factory.mktemp("cluster")
    kubeconfig = folder / "kubeconfig"
    shown = subprocess.check_output(["kubectl", "config", "view", "--minify", "--flatten", "--raw"])
    kubeconfig.touch(mode=0o600)
    kubeconfig.write_bytes(shown)
    write_examples(
        folder / "examples", {"train": synthetic_documents(1, 12, 250), "valid": synthetic_documents(2, 3, 150)}
    )
    place = f"/data/{folder.parent.name}-{os.getpid()}"
    found = Cluster(kubeconfig, f"{place}/examples", folder)
    found.kubectl("config", "set-context", "--current", "--namespace=hopline")
    found.kubectl("apply", "--kustomize", str(OVERLAY))
    found.sweep()
    found.kubectl("apply", "--filename", "-", input=json.dumps(window()).encode())
    found.kubectl("wait", "--for=condition=Ready", "--timeout=300s", f"pod/{WINDOW}")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder / "examples", arcname=".")
    unpack = "import sys, tarfile; tarfile.open(fileobj=sys.stdin.buffer, mode='r|').extractall(sys.argv[1])"
    command = ["exec", "--stdin", WINDOW, "--", "python3", "-c", unpack, found.examples]
    found.kubectl(*command, input=packed.getvalue())
    yield found
    found.sweep()
    found.run("import shutil, sys; shutil.rmtree(sys.argv[1])", place)
    found.kubectl("delete", "pod", WINDOW)


@pytest.fixture(scope="session")
def undisturbed(cluster):
    """The folder of a run of two workers that nobody disturbs."""
    training = cluster.examples.replace("examples", "undisturbed")
    process = cluster.launch(training)
    _, said = process.communicate(timeout=900)
    assert process.returncode == 0, said
    return training


@pytest.fixture
def store(cluster, tmp_path, monkeypatch):
    """The URI of a bucket with the examples, for which the Secret WINDOW has the credentials."""
    nodes = json.loads(cluster.kubectl("get", "nodes", "--output", "json"))["items"]
    addresses = {address["type"]: address["address"] for address in nodes[0]["status"]["addresses"]}
    server = AmazonServer(tmp_path / "server", os.environ.get("HOPLINE_TEST_HOST") or _own_address(addresses))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
        cluster.environment[name] = value  # of the launcher
    server.start()
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": WINDOW}, "stringData": server.environment}
    cluster.kubectl("apply", "--filename", "-", input=json.dumps(secret).encode())
    uri = server.bucket("bucket")
    trees.send_tree(cluster.folder / "examples", f"{uri}/examples", "test")
    yield uri
    cluster.kubectl("delete", "secret", WINDOW)
    server.close()


def _own_address(addresses):
    """This machine's address on the way to the node; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((addresses["InternalIP"], 9))
        return probe.getsockname()[0]


def stored_weights(uri, folder):
    """What `Cluster.weights` tells of a training folder, of one in an object store."""
    stored = StoredTraining(uri, folder)
    stored.fetch_newest()
    command = [sys.executable, "-c", DIGEST, str(folder)]
    return subprocess.check_output(command, text=True, env=child_environment()).split()
