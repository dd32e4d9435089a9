"""The launcher's policy, with workers that are small scripts."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from components.train.launch import stages
from components.train.launch.group import GRACE_SECONDS
from components.train.launch.local import run_workers
from components.train.state import checkpoint
from components.train.state.checkpoint import Checkpoint, TrainState
from hopline.runtime.errors import DivergedError, InternalError, PreemptedError, SaveError, UserError
from hopline.runtime.process import child_environment
from hopline.store import resizing

# A worker's body sees its index, its folder and the group's; `fail` leaves word as a real one does.
FRAME = """
import json, os, signal, sys, time
from pathlib import Path
from hopline.runtime import errors
from hopline.runtime.process import FAILURE_FILE, write_failure
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
own, group = Path(options["--work-dir"]), Path(options["--training-dir"])
index = int(own.name.removeprefix("worker-"))
def fail(name, message):
    error = getattr(errors, name)(message)
    write_failure(own / FAILURE_FILE, "train", error)
    os._exit(error.code)
def until(what):
    while not what(): time.sleep(0.01)
"""


class World:
    """A training folder, and what the launcher did in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.pauses: list[float] = []

    def run(self, body: str, *, workers=2, restarts=3, between=lambda: None, **settings):
        def pause(seconds):
            self.pauses.append(seconds)
            between()

        program = [sys.executable, "-c", FRAME + body]
        run_workers([], workers, self.folder, restarts, program=program, pause=pause, **settings)

    def save(self, step):
        arrays = {"model.000": np.zeros(3)}
        checkpoint.save(self.folder / checkpoint.FOLDER, Checkpoint(TrainState(0.5, step=step), arrays, arrays))

    def failure(self, body: str, error, **settings):
        with pytest.raises(error) as caught:
            self.run(body, **settings)
        return caught.value


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_workers_that_are_done_are_not_started_again(world):
    world.run("(group / f'{index}-{os.getpid()}').touch()")
    assert sorted(path.name[0] for path in world.folder.glob("?-*")) == ["0", "1"]
    assert not world.pauses


SHOW = "(own / 'environment').write_text(json.dumps(dict(os.environ)))"


def environment_of(world, index):
    return json.loads((world.folder / f"worker-{index}" / "environment").read_text())


@pytest.mark.parametrize("name", ["TF_CONFIG", "HOPLINE_CLUSTER"])
def test_workers_know_no_cluster_but_their_own(world, monkeypatch, name):
    monkeypatch.setenv(name, "of somebody else")
    world.run(SHOW, workers=1)
    assert name not in environment_of(world, 0)
    world.run(SHOW, workers=2)
    own = json.loads(environment_of(world, 1)["TF_CONFIG"])
    assert own["task"] == {"type": "worker", "index": 1}
    assert "HOPLINE_CLUSTER" not in environment_of(world, 1)


