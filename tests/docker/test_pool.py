"""The preprocess image as workers of a Beam runner: a pool of them in one container, the program in another."""

import subprocess
import time
import uuid

import pytest

from components import images
from hopline import artifacts
from hopline.schema import EXAMPLES
from tests.components.preprocess.cases import case, prepare
from tests.docker.conftest import HARDENED, LABEL, docker, mounted, owner_of

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.usefixtures("images")]

TEXTS = {name: "".join(f"word{number % 311} of line {number % 7}, {name}\n" for number in range(900)) for name in "abc"}
PORT = 50000
WAIT_SECONDS = 120


@pytest.fixture
def pool(tmp_path):
    """A container that starts a process for each worker that a runner asks for, at `PORT` of a network of its own."""
    name = f"hopline-test-{uuid.uuid4().hex[:12]}"
    docker(
        "run", "--detach", "--name", name, "--label", LABEL, *HARDENED, "--network", "none",
        "--hostname", "localhost",  # the workers are told the name of the program's machine, and must find it
        *mounted(tmp_path, writable=True), *owner_of(tmp_path), "--entrypoint", "python3", images.PREPROCESS,
        "-m", "apache_beam.runners.worker.worker_pool_main", f"--service_port={PORT}",
    )  # fmt: skip
    answers = f"import socket; socket.create_connection(('localhost', {PORT}), 1)"
    deadline = time.monotonic() + WAIT_SECONDS
    command = ["docker", "exec", name, "python3", "-c", answers]
    while subprocess.run(command, check=False, capture_output=True).returncode:
        assert time.monotonic() < deadline, said(name)
        time.sleep(0.2)
    yield name
    docker("rm", "--force", name)


def said(pool):
    done = subprocess.run(["docker", "logs", pool], check=True, capture_output=True, text=True)
    return done.stdout + done.stderr


def made(folder, network, **preprocess):
    """What the program makes of the texts in a container; its manifest."""
    folder.mkdir()
    arguments = prepare(folder, case(TEXTS, context=16, shard_bytes=2000, **preprocess))
    options = ["--label", LABEL, *HARDENED, "--network", network, *mounted(folder, writable=True), *owner_of(folder)]
    docker("run", "--rm", *options, images.PREPROCESS, "preprocess", *arguments)
    return artifacts.verify(folder / "examples", EXAMPLES)


def test_workers_in_a_container_of_their_own_make_the_same_examples(tmp_path, pool):
    options = ("--job_endpoint=embed", "--environment_type=EXTERNAL", f"--environment_config=localhost:{PORT}")
    outside = made(tmp_path / "outside", f"container:{pool}", runner="PortableRunner", runner_options=options)
    inside = made(tmp_path / "inside", "none")
    assert said(pool).count("Starting worker with command") == 2  # for counting, and for encoding
    assert (outside.files, outside.id) == (inside.files, inside.id)
    assert len(outside.files) > 30
