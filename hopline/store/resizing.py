"""The number of workers that somebody has asked a training for, as a file in its folder or an object beside it.

While a launcher of this machine works in a training folder it holds a lock there; who asks for another number of
workers finds the folder by that lock.  A request counts until another one or the training's end, so a run that is
started again goes on with the number that was asked for: what made somebody ask (a machine that is full, a quota) is
still there.  The configured number is part of what names the folder: who configures another one trains in another.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from hopline.runtime.errors import UserError
from hopline.store.folders import locked, write_json
from hopline.store.objects import Store

_LOCK = "launcher.lock"
_REQUEST = "workers.json"
_TRIES = 20  # `running` holds the lock for a moment


@contextlib.contextmanager
def accepting(training: Path) -> Iterator[None]:
    """Lets the number of workers in the folder `training` be changed while the block runs.

    Raises:
        UserError: another launcher is at work there.
    """
    training.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for tries in range(_TRIES):
            try:
                stack.enter_context(locked(training / _LOCK, wait=False))
                break
            except BlockingIOError as error:
                if tries == _TRIES - 1:
                    raise UserError(
                        f"another launcher trains in {training}", remedy="wait for its end, or choose another folder"
                    ) from error
                time.sleep(0.05)
        yield


def wanted(training: Path | str, workers: int) -> int:
    """How many workers are asked for, in the folder or at the URI `training`; `workers` where nobody has asked."""
    try:
        asked = json.loads(_read(training))["workers"]
    except (OSError, ValueError, KeyError, TypeError):
        return workers
    return asked if type(asked) is int and asked > 0 else workers


def ask(training: Path | str, workers: int) -> None:
    """Asks whoever trains in the folder or at the URI `training`, now or later, to go on with `workers` workers."""
    if isinstance(training, Path):
        write_json(training / _REQUEST, {"workers": workers})
    else:
        Store(training).write(_REQUEST, json.dumps({"workers": workers}).encode())


def forget(training: Path | str) -> None:
    """Takes back what was asked, if anything was."""
    if isinstance(training, Path):
        (training / _REQUEST).unlink(missing_ok=True)
    else:
        Store(training).delete(_REQUEST)


def _read(training: Path | str) -> bytes:
    if isinstance(training, Path):
        return (training / _REQUEST).read_bytes()
    found = Store(training).read(_REQUEST)
    return found[0] if found else b""


def running(folder: Path) -> list[Path]:
    """The training folders below `folder` in which a launcher is at work."""
    return sorted(lock.parent for lock in folder.rglob(_LOCK) if _is_held(lock))


def _is_held(lock: Path) -> bool:
    try:
        with locked(lock, wait=False):
            return False
    except BlockingIOError:
        return True
