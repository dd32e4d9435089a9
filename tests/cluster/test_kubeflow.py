"""Submitting to a real Kubeflow Pipelines server.

HOPLINE_KFP_HOST names it; HOPLINE_TEST_CLUSTER holds what its pods need as TOML, the section [cluster] and, for a quick
run, others: the registry's place (a folder of its own is made below it), the images' tag, a Secret or a claim.
"""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from hopline.runtime.process import child_environment
from pipelines.kubeflow.client import Client
from pipelines.kubeflow.connection import Connection, Server

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="session")
def client():
    assert os.environ.get("HOPLINE_KFP_HOST"), "set HOPLINE_KFP_HOST to the server to test on"
    return Client(Connection(Server(host=os.environ["HOPLINE_KFP_HOST"])))


@pytest.fixture
def start(client, tmp_path):
    """Starts `hopline` with the options that its place asks for; ends the runs that a test has left."""
    config = os.environ.get("HOPLINE_TEST_CLUSTER")
    assert config, "set HOPLINE_TEST_CLUSTER to a configuration with a section [cluster]"
    name = f"test {uuid.uuid4().hex[:8]}"
    started = []

    def begin(command, *options):
        arguments = [sys.executable, "-m", "pipelines.cli", command]
        if command == "submit":
            arguments += ["--config", str(Path(config).absolute()), "--name", name, "--experiment", "hopline-tests"]
        environment = child_environment({"COLUMNS": "200"})
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([*arguments, *options], env=environment, cwd=tmp_path, **pipes))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()
    experiment = client.find_experiment("hopline-tests")
    for run in client.runs(experiment) if experiment else []:
        if run.name == name and not run.ended:
            client.terminate(run.id)


def run_of(process):
    """The run that the process says it has started."""
    for line in process.stdout:
        if found := re.match(r"run (\S+) of version", line):
            return found[1]
    raise AssertionError(process.stderr.read())


def until(holds, seconds=300):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(2)
    return found


def test_a_submitted_run_is_followed_to_its_decision_and_its_like_finds_it_in_the_cache(start):
    process = start("submit", "--wait")
    run_of(process)
    out, err = process.communicate(timeout=1500)
    assert process.returncode == 0, out + err
    assert re.search(r"^challenger: +perplexity \d+\.\d\d on ", out, re.MULTILINE)
    assert re.search(r"^decision: ", out, re.MULTILINE)
    again = start("submit", "--wait")
    run_of(again)
    out, err = again.communicate(timeout=1500)
    assert again.returncode == 0, out + err
    assert "train: found in cache" in out


def test_a_step_that_fails_ends_submit_with_its_own_code_and_words(start):
    process = start("submit", "--wait", "--set", "preprocess.max_words=10", "--set", "preprocess.max_unknown_rate=0.01")
    out, err = process.communicate(timeout=600)
    assert process.returncode == 2, out + err
    assert "preprocess.max_unknown_rate" in err


def test_ctrl_c_leaves_the_run_which_can_then_be_terminated_while_somebody_follows(start, client):
    process = start("submit", "--wait")
    run = run_of(process)
    until(lambda: client.run(run).state == "RUNNING")
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"hopline runs terminate {run}" in out
    assert not client.run(run).ended
    follower = start("runs", "show", run, "--wait")
    until(lambda: any(task.name == "resolve" for task in client.run(run).tasks))
    client.terminate(run)
    _, err = follower.communicate(timeout=300)
    assert follower.returncode == 143
    assert "was terminated" in err
    assert client.run(run).ended


def test_the_same_pipeline_is_one_version(start, client):
    first, second = start("submit"), start("submit")
    runs = [client.run(run_of(process)) for process in (first, second)]
    assert runs[0].version == runs[1].version
    assert runs[0].id != runs[1].id
