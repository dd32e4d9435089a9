"""The workers on this machine: started, watched and ended together."""

import contextlib
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.train.launch import stages
from hopline.runtime.errors import ExitCode, HoplineError, InternalError, LostPeersError, PreemptedError
from hopline.runtime.process import FAILURE_FILE, child_environment, failure_of, read_failure

GRACE_SECONDS = 15.0  # in which a worker finishes its step and writes a checkpoint
# Survivors fail within a second of a lost peer, so the one that caused it is at its end by then.
_SETTLE_SECONDS = 3.0
_LOOK_SECONDS = 0.5  # between two looks whether the group is to be left


class LeftError(PreemptedError):
    """Nothing has failed: somebody wants the workers to be ended."""


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
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        stages.forget(folder)
        process = subprocess.Popen(command, env=child_environment(environment))
        index = len(self._workers)
        self._workers.append(_Worker(process, folder))

        def watch() -> None:
            with contextlib.suppress(ChildProcessError):  # the main thread has reaped it already
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            self._ended.put(index)

        threading.Thread(target=watch, daemon=True, name=f"worker-{index}").start()

    def wait(self, leave: Callable[[], bool] = lambda: False) -> HoplineError | None:
        """Waits until all workers are done (None) or one has failed: what failed it.

        Args:
            leave: asked now and then; once it is true, and no worker has ended, the answer is a `LeftError`.
        """
        folders = [worker.folder for worker in self._workers]
        start, meeting = stages.Start(folders), stages.Meeting(folders)
        while len(self._codes) < len(self._workers):
            if not self._await(_LOOK_SECONDS):
                start.look()
                if not self._codes and (late := meeting.look()):
                    return late
                if not self._codes and leave():
                    return LeftError("the workers are to be ended")
            elif any(code != ExitCode.DONE for code in self._codes.values()):
                return self._settled_failure()
        return None

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
