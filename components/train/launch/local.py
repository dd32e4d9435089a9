"""Runs the workers on this machine, and starts them all again from the newest checkpoint when one fails."""

import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from components.train.launch.group import Group, LeftError
from components.train.state import checkpoint
from hopline.runtime.cpus import usable_cpus
from hopline.runtime.errors import HoplineError, InternalError, SaveError
from hopline.runtime.progress import Progress
from hopline.store import resizing

WORKER_PROGRAM = (sys.executable, "-m", "components.train.worker")
_LONGEST_PAUSE = 30.0
_LOOPBACK = "127.0.0.1"


def run_workers(
    arguments: Sequence[str],
    workers: int,
    training: Path,
    restarts: int,
    *,
    allowed: Callable[[int], bool] = lambda workers: True,
    program: Sequence[str] = WORKER_PROGRAM,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Runs `workers` worker processes until all are done.

    When one fails, the others cannot go on (the next exchange waits for it): all are ended and started again from the
    newest checkpoint.  Not for an error that another try cannot mend: the user's, divergence, a disk without room.  A
    KeyboardInterrupt here lets the workers save before it goes on.

    While they work somebody may ask for another number of them (`hopline.store.resizing`): they are ended, upon which
    they save, and as many go on from there.  What an earlier launcher was asked for in this folder still counts.

    Args:
        arguments: command line of every worker.
        workers: how many; 1 needs no cluster.
        training: the folder of the checkpoints; `worker-<i>/` in it is each worker's own.
        restarts: how often to try again without a newer checkpoint in between.
        allowed: whether training can go on with so many workers.
        program: what a worker runs.
        pause: sleeps so many seconds before a restart.

    Raises:
        HoplineError: the failure, as the worker that caused it reported it, or how that worker ended.
    """
    checkpoints = training / checkpoint.FOLDER
    with resizing.accepting(training):
        reached, tries = checkpoint.repair(checkpoints), 0
        resize = _Resize(training, allowed)
        configured, workers = workers, resize.number(workers)
        if workers != configured:
            print(f"train: {workers} workers, as was asked for, instead of {configured}", file=sys.stderr)
        while failure := _run_group([*program, *arguments], workers, training, resize):
            step = checkpoint.repair(checkpoints)
            where = f"continuing from step {step:,}" if step else "starting from the beginning"
            if isinstance(failure, LeftError):
                workers = resize.number(workers)
                print(f"train: {where} with {workers} workers, as asked for", file=sys.stderr)
                continue
            if step > reached:  # a run that advances is never given up
                reached, tries = step, 0
            if not isinstance(failure, InternalError) or isinstance(failure, SaveError):
                raise failure
            if tries == restarts:
                raise InternalError(
                    f"{failure.message}; after {restarts} restarts training is still at step {step:,}",
                    remedy=failure.remedy,
                )
            seconds = min(2.0**tries, _LONGEST_PAUSE)
            tries += 1
            print(
                f"train: {failure.message}; {where} in {seconds:g} s (restart {tries} of {restarts} without progress)",
                file=sys.stderr,
            )
            pause(seconds)
        resizing.forget(training)


class _Resize:
    """What is asked of the launcher in the folder `training`, as far as it is `allowed`."""

    def __init__(self, training: Path, allowed: Callable[[int], bool]) -> None:
        self._training, self._allowed = training, allowed
        self._refused = 0

    def number(self, workers: int) -> int:
        """How many workers are wanted, where there are `workers`."""
        wanted = resizing.wanted(self._training, workers)
        if wanted == workers or self._allowed(wanted):
            return wanted
        if wanted != self._refused:
            self._refused = wanted
            print(f"train: {wanted} workers are asked for, among which the batch cannot be divided", file=sys.stderr)
        return workers


def _run_group(command: Sequence[str], workers: int, training: Path, resize: _Resize) -> HoplineError | None:
    """Runs the workers once; none of them is left when it returns.  None when all are done, else what failed.

    A `LeftError` says that another number of workers is wanted.
    """
    threads = max(1, usable_cpus() // workers)
    group = Group()
    Progress("train", workers, "workers", phase="starting").update(0)
    with reserved_ports(workers) as ports:
        try:
            for index in range(workers):
                own = training / f"worker-{index}"
                options = ["--training-dir", str(training), "--work-dir", str(own), "--threads", str(threads)]
                group.start([*command, *options], cluster(ports, index), own)
            return group.wait(leave=lambda: resize.number(workers) != workers)
        finally:
            group.end()


def cluster(ports: Sequence[int], index: int) -> dict[str, str]:
    """The place of worker `index` in the cluster of all; one worker alone needs none."""
    if len(ports) == 1:
        return {}
    hosts = [f"{_LOOPBACK}:{port}" for port in ports]
    place = {"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}}
    return {"TF_CONFIG": json.dumps(place)}


@contextlib.contextmanager
def reserved_ports(count: int) -> Iterator[list[int]]:
    """Free loopback ports that no other program can take while the block runs.

    Each stays bound by a socket that never listens.  The kernel gives such a port to no program that asks for any port,
    but lets a server that asks for it by number listen there, as both set SO_REUSEADDR.
    """
    with contextlib.ExitStack() as stack:
        ports = []
        for _ in range(count if count > 1 else 0):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind((_LOOPBACK, 0))
            ports.append(holder.getsockname()[1])
        yield ports or [0]
