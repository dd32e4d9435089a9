"""How far a worker is with its start, which may take minutes: each leaves word in its own folder.

A thread of the worker could not say so all along: while TensorFlow waits for other workers it lets no Python run.
"""

import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from hopline.runtime.progress import Progress

_FILE = "stage"
LOADING, MEETING, READING, COMPILING, TRAINING = STAGES = (
    "loading TensorFlow",
    "waiting for the other workers",
    "reading the examples",
    "compiling the first step",
    "training",
)


class Reporter:
    """Leaves word in a worker's own folder that it has come to a stage, and says it `aloud` as well."""

    def __init__(self, folder: Path, *, aloud: bool) -> None:
        self._folder, self._aloud = folder, aloud

    def __call__(self, stage: str) -> None:
        """Says that the worker has come to `stage`."""
        with contextlib.suppress(OSError):  # in a pod the folder takes no file but the one that names a failure
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / _FILE).write_text(stage, encoding="utf-8")
        if self._aloud:
            print(f"train: {stage}", file=sys.stderr, flush=True)


def forget(folder: Path) -> None:
    """Removes the word that an earlier worker has left."""
    (folder / _FILE).unlink(missing_ok=True)


class Start:
    """Shows how far the workers with these folders are: what the last of them is at, whenever that changes."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._shown = (-1, 0)

    def look(self) -> None:
        """Looks, and says what is new."""
        reached = [_reached(folder) for folder in self._folders]
        last = min(reached)
        found = last, sum(stage > last for stage in reached)
        if found == self._shown or not 0 <= last < STAGES.index(TRAINING):
            return
        self._shown = found
        Progress("train", len(self._folders), "workers", phase=STAGES[last]).update(found[1])


def _reached(folder: Path) -> int:
    """The number of the stage that the worker is at; -1 while it has said nothing."""
    try:
        return STAGES.index((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return -1
