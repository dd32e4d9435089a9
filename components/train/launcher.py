"""Starts the workers on this machine, watches them, and ends them together."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hopline.errors import ExitCode, HoplineError, InternalError
from hopline.process import FAILURE_FILE, child_environment, failure_of, read_failure
from hopline.progress import Progress

GRACE_SECONDS = 15.0  # in which a worker finishes its step and writes a checkpoint
_POLL_SECONDS = 0.1

Worker = subprocess.Popen[bytes]


def run_workers(arguments: Sequence[str], workers: int, training: Path) -> None:
    """Runs `workers` processes of `components.train.worker` until all are done.

    When one fails, the others cannot go on (the next exchange waits for it), so all are ended.  A KeyboardInterrupt
    here lets them save before it goes on.

    Args:
        arguments: command line of every worker.
        workers: how many; 1 needs no cluster.
        training: the folder of the checkpoints; `worker-<i>/` in it is each worker's own.

    Raises:
        HoplineError: the first failure, as the worker itself told it.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    group: list[Worker] = []
    Progress("train", workers, "workers", phase="starting").update(0)
    with _reserved_ports(workers) as ports:
        try:
            for index in range(workers):
                own = training / f"worker-{index}"
                own.mkdir(parents=True, exist_ok=True)
                (own / FAILURE_FILE).unlink(missing_ok=True)
                command = [sys.executable, "-m", "components.train.worker", *arguments]
                command += ["--training-dir", str(training), "--work-dir", str(own), "--threads", str(threads)]
                group.append(subprocess.Popen(command, env=child_environment(_cluster(ports, index))))
            failed = _first_failure(group)
        finally:
            _end(group)
    if failed is not None:
        raise _told_failure(group, failed, training)


def _cluster(ports: Sequence[int], index: int) -> dict[str, str]:
    """TF_CONFIG for worker `index`; one worker alone needs none."""
    if len(ports) == 1:
        return {}
    hosts = [f"127.0.0.1:{port}" for port in ports]
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}})}


@contextlib.contextmanager
def _reserved_ports(count: int) -> Iterator[list[int]]:
    """Free loopback ports that no other program can take while the block runs.

    Each stays bound by a socket that never listens.  The kernel hands such a port to nobody who asks for any port,
    but lets a server that asks for it by number listen there, as both set SO_REUSEADDR.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count if count > 1 else 0):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            ports.append(holder.getsockname()[1])
        yield ports or [0]


def _first_failure(group: Sequence[Worker]) -> int | None:
    """Waits for all workers, or for the first that fails; its index, or None when all are done."""
    while True:
        codes = [worker.poll() for worker in group]
        for index, code in enumerate(codes):
            if code not in (None, ExitCode.DONE):
                return index
        if all(code == ExitCode.DONE for code in codes):
            return None
        time.sleep(_POLL_SECONDS)


def _end(group: Sequence[Worker]) -> None:
    """Asks the workers that still run to save and leave, and kills those that do not in time."""
    for worker in group:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    for worker in group:
        try:
            worker.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def _told_failure(group: Sequence[Worker], failed: int, training: Path) -> HoplineError:
    """Why the group failed.

    1. What a worker said for a reason of its own; 2. else how the first one ended.  A worker that lost its peer fails
    too, with an internal error, and may do so before the one that caused it has been seen to end.
    """
    told = [read_failure(training / f"worker-{index}" / FAILURE_FILE) for index in range(len(group))]
    for error in told:
        if error is not None and not isinstance(error, InternalError):
            return error
    return told[failed] or failure_of(f"worker {failed}", group[failed].returncode)
