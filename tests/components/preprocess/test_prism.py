"""The preprocess program on a runner that is no part of its process: Prism, with workers in processes of their own.

`make test-prism` builds Prism and names it in `PRISM`.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hopline import artifacts
from hopline.runtime.errors import ExitCode
from hopline.runtime.process import FAILURE_FILE, child_environment, read_failure
from hopline.schema import EXAMPLES
from tests.components.preprocess.cases import case, prepare

pytestmark = [pytest.mark.prism, pytest.mark.timeout(600)]

TEXTS = {
    name: "".join(f"word{(number * step) % 311} of line {number % 7}, {name}\n" for number in range(4000))
    for name, step in (("a", 3), ("b", 5), ("c", 11))
}


@pytest.fixture
def options():
    """The runner's, of Prism itself."""
    location = shutil.which(os.environ.get("PRISM", "prism"))
    assert location, "Prism is not there: make test-prism builds it, and PRISM names it"
    return (f"--prism_location={location}",)


@pytest.fixture
def pool(tmp_path):
    """The port of a pool of workers: it starts a process for each that Prism asks for, as Beam's containers do."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # it starts `python`
    command = [sys.executable, "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={port}"]
    with (tmp_path / "pool.log").open("w") as log:
        program = subprocess.Popen(command, env=child_environment({"PATH": path}), stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while socket.socket().connect_ex(("localhost", port)):
            assert program.poll() is None, (tmp_path / "pool.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield port
    finally:
        os.killpg(program.pid, signal.SIGKILL)
        program.wait()


def outside(port):
    return ("--environment_type=EXTERNAL", f"--environment_config=localhost:{port}")


def command(folder, **options):
    arguments = prepare(folder, case(TEXTS, context=16, shard_bytes=2000, **options))
    return [sys.executable, "-m", "components.preprocess", *arguments]


def run(command):
    subprocess.run(command, env=child_environment(), check=True)


def workers():
    """The processes that the pool has started."""
    found = subprocess.run(["pgrep", "-f", "import SdkHarness"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.fixture(scope="module")
def in_process(tmp_path_factory):
    """What the default runner makes."""
    folder = tmp_path_factory.mktemp("in-process")
    run(command(folder))
    return artifacts.verify(folder / "examples", EXAMPLES)


def test_threads_of_the_driver_make_the_same_examples(tmp_path, options, in_process):
    run(command(tmp_path, runner="PrismRunner", runner_options=options))
    made = artifacts.verify(tmp_path / "examples", EXAMPLES)
    assert len([name for name in made.files if name.endswith(".tfrecord")]) > 100
    assert (made.files, made.id) == (in_process.files, in_process.id)


def test_processes_make_the_same_examples_also_when_one_is_killed_in_the_middle(tmp_path, options, pool, in_process):
    arguments = command(tmp_path, runner="PrismRunner", runner_options=(*options, *outside(pool)))
    program = subprocess.Popen(arguments, env=child_environment())
    while len(list(tmp_path.glob("work/preprocess/*/scratch/ranges/0*"))) < 5:
        assert program.poll() is None
        time.sleep(0.01)
    for worker in workers():
        os.kill(worker, signal.SIGKILL)
    assert program.wait(120) == ExitCode.INTERNAL
    failure = read_failure(tmp_path / "work" / FAILURE_FILE)
    assert failure.message.startswith("PrismRunner ended the work: ")
    assert "the ranges that are encoded are kept" in failure.remedy
    assert not (tmp_path / "examples").exists()

    run(arguments)
    made = artifacts.verify(tmp_path / "examples", EXAMPLES)
    assert (made.files, made.id) == (in_process.files, in_process.id)