def test_workers_of_this_machine_never_meet_by_way_of_a_proxy(world, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:1")
    monkeypatch.setenv("no_proxy", "internal.example")
    world.run(SHOW, workers=2)
    found = environment_of(world, 0)
    for name in ("no_grpc_proxy", "no_proxy", "NO_PROXY"):  # gRPC asks for the first, and else for the second
        assert {"127.0.0.1", "internal.example"} <= set(found[name].split(","))


def test_a_group_that_falls_is_started_again_and_may_end_well(world):
    world.run("(own / 'again').exists() or ((own / 'again').touch(), os.kill(os.getpid(), signal.SIGKILL))", workers=1)
    assert world.pauses == [1.0]


def test_the_pauses_grow_and_without_progress_the_run_is_given_up(world):
    failure = world.failure("fail('InternalError', 'broken')", InternalError, restarts=7, workers=1)
    assert world.pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert "broken" in failure.message
    assert "7 restarts" in failure.message


def test_a_run_that_advances_is_not_given_up(world):
    steps = iter(range(1, 6))  # a newer checkpoint before each of the first five failures after the first

    def advance():
        if (step := next(steps, None)) is not None:
            world.save(step)

    world.failure("fail('InternalError', 'broken')", InternalError, restarts=1, workers=1, between=advance)
    assert world.pauses == [1.0] * 6


@pytest.mark.parametrize("error", [UserError, DivergedError, PreemptedError, SaveError])
def test_what_another_try_cannot_mend_is_not_tried_again(world, error):
    failure = world.failure(f"fail('{error.__name__}', 'the reason')", error)
    assert failure.message == "the reason"
    assert not world.pauses


def test_a_library_that_is_missing_ends_the_training_at_the_first_try(world):
    body = """
from hopline.runtime import program
arguments = program.parser("train", "")
arguments.add_argument("--training-dir"), arguments.add_argument("--threads")
sys.exit(program.run("train", arguments, lambda options: __import__("torch_that_nobody_has")))
"""
    failure = world.failure(body, UserError)
    assert "torch_that_nobody_has" in failure.message
    assert not world.pauses


def started(*joined):
    """The body of workers of which all have started but the last, and these have met the others."""
    return (
        f"if index < 2: (own / 'stage').write_text({stages.MEETING!r})\n"
        f"if index in {joined}: (own / 'stage').write_text({stages.READING!r})\n"
        "time.sleep(600)"
    )


@pytest.mark.parametrize(
    ("workers", "joined", "named"),
    [(3, (), "wait for worker 2, which has not started"), (2, (1,), "worker 0 does not reach the others")],
)
def test_waiting_for_workers_that_never_come_ends_and_names_them(world, monkeypatch, workers, joined, named):
    monkeypatch.setattr(stages, "PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(stages, "MEETING_SECONDS", 10.0)
    failure = world.failure(started(*joined), InternalError, workers=workers, restarts=0)
    assert named in failure.message
    assert "within 10 s" in failure.message


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_that_have_met_and_one_alone_may_train_as_long_as_they_like(world, monkeypatch, workers):
    monkeypatch.setattr(stages, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(stages, "MEETING_SECONDS", 5.0)
    body = f"if 'TF_CONFIG' in os.environ: (own / 'stage').write_text({stages.READING!r})\ntime.sleep(6)"
    world.run(body, workers=workers, restarts=0)


def test_no_restarts_may_be_asked_for(world):
    world.failure("os._exit(1)", InternalError, restarts=0)
    assert not world.pauses


SURVIVOR = "until((group / 'gone').exists); time.sleep({after}); fail('LostPeersError', 'lost')"


@pytest.mark.parametrize("after", [0, 0.3])
def test_the_worker_that_was_killed_is_to_blame_and_not_the_survivors(world, after):
    killed = "((group / 'gone').touch(), time.sleep(0.15), os.kill(os.getpid(), signal.SIGKILL))"
    body = f"if index == 2: {killed}\nelse: {SURVIVOR.format(after=after)}"
    failure = world.failure(body, InternalError, workers=3, restarts=0)
    assert failure.message.startswith("worker 2 was ended by signal SIGKILL")


def test_a_worker_with_a_reason_of_its_own_is_to_blame_even_if_it_ends_last(world):
    body = f"if index == 1: (group / 'gone').touch(); time.sleep(1); fail('UserError', 'wrong')\n{SURVIVOR}"
    assert world.failure(body.format(after=0), UserError).message == "wrong"


def test_a_stopped_worker_is_to_blame_and_is_killed_without_waiting(world):
    body = "if index == 1: (group / 'gone').touch(); os.kill(os.getpid(), signal.SIGSTOP)\n" + SURVIVOR.format(
        after=0.2
    )
    others = set(psutil.Process().children())  # servers of other tests
    began = time.monotonic()
    failure = world.failure(body, InternalError, restarts=0)
    assert failure.message.startswith("worker 1 is stopped")
    assert time.monotonic() - began < GRACE_SECONDS / 2
    assert set(psutil.Process().children()) == others


def test_if_all_lost_their_peers_one_of_them_tells(world):
    failure = world.failure("fail('LostPeersError', f'{index} lost its peers')", InternalError, restarts=0)
    assert "lost its peers" in failure.message


def test_what_killed_saves_left_is_gone_before_the_workers_start(world):
    world.save(3)
    (world.folder / checkpoint.FOLDER / ".step-000000004.abc.partial").mkdir()
    world.run("assert not list(group.glob('*/.step*')); assert list(group.glob('*/step*'))")


LAUNCHER = """
import sys
from pathlib import Path
from components.train.launch.local import run_workers
from hopline.runtime import program
def main(options):
    program.terminate_as_interrupt()
    run_workers([], 2, options.work_dir, 3, program=[sys.executable, "-c", options.body])
parser = program.parser("train", "")
parser.add_argument("--body")
sys.exit(program.run("train", parser, main))
"""


@pytest.fixture
def launched(tmp_path):
    """Starts a launcher of scripts as a process of its own."""
    processes = []

    def start(body):
        command = [sys.executable, "-c", LAUNCHER, "--work-dir", str(tmp_path), "--body", FRAME + body]
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=child_environment()))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_told_to_stop_in_the_pause_before_a_restart_it_leaves_at_once(launched, number, code):
    process = launched("os._exit(1)")
    while "without progress" not in process.stderr.readline():
        assert process.poll() is None
    told = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert time.monotonic() - told < GRACE_SECONDS / 2


DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN); (own / 'ready').touch(); time.sleep(600)"


