"""Checkpoints: everything that decides how training goes on, whole and verified.

A checkpoint is a sealed directory, `step-<n>/`, with the weights, the optimizer's variables (the average of the weights
is one of them), the best weights so far and the numbers of `TrainState`.  The data position needs no entry: batches are
a function of the step (`components.train.loop.batches`).
"""

import dataclasses
import errno
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hopline import artifacts
from hopline.runtime.errors import HoplineError, SaveError, UserError
from hopline.store import folders

Arrays = Mapping[str, npt.NDArray[np.generic]]

KIND = "checkpoint"
FOLDER = "checkpoints"  # in the group's folder
LOG_FILE, CURVE_FILE = BESIDE = ("log.jsonl", "curve.png")  # beside FOLDER
KEPT = 2
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
STATE_FILE, _CURRENT, _BEST = "state.json", "current.npz", "best.npz"


@dataclass
class TrainState:
    """Where training stands.

    Attributes:
        step: updates done.
        learning_rate: as annealed so far (`components.train.loop.schedule`).
        valid_loss: mean negative log-likelihood per token at the last validation, in nats; None before the first.
        best_valid_loss: the least of them, the averaged weights' among them.
        best_is_average: whether the best weights are averaged ones.
        end: the step at which a training of `train.minutes` ends; 0 where that is not known yet, or known without it.
        finished: why training is over; "" while it is not.
    """

    learning_rate: float
    step: int = 0
    valid_loss: float | None = None
    best_valid_loss: float | None = None
    best_is_average: bool = False
    end: int = 0
    finished: str = ""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in memory; `best` is empty before the first validation."""

    state: TrainState
    current: Arrays
    best: Arrays


def save(folder: Path, checkpoint: Checkpoint, beside: Sequence[Path] = ()) -> Path:
    """Writes `folder/step-<n>/`, whole or not at all, and then removes all but the newest `KEPT`.

    Args:
        folder: of the checkpoints.
        checkpoint: to write.
        beside: files of which it gets copies, of those that are there.

    Returns:
        The directory.

    Raises:
        OSError: it cannot be written; the checkpoints before it are as they were.
    """
    target = folder / f"step-{checkpoint.state.step:09}"
    with folders.whole(target) as directory:
        _write(directory / _CURRENT, checkpoint.current)
        _write(directory / _BEST, checkpoint.best)
        folders.write_json(directory / STATE_FILE, dataclasses.asdict(checkpoint.state))
        for path in beside:
            if path.exists():  # the curve is drawn while training goes on
                shutil.copy2(path, directory)
        artifacts.seal(directory, KIND, parents={}, config={})
    _prune(folder)
    return target


def repair(folder: Path) -> int:
    """Leaves nothing but sound checkpoints, `KEPT` at most; for the launcher, while no worker runs.

    Removed are what a killed save left, and checkpoints whose checksums do not hold; each of those is reported.

    Returns:
        The newest one's step, or 0 when none is sound.
    """
    folders.remove_partial(folder)
    found = _newest_first(folder)
    for directory in found:
        if damage := _damage(directory):
            print(f"train: {damage}; this checkpoint is removed", file=sys.stderr)
            folders.remove_tree(directory)
    _prune(folder)
    if found and not exists(folder):
        print("train: no sound checkpoint is left: training starts from the beginning", file=sys.stderr)
    return newest_step(folder)


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint, sound or not."""
    return bool(_newest_first(folder))


def newest_step(folder: Path) -> int:
    """The step of the newest checkpoint, sound or not; 0 when there is none."""
    return max((step_of(directory.name) for directory in _newest_first(folder)), default=0)


def is_finished(folder: Path) -> bool:
    """Whether the newest checkpoint is one of a training that is over; its files are not verified."""
    newest = next(iter(_newest_first(folder)), None)
    try:
        return newest is not None and is_end((newest / STATE_FILE).read_bytes())
    except OSError:  # it was removed meanwhile
        return False


def is_end(state: bytes) -> bool:
    """Whether `state`, the content of a checkpoint's `STATE_FILE`, is that of a training that is over."""
    try:
        return bool(json.loads(state)["finished"])
    except (ValueError, KeyError, TypeError):
        return False


def step_of(name: str) -> int:
    """The step of the checkpoint whose directory has this name."""
    return int(name.removeprefix("step-"))


def unwritable(training: Path, error: OSError) -> HoplineError:
    """What it means that the group's folder `training` cannot be written: the user's fault if we may not.

    A disk that is full may have room again, so that is a `SaveError`.
    """
    safe = newest_step(training / FOLDER)
    kept = f"step {safe:,} is safe" if safe else "nothing was saved before"
    message = f"{training} cannot be written: {error.strerror or error}; {kept}"
    if error.errno in _REFUSED:
        remedy = f"let user {os.getuid()} write there, then run the same command again: it continues"
        return UserError(message, remedy=remedy)
    return SaveError(message, remedy="make room there, then run the same command again: it continues")


def load_newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose checksums hold; a damaged one is reported and the one before it is taken."""
    for directory in _newest_first(folder):
        if damage := _damage(directory):
            print(f"train: {damage}; falling back to the checkpoint before it", file=sys.stderr)
            continue
        return Checkpoint(
            state=TrainState(**json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))),
            current=_read(directory / _CURRENT),
            best=_read(directory / _BEST),
        )
    return None


def _damage(directory: Path) -> str:
    try:
        artifacts.verify(directory, KIND)
    except UserError as error:
        return error.message
    return ""


def _prune(folder: Path) -> None:
    for old in _newest_first(folder)[KEPT:]:
        folders.remove_tree(old)


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)


def _write(path: Path, arrays: Arrays) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
