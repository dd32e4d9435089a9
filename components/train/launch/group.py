"""The workers on this machine: started, watched and ended together."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hopline.runtime.errors import ExitCode, HoplineError, InternalError, LostPeersError, PreemptedError
from hopline.runtime.process import FAILURE_FILE, child_environment, failure_of, read_failure

JOINING, JOINED = "joining", "joined"  # files of a worker that waits for the others, and that has met them
START_SECONDS = 600.0  # in which all workers of this machine must have met
PATIENCE_SECONDS = 30.0  # after each such time is said who has not
GRACE_SECONDS = 15.0  # in which a worker finishes its step and writes a checkpoint
# Survivors fail within a second of a lost peer, so the one that caused it is at its end by then.
_SETTLE_SECONDS = 3.0


@dataclass(frozen=True)
class _Worker:
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def stopped(self) -> bool:
        """Whether the process is frozen by SIGSTOP or its like."""
        if self.process.poll() is not None:
            return False
        return os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT | os.WNOHANG) is not None


class Group:
    """Worker processes that work together or not at all."""

    def __init__(self) -> None:
        self._workers: list[_Worker] = []
        self._codes: dict[int, int] = {}  # of the workers known to have ended
        self._ended: queue.SimpleQueue[int] = queue.SimpleQueue()

    def start(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Starts the next worker; in `folder`, its own, it leaves word of why it failed.

        Of ours it inherits all of the environment but a place in a cluster, which is that of `environment` alone.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for name in (FAILURE_FILE, JOINING, JOINED):
            (folder / name).unlink(missing_ok=True)
        process = subprocess.Popen(command, env=child_environment(environment))
        index = len(self._workers)
        self._workers.append(_Worker(process, folder))

        def watch() -> None:
            with contextlib.suppress(ChildProcessError):  # the main thread has reaped it already
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._ended.put(index)

        threading.Thread(target=watch, daemon=True, name=f"worker-{index}").start()

    def wait(self) -> HoplineError | None:
        """Waits until all workers are done (None) or one has failed: what failed it."""
        if late := self._await_meeting():
            return late
        while not any(code != ExitCode.DONE for code in self._codes.values()):
            if len(self._codes) == len(self._workers):
                return None
            self._await(None)
        return self._settled_failure()

    def end(self) -> None:
        """Sends SIGTERM to all workers; SIGKILL to stopped ones, and to those still alive after `GRACE_SECONDS`."""
        try:
            for worker in self._running():
                # A stopped process takes no other signal.
                worker.process.send_signal(signal.SIGKILL if worker.stopped else signal.SIGTERM)
            self._await_all(GRACE_SECONDS)
        finally:  # also when a second Ctrl-C ends the waiting
            for worker in self._running():
                worker.process.kill()
            for worker in self._workers:
                worker.process.wait()

    def _await_meeting(self) -> InternalError | None:
        """Waits until all workers have met (None), one has ended (None), or `START_SECONDS` are over: what is missing.

        Nothing else would end it: a worker that waits for one that never comes lets no Python run, and has no bound.
        """
        began = time.monotonic()
        while not self._codes and self._missing():
            self._await(PATIENCE_SECONDS)
            missing, waited = self._missing(), time.monotonic() - began
            if self._codes or not missing:
                break
            print(f"train: after {waited:.0f} s the workers have not met: {missing}", file=sys.stderr)
            if waited >= START_SECONDS:
                return InternalError(
                    f"the workers have not met within {START_SECONDS:g} s: {missing}",
                    remedy="read the lines above of the worker that is waited for; where all have started, see that no "
                    "firewall keeps them from 127.0.0.1; where the machine is slow, set train.workers to fewer",
                )
        return None

    def _missing(self) -> str:
        """For whom is waited; "" once all workers have met, and of one worker alone."""
        apart = [i for i, worker in enumerate(self._workers) if not (worker.folder / JOINED).exists()]
        if len(self._workers) == 1 or not apart:
            return ""
        late = [i for i in apart if not (self._workers[i].folder / JOINING).exists()]
        if late:
            return f"the others wait for worker {', '.join(map(str, late))}, which has not started"
        return f"all have started, but worker {', '.join(map(str, apart))} does not reach the others"

    def _running(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.process.poll() is None]

    def _await(self, seconds: float | None) -> bool:
        """Waits for one more worker to end; false if none did in time."""
        try:
            index = self._ended.get(timeout=seconds)
        except queue.Empty:
            return False
        self._codes[index] = self._workers[index].process.wait()
        return True

    def _await_all(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while len(self._codes) < len(self._workers) and self._await(max(0.0, deadline - time.monotonic())):
            pass

    def _settled_failure(self) -> HoplineError:
        """The failure that brought the group down, once it can be told from those that only followed."""
        deadline = time.monotonic() + _SETTLE_SECONDS
        while isinstance(failure := self._failure(), LostPeersError) and len(self._codes) < len(self._workers):
            if not self._await(max(0.0, deadline - time.monotonic())):
                break
        return failure

    def _failure(self) -> HoplineError:
        """The likeliest cause among what is known now.

        1. What a worker said for a reason of its own that trying again cannot mend; 2. a worker that is stopped;
        3. one that was ended before it could say a word; 4. any other error; 5. a survivor that lost its peers.
        """
        failed = [index for index, code in self._codes.items() if code != ExitCode.DONE]
        said = {index: read_failure(worker.folder / FAILURE_FILE) for index, worker in enumerate(self._workers)}
        for index, error in said.items():
            told_to_stop = isinstance(error, PreemptedError) and index not in failed  # not the end of it yet
            if error and not isinstance(error, InternalError) and not told_to_stop:
                return error
        for index, worker in enumerate(self._workers):
            if worker.stopped:
                return InternalError(
                    f"worker {index} is stopped (by SIGSTOP or a debugger) and the others cannot go on without it",
                    remedy="run the same command again: it continues",
                )
        for index in failed:
            if said[index] is None:
                return failure_of(f"worker {index}", self._codes[index])
        errors = [error for index in failed if (error := said[index])]
        return next((error for error in errors if not isinstance(error, LostPeersError)), errors[0])
