"""Ending a tree of processes."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from hopline.runtime.errors import ExitCode
from pipelines.supervise import StoppedError, stop_requests, stop_session

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)"
PARENT_OF_DEAF = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]).wait()"
GONE_PARENT_OF_DEAF = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}])"


def start(code: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


@pytest.mark.parametrize("code", [DEAF, PARENT_OF_DEAF, GONE_PARENT_OF_DEAF])
def test_a_process_that_does_not_listen_is_killed_with_all_its_session(code):
    leader = start(code)
    stop_session(leader, grace=0.3)
    assert leader.returncode is not None
    assert leader.stdout is not None
    assert leader.stdout.read() == b""  # ends only when the last process that holds it is gone


def test_a_process_that_listens_has_time_to_finish():
    code = (
        "import signal, sys, time\n"
        "def leave(*_): time.sleep(0.5); print('saved', flush=True); sys.exit(7)\n"
        "signal.signal(signal.SIGTERM, leave); print('ready', flush=True); time.sleep(600)"
    )
    leader = start(code)
    stop_session(leader, grace=30)
    assert leader.returncode == 7
    assert leader.stdout is not None
    assert leader.stdout.read() == b"saved\n"


def test_impatience_ends_the_grace():
    leader = start(DEAF)
    started = time.monotonic()
    stop_session(leader, grace=60, hurry=lambda: time.monotonic() > started + 0.3)
    assert leader.returncode == -signal.SIGKILL


def test_a_session_that_has_ended_needs_nothing():
    leader = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    leader.wait()
    stop_session(leader, grace=0)
    assert leader.returncode == 0


def test_the_first_signal_decides_and_a_second_one_is_impatience():
    before = signal.getsignal(signal.SIGINT)  # a shell starts what runs in the background with SIGINT ignored
    with stop_requests() as request:
        assert request.number == 0
        signal.raise_signal(signal.SIGTERM)
        assert (request.number, request.repeated) == (signal.SIGTERM, False)
        signal.raise_signal(signal.SIGINT)
        assert (request.number, request.repeated) == (signal.SIGTERM, True)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_has_the_exit_code_of_its_signal(number, code):
    assert StoppedError(number).code == ExitCode(code)


@pytest.mark.parametrize("grace", [0, 0.3])
def test_a_process_in_a_session_of_its_own_is_ended_with_its_parent(grace):
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}], start_new_session=True).wait()"
    leader = start(code)
    (child,) = psutil.Process(leader.pid).children()
    stop_session(leader, grace=grace)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
