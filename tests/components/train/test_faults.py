"""Real workers killed, stopped and left without disk: nothing is lost."""

import random
import resource
import signal
import subprocess
import time

import psutil
import pytest

from tests.components.train import faulty
from tests.components.train.conftest import Run, command, run_training

KILLS = 2
TWO = {"workers": 2, "max_steps": 20}


class Disturbed:
    """A training process with what it says in a file."""

    def __init__(self, examples, folder, **train):
        self.folder = folder
        self._said = (folder / "said").open("w+")
        self.process = subprocess.Popen(command(examples, folder, **train), stdout=self._said, stderr=self._said)

    def wait_for_a_checkpoint(self, after=None):
        """Until there is one that is not `after`; the newest's name."""

        def newer():
            return next((path.name for path in faulty.checkpoints(self.folder)[-1:] if path.name != after), None)

        found = faulty.wait_until(newer, self.process)
        assert found, "the run ended before"
        return found

    def end(self):
        code = self.process.wait(timeout=180)
        self._said.seek(0)
        return Run(code, self.folder / "model", self.folder / "work", self._said.read())


@pytest.fixture
def start(examples, tmp_path):
    started = []

    def begin(**train):
        started.append(Disturbed(examples, tmp_path, **train))
        return started[-1]

    yield begin
    for run in started:
        run.process.kill()
        run.process.wait()


@pytest.fixture(scope="module")
def two(examples, tmp_path_factory):
    """An undisturbed run with two workers."""
    run = run_training(examples, tmp_path_factory.mktemp("two"), **TWO)
    assert run.code == 0, run.said
    return run


@pytest.mark.slow
@pytest.mark.multiprocess
def test_whichever_worker_is_killed_and_whenever_the_weights_are_the_same_in_the_end(two, start):
    source = random.Random(7)
    run = start(**TWO)
    seen = None
    for kill in range(KILLS):
        seen = run.wait_for_a_checkpoint(after=seen)
        if kill == 1:
            # The chief in the middle of its write, which is its own and no killed one's remains.
            left = faulty.saving(run.folder)
            assert faulty.wait_until(lambda left=left: faulty.saving(run.folder) - left, run.process)
            number = 0
        else:
            time.sleep(source.uniform(0, 0.5))
            number = source.randrange(2)
        # The checkpoint may be one from before the last kill: then the workers are only starting.
        victim = faulty.wait_until(lambda number=number: faulty.worker(run.process, number), run.process)
        assert victim
        assert faulty.send(victim)
        victim.wait()
    ended = run.end()
    assert ended.code == 0, ended.said
    assert ended.said.count("was ended by signal SIGKILL; continuing from step") == KILLS
    assert faulty.same_weights(ended.output, two.output)
    assert ended.losses == two.losses


@pytest.mark.slow
@pytest.mark.multiprocess
def test_a_frozen_worker_is_replaced_and_nothing_is_lost(two, start):
    run = start(**TWO)
    run.wait_for_a_checkpoint()
    frozen, survivor = faulty.worker(run.process, 0), faulty.worker(run.process, 1)
    frozen.send_signal(signal.SIGSTOP)
    survivor.wait(timeout=30)
    ended = run.end()
    assert ended.code == 0, ended.said
    assert "worker 0 is stopped" in ended.said
    assert faulty.same_weights(ended.output, two.output)


@pytest.mark.multiprocess
def test_without_disk_space_training_stops_and_names_the_step_that_is_safe(start):
    run = start(epochs=10_000)
    run.wait_for_a_checkpoint()
    chief = faulty.worker(run.process, 0)
    chief.rlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    ended = run.end()
    safe = int(faulty.checkpoints(run.folder)[-1].name.removeprefix("step-"))
    assert ended.code == ended.failure["code"] == 1
    assert "cannot be written: File too large" in ended.failure["message"]
    assert f"step {safe:,} is safe" in ended.failure["message"]
    assert str(run.folder) in ended.failure["message"]
    assert ended.said.count("starting  0/1 workers") == 1, "it is not tried again"


@pytest.mark.multiprocess
def test_workers_that_wait_for_their_peers_go_with_their_launcher(start):
    run = start(workers=2)
    waiting = faulty.wait_until(lambda: faulty.worker(run.process, 0), run.process)
    other = faulty.wait_until(lambda: faulty.worker(run.process, 1), run.process)
    other.send_signal(signal.SIGSTOP)
    # Its coordination service listens: from here on it waits, in C++, for the other.
    assert faulty.wait_until(lambda: waiting.net_connections(kind="tcp"), run.process)
    run.process.kill()
    other.send_signal(signal.SIGCONT)
    _, alive = psutil.wait_procs([waiting, other], timeout=10)
    assert not alive
