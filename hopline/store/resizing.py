"""The number of workers of a training that runs on this machine, changed from outside by a file in its folder.

While a launcher works in a training folder it holds a lock there; who asks for another number of workers finds the
folder by that lock.  A request counts for the launcher that is at work: the next one begins with the number that it is
configured with, and so drops what is left of an earlier request.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

from hopline.runtime.errors import UserError
from hopline.store.folders import locked, write_json

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
        (training / _REQUEST).unlink(missing_ok=True)
        yield


def wanted(training: Path, workers: int) -> int:
    """How many workers are asked for; `workers` where nobody has asked."""
    try:
        asked = json.loads((training / _REQUEST).read_text(encoding="utf-8"))["workers"]
    except (OSError, ValueError, KeyError, TypeError):
        return workers
    return asked if type(asked) is int and asked > 0 else workers


def ask(training: Path, workers: int) -> None:
    """Asks the launcher in the folder `training` to go on with `workers` workers."""
    write_json(training / _REQUEST, {"workers": workers})


def running(folder: Path) -> list[Path]:
    """The training folders below `folder` in which a launcher is at work."""
    return sorted(lock.parent for lock in folder.rglob(_LOCK) if _is_held(lock))


def _is_held(lock: Path) -> bool:
    try:
        with locked(lock, wait=False):
            return False
    except BlockingIOError:
        return True