def wait_for_workers(tmp_path, process):
    while len(list(tmp_path.glob("worker-*/ready"))) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    return psutil.Process(process.pid).children()


def test_workers_that_do_not_hear_are_killed_after_the_grace_time(launched, tmp_path):
    process = launched(DEAF)
    workers = wait_for_workers(tmp_path, process)
    process.terminate()
    assert process.wait(timeout=GRACE_SECONDS + 10) == 143
    assert not [worker for worker in workers if worker.is_running()]


def test_a_second_interrupt_ends_the_waiting_for_workers_that_do_not_hear(launched, tmp_path):
    process = launched(DEAF)
    workers = wait_for_workers(tmp_path, process)
    told = time.monotonic()
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - told < GRACE_SECONDS / 2
    assert not [worker for worker in workers if worker.is_running()]


# Workers note how many they are, and are done when 1 is alone after others were.
RESIZED = """
place = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {"worker": [""]})
count = len(place["worker"])
signal.signal(signal.SIGTERM, lambda *_: fail("PreemptedError", "told to stop"))
if index == 0:
    with (group / "counts").open("a") as file: file.write(f"{count}\\n")
(own / "ready").touch()
until(lambda: (group / "done").exists())
"""


def test_a_group_goes_on_with_as_many_workers_as_are_asked_for(world):
    counts = world.folder / "counts"

    def seen(lines):
        return counts.exists() and counts.read_text().split() == lines

    def ask():
        for number, lines in ((2, ["1"]), (3, ["1", "2"]), (1, ["1", "2"])):
            while not seen(lines):
                time.sleep(0.05)
            assert resizing.running(world.folder.parent) == [world.folder]
            resizing.ask(world.folder, number)
            time.sleep(1.5 if number == 3 else 0)
        while not seen(["1", "2", "1"]):
            time.sleep(0.05)
        (world.folder / "done").touch()

    asking = threading.Thread(target=ask)
    asking.start()
    world.run(RESIZED, workers=1, allowed=lambda workers: workers != 3)
    asking.join()
    assert seen(["1", "2", "1"])
    assert not world.pauses
    assert resizing.running(world.folder.parent) == []


def test_a_request_counts_for_a_launcher_that_is_started_again_until_training_is_done(world):
    resizing.ask(world.folder, 3)
    world.failure("fail('UserError', 'no')", UserError, workers=1)
    assert (world.folder / "worker-2").exists()
    assert resizing.wanted(world.folder, 1) == 3
    world.run(SHOW, workers=1)
    assert resizing.wanted(world.folder, 1) == 1


def test_a_request_that_cannot_be_met_leaves_the_configured_number(world):
    resizing.ask(world.folder, 3)
    world.run(SHOW, workers=1, allowed=lambda workers: workers != 3)
    assert not (world.folder / "worker-1").exists()


def test_two_launchers_in_one_folder_are_refused(world):
    with resizing.accepting(world.folder):
        failure = world.failure("pass", UserError)
    assert str(world.folder) in failure.message
