"""How far a worker is with its start, which may take minutes: each leaves word in its own folder.

A thread of the worker could not say so all along: while TensorFlow waits for other workers it lets no Python run.
"""

import contextlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from hopline.runtime.errors import InternalError
from hopline.runtime.progress import Progress

MEETING_SECONDS = 600.0  # in which all workers of this machine must have met
PATIENCE_SECONDS = 30.0  # after each such time is said who has not
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


class Meeting:
    """Bounds how long the workers with these folders wait for one another.

    Nothing else would: a worker that waits for one that never comes lets no Python run.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._began = self._said = time.monotonic()

    def look(self) -> InternalError | None:
        """Says now and then who has not come; what failed once `MEETING_SECONDS` are over."""
        now = time.monotonic()
        if now - self._said < PATIENCE_SECONDS or not (missing := self._missing()):
            return None
        self._said, waited = now, now - self._began
        print(f"train: after {waited:.0f} s the workers have not met: {missing}", file=sys.stderr)
        if waited < MEETING_SECONDS:
            return None
        return InternalError(
            f"the workers have not met within {MEETING_SECONDS:g} s: {missing}",
            remedy="read the lines above of the worker that is waited for; where all have started, see that no "
            "firewall keeps them from 127.0.0.1; where the machine is slow, set train.workers to fewer",
        )

    def _missing(self) -> str:
        """For whom is waited; "" once all workers have met, and of one worker alone."""
        reached = [_reached(folder) for folder in self._folders]
        apart = [number for number, stage in enumerate(reached) if stage <= STAGES.index(MEETING)]
        if len(reached) == 1 or not apart:
            return ""
        late = [number for number in apart if reached[number] < STAGES.index(MEETING)]
        if late:
            return f"the others wait for worker {', '.join(map(str, late))}, which has not started"
        return f"all have started, but worker {', '.join(map(str, apart))} does not reach the others"
