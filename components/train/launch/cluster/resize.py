"""A Job's number of workers, changed from outside by an annotation on it.

The number stands in the Job's pods (whose names are the workers' places), so a Job keeps its own: its launcher deletes
it, upon which the workers save, and makes another, which goes on from the newest checkpoint.  The new Job carries the
annotation too.  By it every launcher knows a Job of another number than its own for that of its training.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hopline.runtime.errors import HoplineError, PreemptedError
from hopline.schema import WORKERS_ANNOTATION
from hopline.store import resizing

Manifest = dict[str, Any]


class ResizedError(PreemptedError):
    """Nothing has failed: somebody wants another number of workers.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(f"{workers} workers are asked for")
        self.workers = workers


def is_resized(job: Manifest) -> bool:
    """Whether somebody has asked for another number of workers, of this Job or of the one before it."""
    return WORKERS_ANNOTATION in job["metadata"].get("annotations", {})


def annotated(job: Manifest, workers: int) -> Manifest:
    """The Job with the annotation that asks for `workers`."""
    metadata = job["metadata"]
    annotations = {**metadata.get("annotations", {}), WORKERS_ANNOTATION: str(workers)}
    return {**job, "metadata": {**metadata, "annotations": annotations}}


def remembered(training: Path | str, workers: int, allowed: Callable[[int], bool]) -> int:
    """The number of workers to begin with: what an earlier launcher was asked for, or the configured `workers`."""
    asked = resizing.wanted(training, workers)
    if asked == workers or not allowed(asked):
        return workers
    print(f"train: {asked} workers, as was asked for, instead of {workers}", file=sys.stderr)
    return asked


def remember(training: Path | str, workers: int | None) -> None:
    """Keeps for a launcher that is started again how many workers were asked for; None when training is over."""
    if isinstance(training, Path) and not training.is_dir():  # the volume is not mounted here
        return
    try:
        if workers is None:
            resizing.forget(training)
        else:
            resizing.ask(training, workers)
    except (HoplineError, OSError) as error:  # no reason to end a training
        print(f"train: the number of workers is not remembered: {error}", file=sys.stderr)


class Requests:
    """Reads from Jobs how many workers are asked for, as far as that is `allowed`; what is not is reported once."""

    def __init__(self, allowed: Callable[[int], bool]) -> None:
        self._allowed = allowed
        self._refused: str | None = None

    def number(self, job: Manifest) -> int:
        """How many workers are wanted: those that are asked for, if that may be, else those of the Job."""
        workers = int(job["spec"]["completions"])
        asked = job["metadata"].get("annotations", {}).get(WORKERS_ANNOTATION, str(workers))
        if asked == str(workers):
            return workers
        if asked.isascii() and asked.isdigit() and int(asked) > 0 and self._allowed(int(asked)):
            return int(asked)
        if asked != self._refused:
            self._refused = asked
            print(f'train: "{asked}" workers are asked for, among which the batch cannot be divided', file=sys.stderr)
        return workers
