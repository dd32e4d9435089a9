"""The program as a pod starts it; and what TensorFlow makes of the folder."""

import json
import signal
import subprocess
import sys

import pytest

from components.train.report.export import export
from hopline import artifacts, schema
from hopline.model.network import MemoryNetwork
from hopline.registry.registry import Registry
from hopline.runtime.errors import ExitCode
from hopline.runtime.process import child_environment, read_failure
from tests.registries import promote
from tests.support import synthetic_documents, write_examples

QUERY = """
import json, sys, tensorflow as tf
from pathlib import Path
newest = max((path for path in Path(sys.argv[1]).iterdir() if path.name.isdecimal()), key=lambda path: int(path.name))
loaded = tf.saved_model.load(str(newest))
answer = loaded.signatures["serving_default"](text=tf.constant(json.loads(sys.argv[2])))
print(json.dumps({"version": int(newest.name), "nll": answer["nll"].numpy().tolist()}))
assert not [name for name in sys.modules if name.startswith(("hopline", "components"))]
"""


@pytest.fixture
def start(pod):
    """Starts the program for a registry; what is left of it is killed."""
    started = []

    def start(registry):
        command = [
            sys.executable, "-m", "components", "follow", "--registry", str(registry), "--models", str(pod.models),
            "--server", pod.serving.url, "--work-dir", str(pod.work), "--period", "0.05",
        ]  # fmt: skip
        started.append(subprocess.Popen(command, env=child_environment(), stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_it_waits_for_the_first_champion_follows_and_ends_when_told_to(start, pod, local_registry, model):
    process = start(local_registry.path)
    assert "no champion" in process.stderr.readline()
    for name in ("a", "b"):
        version = promote(local_registry, model(name)).version
        pod.until(lambda version=version: pod.serving.ready.keys() == {version})
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == ExitCode.PREEMPTED


def test_a_registry_that_cannot_be_read_ends_it_only_while_there_is_nothing_to_serve(start, pod, local_registry, model):
    promote(local_registry, model("a"))
    pod.follow(local_registry)
    pointer = local_registry.path / "champion.json"
    sound = pointer.read_bytes()
    pointer.write_text("torn")
    process = start(local_registry.path)
    assert "what is served stays" in process.stderr.readline()
    pointer.write_bytes(sound)
    promote(local_registry, model("b"))
    pod.until(lambda: pod.serving.ready.keys() == {2})
    process.kill()
    for version in pod.models.iterdir():
        version.rename(pod.models / ".gone")
    pointer.write_text("torn")
    assert start(local_registry.path).wait(timeout=30) == ExitCode.USER
    assert "champion.json" in read_failure(pod.work / "failure.json").message


def real_model(folder, examples, width):
    """An untrained model's export: nothing else of it is served."""
    manifest = artifacts.read_manifest(examples, schema.EXAMPLES)
    network = MemoryNetwork(vocabulary_size=manifest.facts["vocabulary_size"], width=width, hops=1, memory=5)
    network.build((None, 12))
    folder.mkdir()
    export(network, examples / schema.TRANSFORM_FOLDER, 16, folder)
    return artifacts.seal(folder, "model", parents={}, config={}, facts={"fingerprint": "synthetic"})


@pytest.mark.slow
def test_tensorflow_alone_answers_from_the_folder_before_and_after_a_rollback(pod, tmp_path):
    (tmp_path / "examples").mkdir()
    text = synthetic_documents(1, 2, 60)
    write_examples(tmp_path / "examples", {"train": text})
    registry = Registry(tmp_path / "registry")

    class Trusting:
        def obstacle(self, version):
            return ""

        def unlabelled(self, version, label):
            return ""

    answers = []
    for number in (1, 2, 3):
        if number < 3:
            real_model(tmp_path / f"model-{number}", tmp_path / "examples", width=4 * number)
            promote(registry, tmp_path / f"model-{number}")
        else:
            registry.rollback()
        pod.follower(registry, Trusting()).turn()
        command = [sys.executable, "-c", QUERY, str(pod.models), json.dumps(text)]
        answers.append(json.loads(subprocess.check_output(command, cwd=tmp_path)))
    assert [answer["version"] for answer in answers] == [1, 2, 1]
    assert answers[0] == answers[2]
    assert answers[0]["nll"] != answers[1]["nll"]
    assert len(answers[0]["nll"]) == sum(len(document.split()) + document.count("\n") for document in text)
