"""Signals, and the end of a whole tree of processes."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

import psutil

from hopline.runtime.errors import ExitCode, HoplineError

GRACE_SECONDS = 20.0  # for a checkpoint; a pod has 30
_POLL_SECONDS = 0.1


class StoppedError(HoplineError):
    """A person (SIGINT) or the system (SIGTERM) stopped the run."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"stopped by {signal.Signals(number).name}; nothing is lost", remedy="run the same command: it continues"
        )
        self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.PREEMPTED


@dataclass
class StopRequest:
    """The first signal that asked to stop (0 for none so far), and whether it was repeated."""

    number: int = 0
    repeated: bool = False


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Collects SIGINT and SIGTERM instead of dying of them, while the block runs."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        request.repeated = bool(request.number)
        request.number = request.number or number

    previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def stop_session(
    leader: "subprocess.Popen[bytes]", *, grace: float = GRACE_SECONDS, hurry: Callable[[], bool] = lambda: False
) -> None:
    """Ends `leader`, started with `start_new_session`, and all that came from it; returns when none is left.

    Every process is sent SIGTERM once, those that start meanwhile as well; what is left after `grace`
    seconds, or when `hurry()` says so, is killed.
    """
    signalled: set[psutil.Process] = set()
    deadline = time.monotonic() + grace
    while members := _living(_session(leader.pid) | signalled):
        late = time.monotonic() >= deadline or hurry()
        for process in members if late else members - signalled:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL if late else signal.SIGTERM)
        signalled |= members  # one with a session of its own, whose parent has ended, would not be found again
        time.sleep(_POLL_SECONDS)
        leader.poll()  # else it stays a zombie
    leader.wait()


def _session(identity: int) -> set[psutil.Process]:
    """The processes of a session, whose parents may be gone, and all their descendants."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(process.pid) == identity:
                found |= {process, *process.children(recursive=True)}
    return found


def _living(processes: set[psutil.Process]) -> set[psutil.Process]:
    return {process for process in processes if _lives(process)}


def _lives(process: psutil.Process) -> bool:
    """Whether it runs: a zombie, which an init-less container may never clear away, does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
